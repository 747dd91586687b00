from functools import cache

import numpy as np
import pytest

from sftheory import bounds
from sftheory import problems as p
from sftheory.core.errors import InputError
from sftheory.problems import PROBLEMS

# every registered problem, and those arguments that change what is known of one
BUILDERS = {name: entry.make for name, entry in PROBLEMS.load().items()} | {
    "max_linear, not centred": lambda: p.MaxLinear(d=6, rows=9, centred=False),
    "l1_regression, noisy": lambda: p.L1Regression(n=30, d=5, noise=0.3),
    "logistic_regression, regular": lambda: p.LogisticRegression("diabetes", reg=0.1),
    "logistic_regression, minibatches": lambda: p.LogisticRegression("diabetes", batch=7),
    "noisy_quadratic, one mode": lambda: p.NoisyQuadratic([2.0], noise=0.5, x1=3, x_star=1),
    "schaipp_example, shifted": lambda: p.SchaippExample(start=0.001),
}
every_problem = pytest.mark.parametrize("name", BUILDERS)
built = cache(lambda name: BUILDERS[name]())


def near_start(problem, *shape, spread=0.3, seed=0):
    """Random float64 points around x1, where every problem is defined."""
    offsets = np.random.default_rng(seed).standard_normal((*shape, len(problem.x1)))
    return np.asarray(problem.x1, float) + spread * offsets


@every_problem
def test_values_and_subgradients_follow_the_shape_of_the_points(name):
    problem = built(name)
    one, batch, grid = (near_start(problem, *shape) for shape in [(), (5,), (2, 3)])
    for x in (one, batch, grid):
        value, g = problem.oracle(x)
        assert np.shape(problem.value(x)) == np.shape(value) == x.shape[:-1]
        assert np.shape(problem.subgradient(x)) == np.shape(g) == x.shape
    for i, j in np.ndindex(2, 3):
        np.testing.assert_allclose(problem.value(grid)[i, j], problem.value(grid[i, j]))
        np.testing.assert_allclose(problem.subgradient(grid)[i, j], problem.subgradient(grid[i, j]))


@every_problem
def test_the_oracle_is_the_value_and_the_subgradient(name):
    problem = built(name)
    x = near_start(problem, 5)
    value, g = problem.oracle(x)
    np.testing.assert_allclose(value, problem.value(x), rtol=1e-12)
    np.testing.assert_allclose(g, problem.subgradient(x), rtol=1e-12)


@every_problem
def test_a_point_of_whole_numbers_is_a_point(name):
    problem = built(name)
    x = np.arange(1, len(problem.x1) + 1) % 4
    for here, there in zip(problem.oracle(x), problem.oracle(x.astype(float)), strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-12)


@every_problem
def test_a_convex_function_lies_above_its_tangents(name):
    problem = built(name)
    u, v = near_start(problem, 200, spread=2), near_start(problem, 200, spread=2, seed=1)
    f, g = problem.oracle(u)
    above = problem.value(v) - f - (g * (v - u)).sum(axis=-1)
    if problem.convex:
        assert above.min() >= -1e-12 * (1 + np.abs(f).max())  # rounding
    else:
        assert above.min() < 0


@every_problem
def test_the_subgradient_is_the_slope_wherever_there_is_one(name):
    problem = built(name)
    x, h = near_start(problem, 8), 1e-6  # random points are no kinks
    slope = np.stack(
        [(problem.value(x + e) - problem.value(x - e)) / (2 * h) for e in h * np.eye(x.shape[-1])],
        axis=-1,
    )
    # differences: h² of the third derivative and the rounding 1e-16 / h
    np.testing.assert_allclose(slope, problem.subgradient(x), rtol=1e-6, atol=1e-7)


@every_problem
def test_subgradients_are_no_longer_than_G_and_gradients_no_steeper_than_L(name):
    problem = built(name)
    u, v = near_start(problem, 200, spread=10), near_start(problem, 200, spread=10, seed=1)
    g, h = problem.subgradient(u), problem.subgradient(v)
    if problem.G is not None:
        assert np.linalg.norm(g, axis=-1).max() <= problem.G * (1 + 1e-12)
    if problem.L is not None:
        change, distance = np.linalg.norm(g - h, axis=-1), np.linalg.norm(u - v, axis=-1)
        assert (change <= problem.L * distance * (1 + 1e-12)).all()
        assert (((g - h) * (u - v)).sum(-1) >= problem.mu * distance**2 * (1 - 1e-9)).all()
    assert problem.G is not None or problem.L is not None or not problem.convex


