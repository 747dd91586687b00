"""B' against its definition in fractions, the weights lemma, Ω and general-purpose minimisers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from sftheory.bounds import b_prime, b_prime_tuned, last_iterate, last_iterate_tuned, omega
from sftheory.core.errors import InputError
from sftheory.schedules import WSD, Constant, Cosine, InverseSqrt, Linear

positive = st.floats(0.1, 10)
some_steps = st.lists(st.just(0.0) | st.floats(1e-3, 2), min_size=1, max_size=12)
thirteen_norms = st.lists(positive, min_size=13, max_size=13)


def by_definition(gamma, tau, D, G):
    """4 B' term by term, exactly."""
    gamma, tau, D = [Fraction(x) for x in gamma], Fraction(tau), Fraction(D)
    G = [Fraction(x) for x in G]
    tails = [sum(gamma[k:], tau) for k in range(len(gamma) + 1)]
    noise = sum((gamma[k] * G[k]) ** 2 / tails[k + 1] for k in range(len(gamma)))
    return float(D**2 / tails[0] + noise + 4 * tau * G[-1] ** 2) / 4


def weights_lemma(gamma, sigma, D, G):
    """½ [D² / s_1² + Σ u_k² G_k² + sigma² G_{N+1}²], s_k = s_{k+1} + u_k, u_k = gamma_k/s_{k+1}."""
    s, noise = sigma, (sigma * G[-1]) ** 2
    for step, norm in zip(reversed(gamma), reversed(G[:-1]), strict=True):
        u = step / s
        s, noise = s + u, noise + (u * norm) ** 2
    return ((D / s) ** 2 + noise) / 2


@given(gamma=some_steps, last=positive, D=positive, norms=thirteen_norms)
def test_the_value_is_its_definition_and_half_of_omega_with_more_of_the_last_entry(
    gamma, last, D, norms
):
    for G in (norms[0], np.array(norms[: len(gamma) + 1])):
        value = b_prime(gamma, D=D, G=G, last=last)
        every = np.broadcast_to(G, len(gamma) + 1).tolist()
        assert value == pytest.approx(by_definition(gamma, last, D, every), rel=1e-12)
        half = omega(gamma, D=D, G=G, last=last) / 2 + 0.75 * last * every[-1] ** 2
        assert value == pytest.approx(half, rel=1e-12)


@given(gamma=some_steps, last=positive, D=positive, norms=thirteen_norms)
def test_it_is_never_below_the_weights_lemma_at_sigma_squared_2_tau(gamma, last, D, norms):
    G = norms[: len(gamma) + 1]
    lemma = weights_lemma(gamma, np.sqrt(2 * last), D, G)
    assert b_prime(gamma, D=D, G=G, last=last) >= lemma * (1 - 1e-12)  # rounding


@given(a=some_steps, b=some_steps, taus=st.tuples(positive, positive), share=st.floats(0, 1))
def test_it_is_convex_in_the_steps_and_the_free_entry(a, b, taus, share):
    n = min(len(a), len(b))
    a, b = np.array(a[:n]), np.array(b[:n])

    def at(gamma, tau):
        return b_prime(gamma, D=1, G=1, last=tau)

    between = at(share * a + (1 - share) * b, share * taus[0] + (1 - share) * taus[1])
    assert between <= (share * at(a, taus[0]) + (1 - share) * at(b, taus[1])) * (1 + 1e-12)


NORMS = [1.0, np.array([1.0, 0.5, 2.0, 1.5])]


@pytest.mark.parametrize("G", NORMS, ids=["one norm", "N + 1 norms"])
@pytest.mark.parametrize(
    "gamma", [[0.5, 0.3, 0.1], [0.0, 0.2, 0.0], [1e-4, 1e-3, 1e-2], [3.0, 5.0, 2.0]], ids=str
)
def test_without_last_the_free_entry_is_the_best_one(gamma, G):
    def at(u):
        return b_prime(gamma, D=1.5, G=G, last=np.exp(u))

    found = minimize_scalar(at, bracket=(-3, 0), tol=1e-10).fun
    assert b_prime(gamma, D=1.5, G=G) == pytest.approx(found, rel=1e-10)


