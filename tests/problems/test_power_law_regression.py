"""Streaming regression: its sampled runs and `moments` say the same, and that is the recursion."""

import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.exact_moments import moments
from sftheory.methods import EMA, LastIterate, ScheduleFree
from sftheory.problems import PowerLawRegression
from sftheory.schedules import Cosine
from sftheory.simulation import run


def recursion(d, a, b, variance, eta, tau):
    """Excess λ'm and λ'q after every step: second moments of w and of its moving average."""
    lam = np.arange(1.0, d + 1) ** -a
    m = p = q = np.arange(1.0, d + 1) ** -b / lam
    found = [(lam @ m, lam @ q)]
    for step, weight in zip(eta, tau, strict=True):
        shared = step**2 * (lam @ m + variance) * lam
        decayed = (1 - step * lam) * p
        m = m - 2 * step * lam * m + 2 * step**2 * lam**2 * m + shared
        q = (1 - weight) ** 2 * q + 2 * weight * (1 - weight) * decayed + weight**2 * m
        p = (1 - weight) * decayed + weight * m
        found.append((lam @ m, lam @ q))
    return np.array(found).T


@pytest.mark.parametrize(("a", "b"), [(1.5, 1.5), (1.5, 3.0), (1.1, 2.2)])
def test_moments_of_one_row_a_step_are_the_recursion_of_the_paper(a, b):
    N, t = 400, np.arange(1, 401)
    eta = 0.3 * Cosine()(N) + 0.02
    tau = np.where(t == 1, 1.0, 1 - 2.0 ** (-25 / t))
    problem = PowerLawRegression(d=200, a=a, b=b, sigma=0.1)
    found = moments(problem, Tableau(eta, 0.0, tau))
    last, averaged = recursion(200, a, b, 0.01, eta, tau)
    np.testing.assert_allclose(2 * found.loss_z, last, rtol=1e-11)
    np.testing.assert_allclose(2 * found.loss_x, averaged, rtol=1e-11)


@pytest.mark.parametrize("batch", [1, 5])
def test_sampled_runs_have_the_exact_mean(batch):
    N, seeds = 60, 3000
    problem = PowerLawRegression(d=12, b=2.0, sigma=0.4, batch=batch)
    made = [
        LastIterate().tableau(0.2 * Cosine()(N)),
        ScheduleFree(0.8).tableau(np.full(N, 0.2)),
        EMA(0.9).tableau(np.full(N, 0.15)),
    ]
    tableaus = Tableau.stack(made)
    at = [0, 1, 5, 20, N]
    traj, exact = run(problem, tableaus, seeds=seeds, record=at), moments(problem, tableaus)
    for name in ("loss_x", "loss_y", "loss_z"):
        sample = getattr(traj, name) - problem.f_star
        error = sample.std(axis=1) / np.sqrt(seeds)
        gap = np.abs(sample.mean(axis=1) - getattr(exact, name)[:, at])
        assert (gap <= 4 * error + 1e-12).all()  # four standard errors


def test_the_constants_are_those_of_the_spectrum():
    problem = PowerLawRegression(d=50, a=1.2, b=2.0, sigma=0.3, batch=4)
    i = np.arange(1.0, 51)
    np.testing.assert_allclose(problem.eigenvalues * problem.x_star**2, i**-2.0, rtol=1e-13)
    assert problem.L == problem.eigenvalues[0] and problem.mu == problem.eigenvalues[-1]
    assert problem.value(problem.x_star) == problem.f_star == pytest.approx(0.045)
    np.testing.assert_allclose(problem.noise**2, 0.09 * i**-1.2 / 4, rtol=1e-13)


def test_the_noise_of_a_gradient_has_the_stated_variance():
    problem, draws = PowerLawRegression(d=4, sigma=0.5, batch=3), 200_000
    y = np.array([0.3, -0.8, 1.0, 0.1])
    _, g = problem.oracle(np.broadcast_to(y, (draws, 4)), problem.draw(_rng(), draws))
    lam, e = problem.eigenvalues, y - problem.x_star
    stated = problem.noise**2 + (lam**2 * e**2 + lam * (lam @ e**2)) / 3
    spread = g.var(axis=0)
    centred = (g - g.mean(axis=0)) ** 2
    assert (np.abs(spread - stated) <= 4 * centred.std(axis=0) / np.sqrt(draws)).all()


def _rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"d": 0}, "d must be a whole number"),
        ({"batch": 1.5}, "batch must be a whole number"),
        ({"a": -1.0}, "a must be a number >= 0"),
        ({"b": np.nan}, "b must be a number >= 0"),
        ({"sigma": -0.1}, "sigma must be a number >= 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        PowerLawRegression(**options)
