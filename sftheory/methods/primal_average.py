"""Primal averaging."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, Weights, average


@METHODS.register(
    ref="nesterov2015", tex=r"\beta_t = 1, \quad c_t = w_{t+1} / \textstyle\sum_{i \leq t+1} w_i"
)
@dataclass(frozen=True)
class PrimalAverage(Method):
    r"""Gradients at the average itself: y_t = x_t, x_{N+1} = Σ w_t z_t / Σ w_t.

    The arguments are those of PolyakAverage. It is momentum in another notation (HeavyBall).
    """

    weights: Weights = "uniform"
    power: float = 1.0
    start_counts: bool = True
    last_weight: float | None = None

    def tableau(self, gamma: ArrayLike) -> Tableau:
        gamma, c = average(
            gamma,
            self.weights,
            power=self.power,
            start_counts=self.start_counts,
            last_weight=self.last_weight,
        )
        return Tableau(gamma, beta=1.0, c=c)
