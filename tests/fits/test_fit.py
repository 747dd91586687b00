import numpy as np
import pytest
from noisy_curves import STEPS, noisy, visible
from scipy.optimize import least_squares

from sftheory.core.errors import InputError
from sftheory.fits import Curve, fit, fit_many
from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Rows
from sftheory.fits.solution import solutions


def independent(curve: Curve, free_p: bool, start: dict[str, float]) -> np.ndarray:
    """(a, b, c, p) by SciPy's trust region in t/T with an analytic Jacobian."""
    T = curve.step[-1]
    x = curve.step / T

    def parts(v):
        p = v[3] if free_p else 0.5
        return x + v[1], p

    def residual(v):
        u, p = parts(v)
        return v[0] * u**-p + v[2] - curve.loss

    def jacobian(v):
        u, p = parts(v)
        columns = [u**-p, -p * v[0] * u ** (-p - 1), np.ones_like(u)]
        return np.stack([*columns, -v[0] * u**-p * np.log(u)][: 4 if free_p else 3], axis=1)

    p = start["p"]
    v0 = [start["a"] / T**p * 1.01, start["b"] / T + 1e-4, start["c"] * 0.999, p * 1.01]
    v0 = v0[: 4 if free_p else 3]
    low = [-np.inf, -x[0] + 1e-12, -np.inf, 1e-3][: len(v0)]
    found = least_squares(
        residual, v0, jacobian, (low, np.inf), xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac"
    )
    v = found.x
    for _ in range(3):  # Newton with the analytic Hessian: the trust region stops a little early
        u, p = parts(v)
        x0, log = u**-p, np.log(u)
        second = np.zeros((4, 4, len(u)))
        second[0, 1] = -p * x0 / u
        second[0, 3] = -x0 * log
        second[1, 1] = v[0] * p * (p + 1) * x0 / u**2 / 2
        second[1, 3] = v[0] * x0 / u * (p * log - 1)
        second[3, 3] = v[0] * x0 * log**2 / 2
        second = (second + np.swapaxes(second, 0, 1))[: len(v), : len(v)]
        J, r = jacobian(v), residual(v)
        v = v - np.linalg.solve(J.T @ J + second @ r, J.T @ r)
    p = v[3] if free_p else 0.5
    return np.array([v[0] * T**p, v[1] * T, v[2], p, residual(v) @ residual(v)])


def test_noiseless_curves_give_their_parameters_back():
    laws = {"sqrt": (0.5, 60.0), "power": (0.7, 60.0), "hyperbolic": (1.0, 60.0)}
    for name, (p, b) in {**laws, "power_from_zero": (0.4, 0.0)}.items():
        found = fit(Curve(STEPS, 28.2 / (STEPS + b) ** p + 3), law=name)
        assert [found.p, found.c] == pytest.approx([p, 3], rel=1e-9), name
        assert found.a == pytest.approx(28.2, rel=1e-7)
        assert found.b == pytest.approx(b, abs=1e-4)


@pytest.mark.parametrize("name", [n for n in LAWS.names() if not LAWS[n].object.needs_rate])
def test_slopes_of_a_law_are_the_derivatives_of_its_columns(name):
    law = LAWS[name].make()
    rows = Rows((STEPS - STEPS[0]) / STEPS[-1], 0.02, STEPS[-1])
    theta = np.random.default_rng(1).normal(-1, 0.5, (5, len(law.axes)))
    exact = law.slopes(theta, rows, law.columns(theta, rows))
    differences = super(type(law).__mro__[1], law).slopes(theta, rows, law.columns(theta, rows))
    np.testing.assert_allclose(exact, differences, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("law", ["sqrt", "power"])
def test_parameters_agree_with_an_independent_solver_on_synthetic_curves(law):
    for seed in range(5):
        curve = Curve(STEPS, noisy(seed, p=0.6))
        found = solutions(LAWS[law].make(), curve.step, curve.loss[None])[0]
        other = independent(curve, law == "power", found.parameters)
        ours = [found["a"], found["b"] + STEPS[0], found["c"], found["p"], found.sse]
        other[1] += STEPS[0]
        np.testing.assert_allclose(ours, other, rtol=1e-6)


def test_parameters_agree_with_an_independent_solver_on_the_visible_curves():
    for name, (kind, curve) in visible().items():
        if kind not in ("lm", "sf", "train"):
            continue
        for law in ("sqrt", "power"):
            found = solutions(LAWS[law].make(), curve.step, curve.loss[None])[0]
            other = independent(curve, law == "power", found.parameters)
            ours = [found["a"], found["b"] + curve.step[0], found["c"], found["p"], found.sse]
            other[1] += curve.step[0]
            np.testing.assert_allclose(ours, other, rtol=1e-6, err_msg=f"{name} {law}")


def test_the_grid_finds_the_best_of_many_starts_of_another_solver():
    rng = np.random.default_rng(3)
    for seed in range(3):
        curve = Curve(STEPS, noisy(seed, sd=0.05))
        found = solutions(LAWS["power"].make(), curve.step, curve.loss[None])[0]
        for _ in range(5):
            start = {"a": 28 * rng.uniform(0.5, 2), "b": rng.uniform(0, 5000), "c": 3.0}
            other = independent(curve, True, start | {"p": rng.uniform(0.3, 1.0)})
            if 0.01 < other[3] < 10:
                assert found.sse <= other[4] * (1 + 1e-9)


@pytest.mark.parametrize("scale", [1 / 977, 3.7, 524_288.0, 1e9])
def test_the_unit_of_steps_changes_a_and_b_only(scale):
    curve = Curve(STEPS, noisy(2, 0.5))
    for law in ("sqrt", "power"):
        one, other = fit(curve, law), fit(Curve(STEPS * scale, curve.loss), law)
        assert other.verdicts == one.verdicts
        ours = [other.c, other.p, *other.interval("c"), *other.at(2 * STEPS[-1] * scale)]
        theirs = [one.c, one.p, *one.interval("c"), *one.at(2 * STEPS[-1])]
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        np.testing.assert_allclose(
            other.steps_to(3.07)[0], one.steps_to(3.07)[0] * scale, rtol=1e-6
        )
        assert other.a == pytest.approx(one.a * scale**one.p, rel=1e-5)


def test_the_unit_of_steps_changes_a_and_b_only_on_the_visible_curves():
    for name, (kind, curve) in visible().items():
        if kind in ("lm", "sf", "train"):
            one, other = (fit(Curve(curve.step * k, curve.loss), "sqrt") for k in (1, 524_288))
            ours = [other.c, other.power["p"], *other.interval("c"), *other.interval("p")]
            theirs = [one.c, one.power["p"], *one.interval("c"), *one.interval("p")]
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=name)