@every_problem
def test_no_point_is_below_f_star_and_x_star_attains_it(name):
    problem = built(name)
    assert problem.f_star is not None
    spread = 2 if problem.convex else 0.2  # the river's f is defined for r > -1
    assert problem.value(near_start(problem, 200, spread=spread)).min() >= problem.f_star
    if problem.x_star is None:
        assert problem.D is None
    else:
        assert abs(problem.value(problem.x_star) - problem.f_star) <= 1e-12
        gap = np.asarray(problem.x1, float) - problem.x_star
        assert problem.D == pytest.approx(np.sqrt((gap**2).sum()), rel=1e-12)
        around = problem.x_star + 1e-3 * (near_start(problem, 50) - problem.x1)
        assert problem.value(around).min() >= problem.f_star - 1e-12


@every_problem
def test_noise_drawn_in_two_parts_is_the_noise_drawn_at_once(name):
    problem = built(name)
    whole, rng = problem.draw(np.random.default_rng(3), 7), np.random.default_rng(3)
    parts = [problem.draw(rng, 3), problem.draw(rng, 4)]
    if problem.stochastic:
        assert len(whole) == 7
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    else:
        assert whole is None and parts == [None, None]


@pytest.mark.parametrize("name", [n for n in BUILDERS if built(n).stochastic])
def test_the_noise_has_mean_zero(name):
    problem, seeds = built(name), 4000
    x = np.broadcast_to(near_start(problem), (seeds, len(problem.x1)))
    value, g = problem.oracle(x, problem.draw(np.random.default_rng(0), seeds))
    assert g.std(axis=0).max() > 0
    within = 4 * g.std(axis=0) / np.sqrt(seeds) + 1e-15  # four standard errors, rounding
    assert (np.abs(g.mean(axis=0) - problem.subgradient(x[0])) <= within).all()
    within = 4 * value.std() / np.sqrt(seeds) + 1e-15
    assert abs(value.mean() - problem.value(x[0])) <= within
    assert (value.std() > 1e-12) == problem.samples_loss


LACKING = [(n, c) for n in BUILDERS for c in ("D", "G") if getattr(built(n), c) is None]


@pytest.mark.parametrize(("name", "missing"), LACKING)
def test_a_constant_that_a_problem_lacks_is_named_by_every_bound_that_needs_it(name, missing):
    problem = built(name)
    known = {"D": problem.D or 1.0, "G": problem.G or 1.0} | {missing: None}
    calls = [bounds.omega, bounds.last_iterate, bounds.averaged, bounds.schedulet]
    for bound in calls:
        with pytest.raises(InputError, match=f"needs {missing}, .*not known; pass {missing}="):
            bound([0.1, 0.1], **known)


REFUSED = [
    (lambda: p.MaxLinear(d=0), "MaxLinear's d must be a whole number"),
    (lambda: p.MaxLinear(rows=2.5), "rows must be a whole number"),
    (lambda: p.L1Regression(n=0), "n must be a whole number"),
    (lambda: p.L1Regression(noise=-1), "noise must be a number >= 0"),
    (lambda: p.Quadratic([1.0, -1.0]), "eigenvalues has -1 at mode 2"),
    (lambda: p.Quadratic([[1.0]]), "one list of numbers"),
    (lambda: p.Quadratic([1.0, 2.0], x1=[1.0, 2.0, 3.0]), "x1 has shape"),
    (lambda: p.Quadratic(x_star=np.nan), "x_star has nan"),
    (lambda: p.NoisyQuadratic(noise=-0.1), "noise has -0.1"),
    (lambda: p.NoisyQuadratic([1.0, 2.0], noise=[1.0, 2.0, 3.0]), "noise has shape"),
    (lambda: p.HillAndRiver(a=0), "needs a > 0"),
    (lambda: p.HillAndRiver(c0=-1), "needs c0 > 0"),
    (lambda: p.HillAndRiver(sigma=-1), "needs sigma > 0"),
]


@pytest.mark.parametrize(("build", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_arguments_out_of_range_are_refused_with_the_rule(build, reason):
    with pytest.raises(InputError, match=reason):
        build()
