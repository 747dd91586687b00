"""Exact moments against 200,000 samples of every method.

Deviations are counted in standard errors of the sample mean. Among the file's 567 comparisons a
normal one exceeds 4 of them with probability 4%; the seeds are fixed.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from sftheory import problems
from sftheory.core.tableau import Tableau
from sftheory.exact_moments import moments
from sftheory.methods import METHODS
from sftheory.simulation import run

pytestmark = pytest.mark.slow

SAMPLES, CHUNK = 200_000, 20_000
N, TIMES = 24, [1, 6, 24]
LIMIT = 4.0  # standard errors
NAMES = [e.name for e in METHODS.load().values() if hasattr(e.object, "tableau")]
LAM, NOISE, START = np.array([1.0, 0.15]), np.array([0.5, 1.0]), np.array([1.0, -2.0])
GAMMA = 0.6 * (1 - 0.7 * np.arange(N) / N)
EVERY = Tableau.stack([METHODS[name].make(N).tableau(GAMMA) for name in NAMES])
POINTS = "xyz"


def errors(losses, exact):
    """Deviations in standard errors: losses (points, methods, times, samples), exact the rest."""
    mean = losses.mean(axis=-1)
    standard = losses.std(axis=-1, ddof=1) / np.sqrt(losses.shape[-1])
    return (mean - exact) / standard


def expected(problem, **options):
    """The exact losses at TIMES, (points, methods, times)."""
    found = moments(problem, EVERY, **options)
    return np.array([getattr(found, f"loss_{point}")[:, TIMES] for point in POINTS])


def sampled(gradient, momentum):
    """f at x, y, z after TIMES steps, (points, methods, times, samples), by a loop of its own.

    gradient: (rng, y) -> g with axes (methods, samples, d); the noise is shared by the methods.
    """
    out = np.empty((len(POINTS), len(NAMES), len(TIMES), SAMPLES))
    gamma, beta, c = (part[..., None, None] for part in (EVERY.gamma, EVERY.beta, EVERY.c))
    for chunk in range(SAMPLES // CHUNK):
        rng = np.random.default_rng(chunk)
        x = np.broadcast_to(START, (len(NAMES), CHUNK, len(START))).copy()
        z, m = x, 0 * x
        for t in range(N):
            y = (1 - beta[:, t]) * z + beta[:, t] * x
            m = momentum * m + (1 - momentum) * gradient(rng, y)
            z = z - gamma[:, t] * m
            x = (1 - c[:, t]) * x + c[:, t] * z
            if t + 1 in TIMES:
                later = beta[:, min(t + 1, N - 1)]
                at = (x, (1 - later) * z + later * x, z)
                place = (slice(None), slice(None), TIMES.index(t + 1))
                out[(*place, slice(chunk * CHUNK, (chunk + 1) * CHUNK))] = [
                    p**2 @ LAM / 2 for p in at
                ]
    return out


def test_run_averages_to_the_exact_moments_for_every_method():
    problem = problems.NoisyQuadratic(LAM, NOISE, START)
    traj = run(problem, EVERY, seeds=SAMPLES, record=TIMES)
    losses = np.array([np.moveaxis(getattr(traj, f"loss_{p}"), 1, -1) for p in POINTS])
    assert np.abs(errors(losses, expected(problem))).max() <= LIMIT


@pytest.mark.parametrize(
    ("momentum", "multiplicative"), [(0.0, 0.3), (0.5, 0.0), (0.9, 0.0), (0.9, 0.3)]
)
def test_momentum_and_gradient_dependent_noise_average_to_the_exact_moments(
    momentum, multiplicative
):
    def gradient(rng, y):
        own, scaled = rng.standard_normal((2, CHUNK, 2))
        return LAM * y + NOISE * own + np.sqrt(multiplicative) * LAM * y * scaled

    problem = problems.NoisyQuadratic(LAM, NOISE, START)
    exact = expected(problem, momentum=momentum, multiplicative=multiplicative)
    assert np.abs(errors(sampled(gradient, momentum), exact)).max() <= LIMIT


@pytest.mark.parametrize(("batch", "momentum"), [(1, 0.0), (4, 0.9)])
def test_least_squares_on_gaussian_rows_averages_to_the_exact_moments(batch, momentum):
    sigma = 0.5

    def gradient(rng, y):
        rows = np.sqrt(LAM) * rng.standard_normal((batch, CHUNK, 2))
        residual = sigma * rng.standard_normal((batch, CHUNK))
        return (
            sum(a * ((a * y).sum(-1) + r)[..., None] for a, r in zip(rows, residual, strict=True))
            / batch
        )

    problem = SimpleNamespace(
        eigenvalues=LAM,
        noise=sigma * np.sqrt(LAM / batch),
        x1=START,
        x_star=0.0,
        multiplicative=1 / batch,
        mixing=1 / batch,
    )
    exact = expected(problem, momentum=momentum)
    assert np.abs(errors(sampled(gradient, momentum), exact)).max() <= LIMIT
