"""Omega against the paper's double sum, closed forms, general-purpose minimisers and tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import digamma

from sftheory.bounds import omega, omega_terms, omega_tuned
from sftheory.core.errors import InputError
from sftheory.schedules import SGDR, WSD, Constant, Cosine, InverseSqrt, Linear

positive = st.floats(0.1, 10)
some_steps = st.lists(st.just(0.0) | st.floats(1e-3, 2), min_size=1, max_size=12)
thirteen_norms = st.lists(positive, min_size=13, max_size=13)


def harmonic(n):
    return sum(1 / i for i in range(1, n + 1))


def literal(eta, D, G):
    """The paper's three sums over T entries, as written."""
    eta = np.asarray(eta, float)
    q, T = eta**2 * np.broadcast_to(G, eta.shape) ** 2, len(eta)
    t1, t2 = D**2 / (2 * eta.sum()), q.sum() / (2 * eta.sum())
    t3 = sum(eta[k] / eta[k + 1 :].sum() * q[k:].sum() / eta[k:].sum() for k in range(T - 1)) / 2
    return t1, t2, t3


@given(gamma=some_steps, last=positive, D=positive, norms=thirteen_norms)
def test_omega_is_the_papers_double_sum(gamma, last, D, norms):
    for G in (norms[0], np.array(norms[: len(gamma) + 1])):
        terms = literal([*gamma, last], D, G)
        assert omega(gamma, D=D, G=G, last=last) == pytest.approx(sum(terms), rel=1e-12)
        np.testing.assert_allclose(omega_terms(gamma, D=D, G=G, last=last), terms, rtol=1e-10)


def test_the_terms_sum_to_omega_also_with_the_best_free_entry():
    gamma = np.array([[0.3, 0.2, 0.1], [0.0, 0.5, 0.1]])
    terms = omega_terms(gamma, D=2, G=0.5)
    np.testing.assert_allclose(np.sum(terms, axis=0), omega(gamma, D=2, G=0.5), rtol=1e-12)


@pytest.mark.parametrize("T", [2, 10, 400])
@pytest.mark.parametrize(("D", "G", "step"), [(1.0, 1.0, 0.1), (2.0, 0.3, 0.5)])
def test_constant_linear_and_wsd_steps_have_their_closed_forms(T, D, G, step):
    H = harmonic(T - 1)
    constant = D**2 / (2 * step * T) + step * G**2 / 2 * (1 + H)
    assert omega(np.full(T - 1, step), D=D, G=G, last=step) == pytest.approx(constant, rel=1e-12)
    linear = D**2 / (step * T * (T + 1)) + step * G**2 / 2 * (2 * T - 1 + 2 * H)
    gamma = step * np.arange(T, 1, -1)
    assert omega(gamma, D=D, G=G, last=step) == pytest.approx(linear, rel=1e-12)
    base, value = omega_tuned(np.arange(T, 1, -1), D=D, G=G, last=1)
    tuned = D * G * np.sqrt((4 * T - 2 + 4 * H) / (T * (T + 1)))
    assert value == pytest.approx(tuned, rel=1e-12)
    assert omega(base * np.arange(T, 1, -1), D=D, G=G, last=base) == pytest.approx(tuned, rel=1e-12)


@pytest.mark.parametrize(("plateau", "n"), [(3, 2), (80, 20), (320, 80)])
def test_wsd_has_its_closed_form(plateau, n):
    D, G, step = 2.0, 0.3, 0.1
    eta = step * np.concatenate([np.ones(plateau), np.arange(n, 0, -1) / n])
    A = plateau + (n + 1) / 2
    noise = digamma(A) - digamma((n + 1) / 2) + (2 * n - 1 + 2 * harmonic(n - 1)) / n
    expected = D**2 / (2 * step * A) + step * G**2 / 2 * noise
    assert omega(eta[:-1], D=D, G=G, last=eta[-1]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("shape", "limit"),
    [
        (Linear(), 2),
        *[(WSD(c), np.sqrt((np.log((2 - c) / c) + 2) / (1 - c / 2))) for c in (0.1, 0.2, 0.5)],
        (Cosine(), 2.06017),
    ],
    ids=repr,
)
def test_tuned_omega_approaches_its_limit_like_log_T_over_T(shape, limit):
    for T in (10_000, 100_000):
        eta = shape(T)
        value = omega_tuned(eta[:-1], D=1, G=1, last=eta[-1])[1] * np.sqrt(T)
        assert abs(value - limit) <= 4 * np.log(T) / T + 5e-6  # digits of the cosine's integral


COLUMNS = [Linear(), WSD(0.2), WSD(0.1), WSD(0.2, "1-sqrt"), Cosine(), Constant()]
COLUMNS += [InverseSqrt(), WSD(1, "1-sqrt")]
VALUES = {
    60: (2.0512, 2.2543, 2.4031, 2.2174, 2.1123, 2.3797, 2.1819, 2.0621),
    100: (2.0361, 2.2303, 2.3798, 2.1871, 2.0911, 2.4854, 2.2531, 2.0468),
    400: (2.0126, 2.1865, 2.3227, 2.1458, 2.0677, 2.7509, 2.4453, 2.0249),
    1000: (2.0060, 2.1727, 2.3022, 2.1351, 2.0632, 2.9128, 2.5701, 2.0190),
    4000: (2.0018, 2.1637, 2.2882, 2.1287, 2.0609, 3.1418, 2.7539, 2.0155),
}
BASES = {
    60: (0.9591, 0.4884, 0.4342, 0.5149, 0.9313, 0.4202),
    100: (0.9726, 0.4954, 0.4400, 0.5243, 0.9469, 0.4023),
    400: (0.9913, 0.5075, 0.4526, 0.5369, 0.9648, 0.3635),
    1000: (0.9960, 0.5111, 0.4570, 0.5401, 0.9684, 0.3433),
    4000: (0.9988, 0.5134, 0.4600, 0.5420, 0.9702, 0.3183),
}


