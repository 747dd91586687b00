"""What residuals that depend on their predecessor do to a standard error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftheory.fits.laws.base import Array

LARGEST_RHO = 0.98
FEWEST_FREE = 3.0


@dataclass(frozen=True)
class Noise:
    r"""AR(1) noise around a fitted curve.

    Attributes:
        sigma: standard deviation of one residual.
        rho: autocorrelation of neighbours, corrected for the fitted parameters.
        count: n, the number of residuals.
    """

    sigma: float
    rho: float
    count: float

    @property
    def inflation(self) -> float:
        """F = sqrt((1 + rho)/(1 - rho)): true standard errors / those of independent noise."""
        return float(np.sqrt((1 + self.rho) / (1 - self.rho)))

    @property
    def effective(self) -> float:
        """n (1 - rho)/(1 + rho): how many independent residuals are worth as much."""
        return self.count * (1 - self.rho) / (1 + self.rho)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of an interval: effective - 3, at least 3."""
        return max(self.effective - 3, FEWEST_FREE)

    def quantile(self, level: float) -> float:
        """Student's t for a central interval."""
        from scipy.special import stdtrit

        return float(stdtrit(self.freedom, (1 + level) / 2))


def noise_of(
    residual: Array, weights: Array | None, parameters: int, starts: Sequence[int] = ()
) -> Noise:
    r"""The noise of residuals e_1, ..., e_n of a fit of `parameters` parameters.

    With r = Σ e_i e_{i-1} / Σ e_i², which the fit biases downwards, rho = r + (1 + 4 r)/n +
    (1 + r)/n, kept in [0, 0.98]. Weights are those of a robust fit, so that spikes do not count.
    Rows in `starts` begin another run: they have no neighbour before them.
    """
    e = residual if weights is None else residual * np.sqrt(weights)
    n = len(e) if weights is None else float(weights.sum())
    total = float(e @ e)
    before = e[:-1].copy()
    before[np.asarray(starts, int) - 1] = 0
    r = float(e[1:] @ before) / total if total > 0 else 0.0
    rho = min(max(r + (1 + 4 * r) / n + (1 + r) / n, 0.0), LARGEST_RHO)
    return Noise(float(np.sqrt(total / max(n - parameters, 1))), rho, n)