@pytest.mark.parametrize("G", NORMS, ids=["one norm", "N + 1 norms"])
@pytest.mark.parametrize("eta", [[1, 1, 1], [3, 2, 1], [0, 1, 2], [1, 0.1, 0.01]], ids=str)
def test_the_tuned_base_and_free_entry_are_the_best_pair(eta, G):
    eta = np.array(eta, float)

    def at(u):
        return b_prime(np.exp(u[0]) * eta, D=1.5, G=G, last=np.exp(u[1]))

    found = minimize(at, [-1, -1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    base, value = b_prime_tuned(eta, D=1.5, G=G)
    assert value == pytest.approx(found.fun, rel=1e-10)
    assert b_prime(base * eta, D=1.5, G=G) == pytest.approx(value, rel=1e-10)
    assert base == pytest.approx(np.exp(found.x[0]), rel=1e-4)  # flat at the minimum


def test_with_a_given_last_entry_the_base_scales_it_too():
    eta, last, G = np.array([1.0, 2.0, 0.5]), 0.4, np.array([1.0, 0.5, 2.0, 1.5])
    base, value = b_prime_tuned(eta, D=1.5, G=G, last=last)
    at = [b_prime(a * base * eta, D=1.5, G=G, last=a * base * last) for a in (0.99, 1, 1.01)]
    assert at[1] == pytest.approx(value, rel=1e-12)
    assert min(at[0], at[2]) > value


SHAPES = [Linear(), Cosine(), WSD(0.2), Constant(), InverseSqrt()]


@pytest.mark.parametrize(
    ("N", "low", "high"), [(9, 1.07, 1.13), (99, 1.018, 1.04), (999, 1.001, 1.025)]
)
def test_tuned_it_comes_close_to_the_exact_worst_case(N, low, high):
    for shape in SHAPES:
        exact = last_iterate_tuned(shape(N), D=1, G=1)[1]
        assert low < b_prime_tuned(shape(N), D=1, G=1)[1] / exact < high


def test_no_horizon_is_below_its_exact_worst_case_nor_above_omega_by_more_than_its_last_entry():
    gamma = WSD(0.2)(500) / 20
    tau = np.append(gamma[1:], gamma[-1])
    half = b_prime(gamma, D=1, G=1, last=tau[-1], horizons="all")
    assert (half >= last_iterate(gamma, D=1, G=1, horizons="all")).all()
    full = omega(gamma, D=1, G=1, last=tau[-1], horizons="all")
    np.testing.assert_allclose(half - full / 2, 0.75 * tau, rtol=1e-9)  # a difference


REFUSED = [
    (lambda: b_prime([0.1], D=1, G=1, last=0), r"bounds\.b_prime needs last > 0"),
    (lambda: b_prime([0.1], D=None, G=1), r"bounds\.b_prime needs D"),
    (lambda: b_prime([0.1], D=1, G=[1, 1, 1]), r"bounds\.b_prime needs one G or N\+1=2"),
    (
        lambda: b_prime(np.ones((2, 1)), D=1, G=np.ones((3, 2))),
        r"bounds\.b_prime got steps of shape \(2, 1\) and norms of shape \(3, 2\)",
    ),
    (lambda: b_prime_tuned([0.0, 0.0], D=1, G=1), "needs a positive step"),
    (lambda: b_prime_tuned([0.1], D=1, G=1, last=-1), r"bounds\.b_prime_tuned needs last > 0"),
    (lambda: b_prime_tuned([0.1], D=-1, G=1), r"bounds\.b_prime_tuned needs D"),
]


@pytest.mark.parametrize(("call", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_bad_input_never_yields_a_number(call, reason):
    with pytest.raises(InputError, match=reason):
        call()
