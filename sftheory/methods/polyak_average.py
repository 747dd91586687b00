"""Polyak-Ruppert averaging."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, Weights, average


@METHODS.register(
    ref="polyak1992", tex=r"\beta_t = 0, \quad c_t = w_{t+1} / \textstyle\sum_{i \leq t+1} w_i"
)
@dataclass(frozen=True)
class PolyakAverage(Method):
    r"""SGD that reports the weighted mean of its points, x_{N+1} = Σ w_t z_t / Σ w_t.

    Args:
        weights: "uniform" 1, "polynomial" t^power, or "gamma" gamma_t^power.
        power: the exponent; not used by uniform weights.
        start_counts: whether the start has a weight (the module `methods.base` says which).
        last_weight: w_{N+1}; None takes (N + 1)^power, or w_N of weights made from gamma.

    Guarantee: with weights "gamma" and power 1, `bounds.averaged`; constant steps
        D / (G sqrt(N + 1)) attain the minimax value D G / sqrt(N + 1).
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
        return Tableau(gamma, beta=0.0, c=c)
