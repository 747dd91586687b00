"""How far a forecast was from what then happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.fits.laws.base import Array


@dataclass(frozen=True)
class Forecast:
    """How far a law is from a run that it was not fitted to.

    Attributes:
        points: rows of the run.
        bias: mean of predicted - measured.
        mean, rms, worst: of the absolute errors.
        r_squared: 1 - squared errors / squared deviations of the run from its mean.
        covered: share of the rows within the interval of the prediction; None where there is none.
    """

    points: int
    bias: float
    mean: float
    rms: float
    worst: float
    r_squared: float
    covered: float | None = None


def forecast_of(value: Array, loss: Array) -> Forecast:
    """The errors of predicted values against measured losses, both (n,)."""
    error = value - loss
    size = np.abs(error)
    spread = float(np.sum((loss - loss.mean()) ** 2))
    return Forecast(
        len(loss),
        float(error.mean()),
        float(size.mean()),
        float(np.sqrt(np.mean(error**2))),
        float(size.max()),
        1 - float(error @ error) / spread if spread > 0 else float("nan"),
    )
