import numpy as np
import pytest
from noisy_curves import STEPS, noisy
from scipy.optimize import least_squares

from sftheory.core.errors import InputError
from sftheory.fits import Curve, compare, fit
from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Law, Rows
from sftheory.fits.repeats import Repeats
from sftheory.fits.solution import scaled_rows

T = STEPS[-1]


def repeats(count: int = 3, rho: float = 0.0, law: str = "sqrt", p: float = 0.5):
    return [fit(Curve(STEPS, noisy(seed, rho, p=p)), law=law) for seed in range(count)]


def together(fits, name):
    """The joint fit by SciPy: (a_i, b_i) for each run, p or c in common, the other for each run."""
    chosen = [one.power if name == "p" else one.solution for one in fits]
    R, x = len(fits), STEPS / T

    def model(v):
        own = v[: R * 3].reshape(R, 3)
        for a, b, other in own:
            c, p = (other, v[-1]) if name == "p" else (v[-1], other)
            yield a * (x + b) ** -p + c

    def residual(v):
        return np.concatenate(
            [(m - s.loss) / s.noise.sigma for m, s in zip(model(v), chosen, strict=True)]
        )

    start = []
    for s in chosen:
        start += [s["a"] / T ** s["p"], s["b"] / T, s["c"] if name == "p" else s["p"]]
    found = least_squares(
        residual, [*start, chosen[0][name]], x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    return found.x[-1], 2 * found.cost - sum(s.sse / s.noise.sigma**2 for s in chosen)


@pytest.mark.parametrize(("name", "law"), [("p", "sqrt"), ("c", "power")])
def test_the_joint_fit_is_that_of_a_second_solver(name, law):
    fits = repeats(law=law)
    found = compare(fits).joint(name)
    value, rise = together(fits, name)
    assert found.value == pytest.approx(value, abs=1e-6)
    assert found.excess == pytest.approx(rise / 2, rel=0.1)  # F is near 1 here


@pytest.mark.parametrize("shared", ["p", "c"])
@pytest.mark.parametrize("name", ["sqrt", "power"])
def test_slopes_of_repeats_are_the_derivatives_of_their_columns(shared, name):
    if shared == "p" and name == "sqrt":
        return  # its exponent is not free
    law = Repeats(LAWS[name].make(), 3, shared)
    own = [scaled_rows(STEPS[: 40 + 10 * i]) for i in range(3)]
    rows = Rows(np.concatenate([r.offset for r in own]), 0.0, 1.0, tuple(own))
    theta = np.random.default_rng(1).normal(-1, 0.3, (2, len(law.axes)))
    exact = law.slopes(theta, rows, law.columns(theta, rows))
    differences = Law.slopes(law, theta, rows, law.columns(theta, rows))
    np.testing.assert_allclose(exact, differences, rtol=1e-7, atol=1e-8)


def test_one_fit_to_all_repeats_narrows_the_interval_by_the_root_of_their_number():
    alone = repeats(4)
    for name in ("p", "c"):
        found = compare(alone).joint(name)
        errors = [(s.power if name == "p" else s.solution).errors[name] for s in alone]
        margin = (found.high - found.low) / 2
        assert margin == pytest.approx(1.96 * np.mean(errors) / 2, rel=0.15)
        assert found.low < {"p": 0.5, "c": 2.9766}[name] < found.high


def test_runs_that_share_a_parameter_have_an_excess_near_one_and_others_far_more():
    excess = [compare(repeats(3)).joint(name).excess for name in ("p", "c")]
    assert max(excess) < 3
    other = fit(Curve(STEPS, noisy(7, p=0.6)), law="sqrt")
    for name in ("p", "c"):
        assert compare([*repeats(2), other]).joint(name).excess > 20


@pytest.mark.parametrize("rho", [0.0, 0.9])
def test_the_interval_of_a_difference_holds_it_about_as_often_as_it_says(rho):
    fits = [fit(Curve(STEPS, noisy(100 + s, rho)), law="sqrt") for s in range(60)]
    held = 0
    for first, second in zip(fits[::2], fits[1::2], strict=True):
        gap = compare([first, second]).difference(2 * T)
        held += gap.low <= 0 <= gap.high
    assert held >= 25  # of 30 at 95%: fewer have probability 0.3%


def test_a_wider_level_asks_for_a_clearer_winner():
    pair = compare([fit(Curve(STEPS, noisy(s) + 0.01 * s), law="sqrt") for s in range(2)])
    narrow, wide = pair.difference(2 * T, level=0.5), pair.difference(2 * T, level=0.999)
    assert narrow.value == wide.value and wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda runs: compare(runs).joint("a"), "share 'p' or 'c'"),
        (lambda runs: compare([*runs, *repeats(1, law="power")]).joint("c"), "with one law"),
        (lambda runs: compare(runs).joint("c", level=2), "level"),
    ],
)
def test_bad_input_is_one_sentence(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call(repeats(2))
