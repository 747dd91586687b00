"""The functions of solutions, and the quadratic programs behind the smooth ones."""

import cvxpy as cp
import numpy as np
import pytest

from sftheory.worst_cases import Interpolation


def by_definition(f, x):
    """min over z of μ/2 |x|² + max(0, max_k o_k + <v_k, z>) + (L - μ)/2 |x - z|², and the slope."""
    z, top = cp.Variable(len(x)), cp.Variable(nonneg=True)
    stiffness = f.L - f.mu
    cost = top + stiffness / 2 * cp.sum_squares(z - x)
    cp.Problem(cp.Minimize(cost), [top >= f.offsets + f.slopes @ z]).solve(solver=cp.CLARABEL)
    return f.mu / 2 * x @ x + cost.value, f.mu * x + stiffness * (x - z.value)


def some(seed, M, d, mu=0.0, height=1.0):
    rng = np.random.default_rng(seed)
    slopes, offsets = rng.standard_normal((M, d)), -height * rng.uniform(0, 1, M)
    return Interpolation(slopes, offsets, rng.standard_normal(d), L=1.5, mu=mu), rng


def compare(f, x):
    value, slope = f.oracle(x)
    expected, gradient = by_definition(f, x)
    assert value == pytest.approx(expected, abs=1e-6 * max(1, expected))  # solver
    np.testing.assert_allclose(slope, gradient, atol=2e-4 * max(1, np.abs(gradient).max()))


@pytest.mark.parametrize("mu", [0.0, 0.4])
@pytest.mark.parametrize("M, d", [(1, 1), (2, 2), (3, 4), (6, 6), (12, 20)])
def test_a_smooth_function_is_the_envelope_of_its_pieces(M, d, mu):
    for seed in range(4):
        f, rng = some(seed, M, d, mu)
        for size in (0.3, 1, 5):
            compare(f, size * rng.standard_normal(d))


@pytest.mark.parametrize("M, d", [(2, 1), (4, 1), (7, 2)])
def test_pieces_may_depend_on_each_other(M, d):
    for seed in range(20):
        f, rng = some(seed, M, d, height=0.1)
        for size in (0.3, 1, 3):
            compare(f, size * rng.standard_normal(d))


def test_two_pieces_on_a_line_and_the_flat_one_by_hand():
    f = Interpolation(np.array([[1.88], [-1.71]]), np.array([-0.07, -0.12]), np.ones(1), L=1.0)
    z = 0.07 / 1.88  # where the first piece meets 0, and |x - z| is below its slope
    value, slope = f.oracle(np.array([1.1]))
    assert value == pytest.approx((1.1 - z) ** 2 / 2, rel=1e-12)
    assert slope[0] == pytest.approx(1.1 - z, rel=1e-12)


@pytest.mark.parametrize("mu", [0.0, 0.4])
@pytest.mark.parametrize("kind", ["whole numbers", "repeated", "parallel", "nearly equal"])
def test_the_value_is_the_cost_of_the_point_that_the_slope_names(kind, mu):
    # the value is at most the least cost, and no cost is below that: equal, both are right
    for seed in range(40):
        rng = np.random.default_rng(seed)
        M, d = int(rng.integers(1, 20)), int(rng.integers(1, 6))
        slopes, offsets = rng.integers(-2, 3, (M, d)) * 1.0, -0.25 * rng.integers(0, 4, M)
        if kind != "whole numbers":
            slopes = rng.standard_normal((M, d))
        if kind == "parallel":
            slopes = rng.standard_normal((M, 1)) * slopes[:1]
        if kind in ("repeated", "nearly equal"):
            slopes = slopes[rng.integers(0, M, M)]
        if kind == "nearly equal":
            slopes *= 1 + 1e-9 * rng.standard_normal((M, 1))
        f = Interpolation(slopes, offsets, np.ones(d), L=1.5, mu=mu)
        for size in (0.0, 0.3, 3):
            x = size * rng.standard_normal(d)
            value, slope = f.oracle(x)
            step = (slope - mu * x) / (f.L - mu)
            top = max(0, (offsets + slopes @ (x - step)).max())
            cost = mu / 2 * x @ x + top + (f.L - mu) / 2 * step @ step
            assert value == pytest.approx(cost, rel=1e-12, abs=1e-13)


def test_a_batch_of_points_is_its_points():
    for L in (None, 2.0):
        f = Interpolation(np.eye(3), np.array([0.0, -0.1, -0.2]), np.ones(3), L=L, mu=0.1)
        x = np.random.default_rng(0).standard_normal((2, 4, 3))
        value, slope = f.oracle(x)
        for i, j in np.ndindex(2, 4):
            assert value[i, j] == pytest.approx(f.value(x[i, j]), rel=1e-12, abs=1e-15)
            np.testing.assert_allclose(slope[i, j], f.subgradient(x[i, j]), atol=1e-14)


def test_without_smoothness_the_largest_piece_is_returned_and_nothing_below_zero():
    f = Interpolation(np.eye(2), np.array([0.0, -0.5]), np.ones(2), G=1.0)
    assert f.value(np.array([1.0, 1.2])) == 1.0 and f.value(np.array([-1.0, 0.4])) == 0
    np.testing.assert_array_equal(f.subgradient(np.array([1.0, 2.0])), [0, 1])
    np.testing.assert_array_equal(f.subgradient(np.array([-1.0, 0.4])), [0, 0])
    assert (f.G, f.L, f.mu, f.f_star, f.D) == (1.0, None, 0.0, 0.0, np.sqrt(2))
