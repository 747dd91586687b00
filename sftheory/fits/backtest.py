"""What the same fit would have said earlier in the run, against what then happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.laws.base import Array, Law
from sftheory.fits.noise import Noise
from sftheory.fits.solution import Solution, solutions

FRACTIONS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
FEWEST = 8
TAIL = 0.1
SLACK = 1e-9  # a row at the boundary stays on its side whatever the unit of t


@dataclass(frozen=True)
class Backtest:
    """One row of the table: a fit to the first `points` points, asked for the end of the curve.

    Attributes:
        fraction: f, the share of the run that was fitted.
        stop: the last step that was fitted.
        points: how many points were.
        predicted, measured: the mean loss of the last tenth of the points.
        error: predicted - measured.
        deviation: its standard deviation if the law holds, autocorrelation included.
    """

    fraction: float
    stop: float
    points: int
    predicted: float
    measured: float
    error: float
    deviation: float


def backtests(law: Law, step: Array, loss: Array, weights: Array | None) -> tuple[Backtest, ...]:
    """Fits to the first f of the run for f = 0.3, ..., 0.8; those that are possible."""
    n = len(step)
    tail = np.arange(n - max(1, round(TAIL * n)), n)
    run = step - step[0]
    stops = {f: _points(run, f, law.size + 3) for f in FRACTIONS}
    stops = {f: k for f, k in stops.items() if k <= tail[0]}
    if not stops:
        return ()
    base = np.ones(n) if weights is None else weights
    masks = np.stack([np.where(np.arange(n) < k, base, 0.0) for k in stops.values()])
    fits = solutions(law, step, np.broadcast_to(loss, masks.shape), masks)
    share = base[tail] / base[tail].sum()
    return tuple(
        _row(f, k, fit, tail, share) for (f, k), fit in zip(stops.items(), fits, strict=True)
    )


def _points(run: Array, fraction: float, fewest: int) -> int:
    inside = int(np.searchsorted(run, fraction * run[-1] * (1 + SLACK), side="right"))
    return max(inside, fewest, FEWEST)


def _row(f: float, k: int, fit: Solution, tail: NDArray[np.int_], share: Array) -> Backtest:
    t = fit.step[tail]
    predicted, measured = float(share @ fit.value(t)), float(share @ fit.loss[tail])
    law = float(np.linalg.norm((share @ fit.gradient(t)) @ fit.root))
    deviation = float(np.hypot(law, _of_a_mean(fit.noise, len(tail))))
    return Backtest(
        f, float(fit.step[k - 1]), k, predicted, measured, predicted - measured, deviation
    )


def _of_a_mean(noise: Noise, points: int) -> float:
    """Standard deviation of the mean of neighbouring residuals."""
    return noise.sigma * noise.inflation / np.sqrt(points)
