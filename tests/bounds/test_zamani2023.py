"""The exact worst case of the last iterate, against two other recursions and the worst function."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory.bounds import last_iterate, last_iterate_tuned
from sftheory.bounds.zamani2023 import last_iterate_gradient
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, iterate
from sftheory.schedules import WSD, Constant, Cosine, InverseSqrt, Linear

positive = st.floats(1e-2, 1e2)
# spread over decades, so that the recursion clips and the small-step branch occurs
some_steps = st.lists(st.floats(-3, 1).map(lambda e: 10**e), min_size=1, max_size=15)


def by_P_and_V(h, D, G):
    P = V = S = 0.0
    for step in reversed(h):
        if step > 0:
            if step > P:
                P, V = step, step - 2 * S
            u = step / np.sqrt(P)
            P, V, S = (np.sqrt(P) + u) ** 2, V + u * u, S + step
    return D * G - G * G * S if G * P < D else (D * D / P + G * G * V) / 2


def by_w_and_q(h, D, G):
    h, w = [step * G / D for step in h], 0.0
    for step in reversed(h):
        q = 1.0 if w == 0 else min(1.0, step / (2 * w))
        w = step * (1 + q) + w * (1 - q * q)
    p = 1.0 if w == 0 else min(1.0, 1 / (2 * w))
    return D * G * (p + w * (1 - p * p) - sum(h))


@given(h=st.lists(st.just(0.0) | positive, min_size=1, max_size=15), D=positive, G=positive)
def test_the_value_is_that_of_two_other_recursions(h, D, G):
    value = last_iterate(h, D=D, G=G)
    rounding = 1e-12 * max(D * G, G * G * sum(h))  # the other two subtract the sum of the steps
    assert value == pytest.approx(by_P_and_V(h, D, G), rel=1e-12, abs=rounding)
    assert value == pytest.approx(by_w_and_q(h, D, G), rel=1e-12, abs=rounding)


@pytest.mark.parametrize("N", [1, 2, 10, 1000])
@pytest.mark.parametrize(("D", "G"), [(1.0, 1.0), (3.0, 0.2)])
def test_linear_decay_with_the_right_peak_attains_the_minimax_value(N, D, G):
    gamma = D * N / (G * (N + 1) ** 1.5) * Linear()(N)
    minimax = D * G / np.sqrt(N + 1)
    assert last_iterate(gamma, D=D, G=G) == pytest.approx(minimax, rel=1e-12)
    base, value = last_iterate_tuned(Linear()(N), D=D, G=G)
    np.testing.assert_allclose(base * Linear()(N), gamma, rtol=1e-12)
    assert value == pytest.approx(minimax, rel=1e-12)


def test_steps_of_zero_change_nothing():
    with_pauses = last_iterate([0.0, 0.3, 0.0, 0.2, 0.0], D=1, G=1)
    assert with_pauses == pytest.approx(last_iterate([0.3, 0.2], D=1, G=1), rel=1e-12)
    assert last_iterate([0.0, 0.0], D=2, G=3) == 6


@given(a=some_steps, b=some_steps, share=st.floats(0, 1))
def test_the_worst_case_is_convex_in_the_steps(a, b, share):
    n = min(len(a), len(b))
    a, b = np.array(a[:n]), np.array(b[:n])
    between = last_iterate(share * a + (1 - share) * b, D=1, G=1)
    chord = share * last_iterate(a, D=1, G=1) + (1 - share) * last_iterate(b, D=1, G=1)
    assert between <= chord * (1 + 1e-12)


@given(gamma=some_steps, D=positive, G=positive)
def test_the_gradient_supports_the_worst_case_from_below(gamma, D, G):
    gamma = np.array(gamma) * D / G
    slope = last_iterate_gradient(gamma, D=D, G=G)
    value = last_iterate(gamma, D=D, G=G)
    for other in (0.5 * gamma, 2 * gamma, gamma[::-1]):
        tangent = value + slope @ (other - gamma)
        assert tangent <= last_iterate(other, D=D, G=G) + 1e-10 * (value + abs(tangent))


@pytest.mark.parametrize("gamma", [[0.3], [0.2, 0.1, 0.4], [0.01, 0.02], [0.05, 2.0, 0.1, 0.3]])
def test_the_gradient_is_the_slope(gamma):
    gamma, D, G, h = np.array(gamma), 1.5, 0.8, 1e-6
    slope = [
        (last_iterate(gamma + e, D=D, G=G) - last_iterate(gamma - e, D=D, G=G)) / (2 * h)
        for e in h * np.eye(len(gamma))
    ]
    np.testing.assert_allclose(last_iterate_gradient(gamma, D=D, G=G), slope, atol=1e-8)
    batch = last_iterate_gradient(np.stack([gamma, 2 * gamma]), D=D, G=G)
    np.testing.assert_array_equal(batch[0], last_iterate_gradient(gamma, D=D, G=G))


@given(eta=some_steps, D=positive, G=positive)
def test_the_tuned_base_step_attains_its_value_and_no_other_does_better(eta, D, G):
    eta = np.array(eta)
    base, value = last_iterate_tuned(eta, D=D, G=G)
    assert last_iterate(base * eta, D=D, G=G) == pytest.approx(value, rel=1e-10)
    for rho in (0.9, 1.1, 3.0):
        missed = last_iterate(rho * base * eta, D=D, G=G)
        assert missed >= value * (1 - 1e-12)
        if rho > 1:  # whatever the shape
            assert missed == pytest.approx(value * (rho + 1 / rho) / 2, rel=1e-10)


SHAPES = [Linear(), WSD(0.5), Cosine(), WSD(0.2), WSD(0.1), InverseSqrt(), Constant()]
TUNED = {
    10: (1, 1.01479, 1.03112, 1.08648, 1.17512, 1.07666, 1.17512),
    100: (1, 1.01614, 1.03049, 1.08015, 1.14279, 1.22584, 1.41228),
    1000: (1, 1.01629, 1.03013, 1.07980, 1.14088, 1.37372, 1.60771),
    10_000: (1, 1.01630, 1.03009, 1.07977, 1.14071, 1.51529, 1.77863),
}


@pytest.mark.parametrize("points", TUNED)
def test_tuned_shapes_have_the_tabled_worst_cases(points):
    values = [last_iterate_tuned(s(points - 1), D=1, G=1)[1] * points**0.5 for s in SHAPES]
    np.testing.assert_allclose(values, TUNED[points], rtol=0, atol=5.1e-6)  # the table's digits


def test_tuned_base_steps_are_the_tabled_ones():
    bases = [last_iterate_tuned(s(999), D=1, G=1)[0] * 1000**0.5 for s in SHAPES]
    tabled = [0.999, 0.65574, 0.96972, 0.51418, 0.46097]
    np.testing.assert_allclose(bases[:5], tabled, rtol=0, atol=5.1e-6)
    assert bases[6] == pytest.approx(0.31051, abs=5.1e-6)


def test_a_shape_without_a_step_cannot_be_tuned():
    with pytest.raises(InputError, match="needs a positive step"):
        last_iterate_tuned([[0.1, 0.1], [0.0, 0.0]], D=1, G=1)


def worst_function(h, D, G):
    """Rows g_j of f = max(0, max_j <g_j, x>) with x_1 = D e_0, on which the value is attained."""
    N, M = len(h), [0.0]
    for step in reversed(h):
        P = max(M[-1], step)
        M.append(P + 2 * step + step * step / P)
    M = M[::-1]
    p = min(1.0, D / (G * M[0]))
    U, b, rows = 1 - p * p, np.array([p] + [0.0] * N), []
    for k in range(N):
        if U <= 0:
            break
        saturated = h[k] >= M[k + 1]
        q = 1.0 if saturated else h[k] / M[k + 1]
        rows.append(G * (b + np.sqrt(U) * np.eye(N + 1)[k + 1]))
        b = b - q * np.sqrt(U) * np.eye(N + 1)[k + 1]
        U = 0.0 if saturated else U * (1 - q * q)
    return np.array([*rows, G * b])


@given(h=some_steps, D=positive, G=positive)
def test_the_worst_function_is_met_by_the_loop_and_attains_the_value(h, D, G):
    h = [step * D / G for step in h]
    rows = worst_function(h, D, G)
    x1, visited = D * np.eye(len(h) + 1)[0], iter(range(len(h) + 1))
    rounding = 1e-12 * max(D * G, G * G * sum(h))

    def oracle(x):
        piece = rows[min(next(visited), len(rows) - 1)]
        assert piece @ x >= max(0, (rows @ x).max()) - rounding  # a subgradient of f at x
        return piece

    *_, (x, *_) = iterate(Tableau(h, 0.0, 1.0), x1, oracle)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), G, rtol=1e-12)
    assert abs(max(0, (rows @ x).max()) - last_iterate(h, D=D, G=G)) <= rounding