def test_a_shift_of_the_loss_moves_c_alone_and_a_factor_scales_a_and_c():
    loss = noisy(4, 0.5)
    one = fit(Curve(STEPS, loss), "sqrt")
    moved, scaled = fit(Curve(STEPS, loss + 5), "sqrt"), fit(Curve(STEPS, 7 * loss), "sqrt")
    assert [moved.a, moved.b, moved.c] == pytest.approx([one.a, one.b, one.c + 5], rel=1e-6)
    assert [scaled.a, scaled.b, scaled.c] == pytest.approx([7 * one.a, one.b, 7 * one.c], rel=1e-6)


def test_many_curves_at_once_have_the_optima_of_each_alone():
    shared = [Curve(STEPS, noisy(seed, 0.3)) for seed in range(7)]
    own = [Curve(STEPS * (1 + 0.1 * i), noisy(i)) for i in range(3)]
    short = [Curve(STEPS[:100], noisy(9)[:100])]
    for law in ("sqrt", "power"):
        curves = [*shared, *own, *short]
        many = fit_many(curves, law)
        for i, curve in enumerate(curves):
            one = fit(curve, law)
            for name in "abcp":
                rtol = 1e-6
                assert getattr(many, name)[i] == pytest.approx(getattr(one, name), rel=rtol)
            assert many.sse[i] == pytest.approx(one.sse, rel=1e-11)


def test_spikes_move_a_robust_fit_little():
    loss = noisy(5)
    spiked = loss.copy()
    spiked[[30, 90, 150, 210]] += [0.5, 1.0, 0.3, 0.8]
    clean, naive = fit(Curve(STEPS, loss), "sqrt"), fit(Curve(STEPS, spiked), "sqrt")
    held = fit(Curve(STEPS, spiked), "sqrt", robust=True)
    assert abs(held.solution["c"] - clean.c) < 0.1 * abs(naive.solution["c"] - clean.c)
    assert any("spikes" in note for note in naive.notes)
    assert any("down-weighted" in note for note in held.notes)


def test_a_long_log_in_bins_gives_the_fit_of_all_its_points():
    t = np.arange(1000, 41_000.0)
    loss = 28.2 / np.sqrt(t + 60) + 3 + 0.05 * np.random.default_rng(6).standard_normal(len(t))
    binned = fit(Curve(t, loss), "sqrt")
    whole = solutions(LAWS["sqrt"].make(), t, loss[None])[0]
    assert binned.notes[0].startswith("40000 points")
    assert abs(binned.c - whole["c"]) < 0.02 * whole.errors["c"]
    assert binned.errors["c"] == pytest.approx(whole.errors["c"], rel=0.01)


@pytest.mark.parametrize(
    ("step", "loss", "sentence"),
    [
        ([1, 2, 3], [3, 2, 1], "3 points, too few"),
        (range(1, 30), np.ones(29), "is constant"),
        (range(1, 30), np.arange(29.0), "never falls"),
        (range(1, 30), 1e200 * np.arange(29.0, 0, -1), "rescale"),
        (range(1, 30), 1 + 1e-14 * np.arange(29.0, 0, -1), "rounding"),
    ],
)
def test_bad_curves_raise_one_sentence(step, loss, sentence):
    with pytest.raises(InputError, match=sentence):
        fit(Curve(step, loss))


@pytest.mark.parametrize("call", [lambda c: fit(c, "tissue"), lambda c: fit_many([c], "tissue")])
def test_a_law_that_needs_the_rate_says_who_fits_it(call):
    with pytest.raises(InputError, match="fit_schedules"):
        call(Curve(STEPS, noisy()))


def test_a_curve_is_no_list():
    with pytest.raises(InputError, match="needs a Curve"):
        fit([1, 2, 3])  # pyright: ignore[reportArgumentType]
