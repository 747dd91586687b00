"""Every horizon at once, against decimals of 50 digits, single horizons and exact fractions."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory.bounds import b_prime, last_iterate, omega
from sftheory.bounds.chain_tree import LEAF, every_horizon
from sftheory.core.errors import InputError
from sftheory.schedules import SGDR, WSD, Constant, Cosine, InverseSqrt, Linear, Warmup

ROUNDING = 1e-14  # relative; 1e-12 is promised


def exact_omega(eta, D, G):
    """2 Ω of T entries and T norms, in the arithmetic of the entries."""
    left, value = eta[-1], eta[-1] * G[-1] ** 2
    for k in range(len(eta) - 2, -1, -1):
        value, left = value + (eta[k] * G[k]) ** 2 / left, left + eta[k]
    return value + D**2 / left


def exact_value(h, D, G):
    """2 W of the steps: P and Σ h by their definitions, in the arithmetic of the steps."""
    P = 0 * D
    for step in reversed(h):
        if step > 0:
            P = max(P, step)
            P = P + 2 * step + step**2 / P
    total = sum(h, 0 * D)
    return D**2 / P + G**2 * (P - 2 * total) if G * P >= D else 2 * (D * G - G**2 * total)


def steps_of(N):
    rng, k = np.random.default_rng(N), np.arange(N)
    gaps = rng.lognormal(size=N) * (rng.random(N) < 0.5) * (k > N / 50)
    gaps[N // 3 : N // 2] = 0
    gaps[-1] = 0.5
    return {
        "constant": Constant()(N),
        "linear": Linear()(N),
        "cosine": Cosine()(N),
        "wsd": WSD(0.2)(N),
        "1/sqrt": InverseSqrt()(N),
        "warm-up": Warmup(WSD(0.3), fraction=0.2)(N),
        "restarts": SGDR(restarts=3)(N),
        "random": rng.lognormal(size=N),
        "random, 15 decades": rng.lognormal(0, 6, size=N),
        "increasing": (k + 1.0) ** 3,
        "geometric down": np.exp(-k * (300 / N)),
        "geometric up": np.exp(k * (300 / N)),
        "zeros": gaps,
        "spikes": np.where(k % 97 == 5, 1.0, 1e-9),
        "sawtooth": np.exp(-(k % 50)),
    }


every_shape = pytest.mark.parametrize("shape", steps_of(2))
SCALES = [(1.0, 1.0), (30.0, 0.1), (1e-3, 5.0)]


@every_shape
@pytest.mark.parametrize("N", [LEAF, 700, 5000])
def test_every_horizon_is_its_definition_in_decimals(shape, N):
    gamma, rng = steps_of(N)[shape], np.random.default_rng(1)
    norms = rng.lognormal(size=N + 1)
    with localcontext(Context(prec=50)):
        entries = [Decimal(float(x)) for x in [*gamma, 0.3]]
        G = [Decimal(float(x)) for x in norms]
        chosen = np.unique(np.concatenate([[1, 2, N - 1, N], rng.integers(1, N, 4)]))
        for D, one in SCALES:
            bound = omega(gamma, D=D, G=norms, last=0.3, horizons="all")
            half = b_prime(gamma, D=D, G=norms, last=0.3, horizons="all")
            exact = last_iterate(gamma, D=D, G=one, horizons="all")
            d, g = Decimal(D), Decimal(one)
            for t in chosen.tolist():
                value = exact_value(entries[:t], d, g) / 2 if any(gamma[:t]) else d * g
                assert exact[t - 1] == pytest.approx(float(value), rel=ROUNDING)
                if entries[t] == 0:
                    assert np.isinf(bound[t - 1]) and np.isinf(half[t - 1])
                    continue
                value = exact_omega(entries[: t + 1], d, G[: t + 1]) / 2
                assert bound[t - 1] == pytest.approx(float(value), rel=ROUNDING)
                value = value / 2 + 3 * entries[t] * G[t] ** 2 / 4
                assert half[t - 1] == pytest.approx(float(value), rel=ROUNDING)


step = st.just(0.0) | st.floats(-8, 8).map(lambda e: 10.0**e)


@given(gamma=st.lists(step, min_size=1, max_size=8), last=st.floats(1e-6, 1e6))
def test_few_steps_have_the_fractions_of_their_definitions(gamma, last):
    entries, D, G = [Fraction(x) for x in [*gamma, last]], Fraction(3, 2), Fraction(5, 4)
    bound = omega(gamma, D=1.5, G=1.25, last=last, horizons="all")
    exact = last_iterate(gamma, D=1.5, G=1.25, horizons="all")
    for t in range(1, len(gamma) + 1):
        value = exact_value(entries[:t], D, G) if any(gamma[:t]) else 2 * D * G
        assert exact[t - 1] == pytest.approx(float(value / 2), rel=ROUNDING)
        if entries[t] > 0:
            value = exact_omega(entries[: t + 1], D, [G] * (t + 1))
            assert bound[t - 1] == pytest.approx(float(value / 2), rel=ROUNDING)
        else:
            assert np.isinf(bound[t - 1])


@given(data=st.data(), N=st.integers(1, 3 * LEAF), size=st.sampled_from([0.1, 2, 20]))
def test_every_horizon_is_a_single_horizon(data, N, size):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    gamma = rng.lognormal(0, size, N) * (rng.random(N) < 0.8)
    D, G = data.draw(st.floats(1e-2, 1e2)), data.draw(st.floats(1e-2, 1e2))
    own = [last_iterate(gamma[:t], D=D, G=G) for t in range(1, N + 1)]
    np.testing.assert_allclose(last_iterate(gamma, D=D, G=G, horizons="all"), own, rtol=ROUNDING)
    for bound in (omega, b_prime):
        own = [
            bound(gamma[:t], D=D, G=G, last=entry) if entry > 0 else np.inf
            for t, entry in enumerate([*gamma[1:], 0.7], start=1)
        ]
        every = bound(gamma, D=D, G=G, last=0.7, horizons="all")
        np.testing.assert_allclose(every, own, rtol=ROUNDING)


@pytest.mark.parametrize("bound", [omega, b_prime])
@pytest.mark.parametrize("N", [1, 5, 2 * LEAF + 1])
def test_batches_of_steps_norms_and_last_entries_equal_their_rows(bound, N):
    rng = np.random.default_rng(0)
    gamma, G, last = rng.random((2, 3, N)), 1 + rng.random((2, 3, N + 1)), 1 + rng.random((2, 3))

    def at(gamma, G, last):
        return bound(gamma, D=2, G=G, last=last, horizons="all")

    whole = at(gamma, G, last)
    assert whole.shape == (2, 3, N)
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(whole[i, j], at(gamma[i, j], G[i, j], last[i, j]))
        np.testing.assert_array_equal(at(gamma, 1.5, 0.2)[i, j], at(gamma[i, j], 1.5, 0.2))
        np.testing.assert_array_equal(
            at(gamma[0, 0], G, last)[i, j], at(gamma[0, 0], G[i, j], last[i, j])
        )


def test_the_exact_values_of_a_batch_equal_their_rows():
    gamma = np.random.default_rng(0).random((2, 3, 50))
    whole = last_iterate(gamma, D=2, G=3, horizons="all")
    assert whole.shape == gamma.shape
    for i, j in np.ndindex(2, 3):
        np.testing.assert_array_equal(
            whole[i, j], last_iterate(gamma[i, j], D=2, G=3, horizons="all")
        )


def test_a_tableau_has_the_horizons_of_its_steps():
    from sftheory.methods import LastIterate, PolyakAverage

    gamma = Linear()(40) / 6
    tableau = LastIterate().tableau(gamma)
    for bound, more in ((omega, {"last": 0.1}), (b_prime, {"last": 0.1}), (last_iterate, {})):
        own = bound(gamma, D=1, G=1, horizons="all", **more)
        np.testing.assert_array_equal(bound(tableau, D=1, G=1, horizons="all", **more), own)
        with pytest.raises(InputError, match=f"bounds.{bound.__name__} does not cover"):
            bound(PolyakAverage().tableau(gamma), D=1, G=1, horizons="all", **more)


@every_shape
@pytest.mark.parametrize("power", [-100, 100])
def test_scaling_by_a_power_of_two_changes_no_digit(shape, power):
    gamma, scale = steps_of(500)[shape], 2.0**power
    for bound, last in ((omega, {"last": 0.3}), (last_iterate, {})):
        one = bound(gamma, D=3, G=0.7, horizons="all", **last)
        more = {name: value * scale for name, value in last.items()}
        scaled = bound(gamma * scale, D=3 * scale, G=0.7, horizons="all", **more)
        np.testing.assert_array_equal(scaled, scale * one)


@pytest.mark.parametrize("N", [1, 2, LEAF, LEAF + 1, 1000])
def test_steps_of_zero_are_horizons_of_their_own(N):
    zeros = np.zeros(N)
    assert (last_iterate(zeros, D=2, G=3, horizons="all") == 6).all()
    bound = omega(zeros, D=2, G=3, last=0.5, horizons="all")
    assert np.isinf(bound[:-1]).all()
    assert bound[-1] == pytest.approx((4 / 0.5 + 0.5 * 9) / 2, rel=1e-12)
    for place in {0, N // 2, N - 1}:
        gamma = zeros.copy()
        gamma[place] = 0.25
        exact = last_iterate(gamma, D=1, G=1, horizons="all")
        alone = last_iterate([0.25], D=1, G=1)
        np.testing.assert_allclose(exact, np.where(np.arange(N) < place, 1, alone), rtol=1e-12)
        bound = omega(gamma, D=1, G=1, last=0.5, horizons="all")
        assert np.isfinite(bound).sum() == 1 + (place > 0)
        single = omega([0.25], D=1, G=1, last=0.5)
        assert bound[-1] == pytest.approx(single, rel=1e-12)


def test_a_long_run_keeps_its_digits():
    """Compared with prefix sums in extended precision; Ω of constant steps has a closed form."""
    N = 100_000
    gamma = np.full(N, 0.1)
    harmonic = 1 + np.cumsum(1 / np.arange(1, N + 1, dtype=np.longdouble))
    T = np.arange(2, N + 2)
    closed = 1 / (2 * np.longdouble(0.1) * T) + np.longdouble(0.1) / 2 * harmonic
    found = omega(gamma, D=1, G=1, last=0.1, horizons="all")
    np.testing.assert_allclose(found, closed.astype(float), rtol=ROUNDING)
    gamma = N * Linear()(N) / (N + 1) ** 1.5
    exact = last_iterate(gamma, D=1, G=1, horizons="all")
    assert exact[-1] == pytest.approx(1 / np.sqrt(N + 1), rel=ROUNDING)
    assert exact.argmin() == N - 1


def test_the_end_of_every_chain_is_what_the_recursion_reaches():
    h = np.array([0.5, 0.0, 2.0, 0.25])
    S, V = every_horizon(h, h, np.zeros(4), curved=True)
    ends = []
    for t in range(1, 5):
        P = 0.0
        for x in h[:t][::-1]:
            P = max(P, x) + 2 * x + x * x / max(P, x) if x else P
        ends.append(P)
    np.testing.assert_allclose(2 * S + V, ends, rtol=1e-12)
    np.testing.assert_allclose(S, np.cumsum(h), rtol=1e-12)


BLOCKS = {
    "one step, the first": [1.0, *[0.0] * (LEAF - 1)],
    "one step, the last": [*[0.0] * (2 * LEAF - 1), 1.0],
    "two steps": [0.5, *[0.0] * (2 * LEAF - 2), 0.5],
    "a large step before small ones": [1.0, *[1e-3] * (4 * LEAF - 1)],
    "equal": [0.25] * (8 * LEAF),
    "rising": [1.3**k for k in range(4 * LEAF)],
    "falling": [0.8**k for k in range(4 * LEAF)],
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("curved", [False, True])
@pytest.mark.parametrize("factor", [1, 1.01, 1.5, 4, 1e3, 1e9])
def test_a_block_may_be_entered_from_its_own_sum_to_infinity(block, curved, factor):
    """Interpolation is least accurate at P = T. The last chain meets no step before the block."""
    h = np.array([*BLOCKS[block], *[0.0] * LEAF])
    half = factor * h.sum() / 2 * (1 + 1e-14)
    _, V = every_horizon(h, h, np.full(len(h), half), curved)
    with localcontext(Context(prec=50)):
        P, r = 2 * Decimal(half), Decimal(0)
        for step in [Decimal(x) for x in reversed(BLOCKS[block])]:
            r, P = r + step**2 / P, P + 2 * step + (step**2 / P if curved else 0)
    assert V[-1] == pytest.approx(float(r), rel=ROUNDING)


REFUSED = [
    (lambda: omega([0.1], D=1, G=1, horizons="all"), r"bounds\.omega needs last="),
    (lambda: b_prime([0.1], D=1, G=1, horizons="all"), r"bounds\.b_prime needs last="),
    (lambda: b_prime([0.1], D=1, G=1, last=0, horizons="all"), r"bounds\.b_prime needs last > 0"),
    (lambda: last_iterate([0.1], D=1, G=1, horizons="each"), "horizons is None or 'all'"),
    (lambda: b_prime([0.1], D=1, G=1, horizons="each"), "horizons is None or 'all'"),
    (lambda: last_iterate([-0.1], D=1, G=1, horizons="all"), "has -0.1 at step 1"),
    (lambda: last_iterate([0.1], D=1, G=[1, 1], horizons="all"), "holds for one G"),
]


@pytest.mark.parametrize(("call", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_bad_input_never_yields_horizons(call, reason):
    with pytest.raises(InputError, match=reason):
        call()
