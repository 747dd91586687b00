"""D-Adaptation's estimate never exceeds the distance, and its guarantee holds at every step."""

from functools import cache

import numpy as np
import pytest

from sftheory import bounds
from sftheory import problems as p
from sftheory.core.errors import InputError
from sftheory.methods import DAdaptation
from sftheory.simulation import run

N = 900
PROBLEMS = {
    "max_linear": p.MaxLinear(d=30, rows=90, centred=False),
    "far": p.MaxLinear(d=10, rows=20, seed=3),
    "l1_regression": p.L1Regression(n=30, d=8),
    "noisy targets": p.L1Regression(n=30, d=8, noise=0.5),
}
every_problem = pytest.mark.parametrize("name", PROBLEMS)
every_beta = pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])


@cache
def result(name, beta, scale=1.0):
    problem = PROBLEMS[name]
    method = DAdaptation(beta, G=problem.G, scale=scale)
    return problem, run(problem, method, steps=N, record="all")


def estimates(problem, traj, scale=1.0):
    """d_1, ..., d_N from the steps: gamma_t sqrt(G² + Σ_{i<t} |g_i|²)."""
    before = np.concatenate([[0], np.cumsum(traj.grad_norm[0, : N - 1] ** 2)])
    return traj.tableau.gamma[0] / scale * np.sqrt(problem.G**2 + before)


@every_problem
@every_beta
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
def test_the_estimate_grows_and_never_exceeds_the_distance(name, beta, scale):
    problem, traj = result(name, beta, scale)
    d = estimates(problem, traj, scale)
    assert d[0] == pytest.approx(1e-6) and (np.diff(d) >= -1e-12 * d[1:]).all()
    assert d[-1] <= problem.D * (1 + 1e-12)
    assert d[-1] >= 0.1 * problem.D  # and it gets there from a millionth


@every_problem
@every_beta
def test_the_estimate_is_that_of_the_recorded_points(name, beta):
    problem, traj = result(name, beta)
    z, y = traj.z[0], traj.y[0, :N]
    g = problem.subgradient(y)
    moved = np.cumsum(traj.tableau.gamma[0] * (g * (z[0] - z[:N])).sum(axis=-1))
    found = moved / np.linalg.norm(z[0] - z[1:], axis=-1)
    expected = np.maximum(1e-6, np.maximum.accumulate(found))[: N - 1]
    np.testing.assert_allclose(estimates(problem, traj)[1:], expected, rtol=1e-8)


@every_problem
@every_beta
def test_the_guarantee_holds_at_every_step(name, beta):
    problem, traj = result(name, beta)
    t = np.arange(1, N)  # x_t has the weights gamma_1, ..., gamma_t
    log = np.log2(1 + t)
    total = np.cumsum(traj.tableau.gamma[0])[: N - 1]
    later = estimates(problem, traj)[1:]
    promised = problem.D * later * (2 + np.sqrt(log) + log / 2) / total
    assert (traj.gap_x[0, : N - 1] <= promised).all()


@every_problem
@every_beta
def test_its_weights_are_its_steps_so_that_the_bound_for_these_covers_it(name, beta):
    problem, traj = result(name, beta)
    gamma, c = traj.tableau.gamma[0], traj.tableau.c[0]
    total = np.cumsum(gamma)
    np.testing.assert_allclose(c[:-1], gamma[1:] / total[1:], rtol=1e-10)
    last = c[-1] * total[-1] / (1 - c[-1])
    promised = bounds.schedulet(gamma, D=problem.D, G=traj.grad_norm[0], last=float(last))
    assert traj.gap_x[0, -1] <= promised


@pytest.mark.parametrize("first", [1e-9, 1e-6, 1e-3])
def test_the_first_estimate_costs_steps_and_not_the_end(first):
    problem = PROBLEMS["max_linear"]
    gap = run(problem, DAdaptation(0.9, d1=first), steps=4000).gap_x[0, -1]
    assert gap * np.sqrt(4001) <= 0.1  # D G = 1


def test_it_runs_where_the_least_value_is_not_known():
    class Unknown(p.Quadratic):
        f_star = None

    traj = run(Unknown(), DAdaptation(d1=0.1), steps=100)
    known = run(p.Quadratic(), DAdaptation(d1=0.1), steps=100)
    assert traj.f_star is None
    np.testing.assert_array_equal(traj.loss_x, known.loss_x)


REFUSED = [
    ({"beta": 1.5}, "beta must lie in"),
    ({"d1": 0.0}, "needs d1 > 0"),
    ({"G": -1.0}, "needs G > 0"),
    ({"scale": [-1.0]}, "scale has -1"),
    ({"scale": [1.0, 0.5]}, "pass one number"),
]


@pytest.mark.parametrize(("options", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_arguments_out_of_range_are_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        DAdaptation(**options)