@pytest.mark.parametrize("T", VALUES)
def test_tuned_shapes_have_the_tabled_values_and_base_steps(T):
    shapes = np.array([shape(T) for shape in COLUMNS])
    base, value = omega_tuned(shapes[:, :-1], D=1, G=1, last=shapes[:, -1])
    np.testing.assert_allclose(value * T**0.5, VALUES[T], rtol=0, atol=5.1e-5)  # table's digits
    np.testing.assert_allclose(base[:6] * T**0.5, BASES[T], rtol=0, atol=5.1e-5)


def test_three_restarts_cost_the_tabled_value():
    eta = SGDR(restarts=3)(400)
    value = omega_tuned(eta[:-1], D=1, G=1, last=eta[-1])[1]
    assert value * 20 == pytest.approx(2.2583, abs=5.1e-5)


NORMS = [1.0, np.array([1.0, 0.5, 2.0, 1.5])]


@pytest.mark.parametrize("G", NORMS, ids=["one norm", "N + 1 norms"])
@pytest.mark.parametrize(
    "gamma", [[0.5, 0.3, 0.1], [0.0, 0.2, 0.0], [1e-4, 1e-3, 1e-2], [3.0, 5.0, 2.0]], ids=str
)
def test_without_last_the_free_entry_is_the_best_one(gamma, G):
    def at(u):
        return omega(gamma, D=1.5, G=G, last=np.exp(u))

    found = minimize_scalar(at, bracket=(-3, 0), tol=1e-10).fun
    assert omega(gamma, D=1.5, G=G) == pytest.approx(found, rel=1e-10)


@pytest.mark.parametrize("G", NORMS, ids=["one norm", "N + 1 norms"])
@pytest.mark.parametrize("eta", [[1, 1, 1], [3, 2, 1], [0, 1, 2], [1, 0.1, 0.01]], ids=str)
def test_the_tuned_base_and_free_entry_are_the_best_pair(eta, G):
    eta = np.array(eta, float)

    def at(u):
        return omega(np.exp(u[0]) * eta, D=1.5, G=G, last=np.exp(u[1]))

    found = minimize(at, [-1, -1], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    base, value = omega_tuned(eta, D=1.5, G=G)
    assert value == pytest.approx(found.fun, rel=1e-10)
    assert omega(base * eta, D=1.5, G=G) == pytest.approx(value, rel=1e-10)
    assert base == pytest.approx(np.exp(found.x[0]), rel=1e-4)  # flat at the minimum


@pytest.mark.parametrize("G", [[10.0, 1.0], [10.0, 10.0, 1.0], [30.0, 1.0], [1.0, 30.0]], ids=str)
def test_the_best_pair_is_found_also_where_the_last_norm_is_another(G):
    eta, G = np.ones(len(G) - 1), np.array(G)

    def at(u):  # the free entry as a multiple of the steps
        return omega_tuned(eta, D=1, G=G, last=np.exp(u))[1]

    found = minimize_scalar(at, bracket=(0, 1), tol=1e-10).fun
    assert omega_tuned(eta, D=1, G=G)[1] <= found * (1 + 1e-6)  # solver


@pytest.mark.parametrize("G", [0.5, np.array([1.0, 0.5, 2.0, 1.5, 0.7])], ids=["one", "N + 1"])
def test_all_horizons_are_the_bounds_of_the_points_on_the_way(G):
    gamma, D = np.array([0.3, 0.2, 0.4, 0.1]), 1.5

    def norms(t):
        return G if np.ndim(G) == 0 else G[: t + 1]

    entries = [*gamma, 0.05]
    own = [sum(literal(entries[: t + 1], D, norms(t))) for t in range(1, 5)]
    found = omega(gamma, D=D, G=G, last=0.05, horizons="all")
    np.testing.assert_allclose(found, own, rtol=1e-12)
    with pytest.raises(InputError, match="needs last="):
        omega(gamma, D=D, G=G, horizons="all")


def test_all_horizons_of_a_batch_equal_its_rows_and_a_free_entry_of_zero_bounds_nothing():
    gamma = np.array([[0.3, 0.0, 0.1], [0.1, 0.2, 0.3]])
    whole = omega(gamma, D=1, G=1, last=0.2, horizons="all")
    rows = [omega(row, D=1, G=1, last=0.2, horizons="all") for row in gamma]
    np.testing.assert_allclose(whole, rows, rtol=1e-12)
    assert np.isinf(whole[0, 0]) and np.isfinite(whole.ravel()[1:]).all()


@pytest.mark.parametrize("wrong", [{"last": 0}, {"last": -1}, {"last": np.nan}, {"horizons": "t"}])
def test_arguments_out_of_range_are_refused_with_the_rule(wrong):
    with pytest.raises(InputError, match=r"last > 0|horizons is None or 'all'"):
        omega([0.1, 0.1], D=1, G=1, **wrong)


def test_a_shape_without_a_step_cannot_be_tuned():
    with pytest.raises(InputError, match="needs a positive step"):
        omega_tuned([0.0, 0.0], D=1, G=1)
