"""Schedule-free learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, real, steps
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, average, coefficients, in_unit, with_last


@METHODS.register(
    ref="defazio2024",
    tex=r"\beta_t = \beta, \quad c_t = w_{t+1} / \textstyle\sum_{i \leq t+1} w_i, \quad"
    r" w_t = t^r (\max_{i \leq t} \gamma_i)^p",
)
@dataclass(frozen=True)
class ScheduleFree(Method):
    r"""Gradients between the average and the base sequence, y_t = (1 - beta) z_t + beta x_t.

    Args:
        beta: in [0, 1]; 0 is Polyak averaging, 1 primal averaging. An array broadcasts against
            gamma.
        r, power: default weights w_t = t^r (max_{i<=t} gamma_i)^power.
        weights: None for these, "gamma" for w_t = gamma_t, which matches the theory for any
            schedule (`bounds.schedulet`).
        start_counts: True is the papers' method; False is the published package, which cannot know
            the next step: w is made from the step into the point, and the start has no weight.
        last_weight: w_{N+1}; None repeats the part of w_N that is made from gamma.

    Guarantee: constant steps, uniform weights: D G / sqrt(N + 1) at gamma = D / (G sqrt(N + 1)) for
        every beta, exactly (`bounds.schedule_free`).

    Raises:
        InputError: beta outside [0, 1], r not finite, power negative, or unknown weights.
    """

    beta: float | Array = 0.9
    r: float = 0.0
    power: float = 2.0
    weights: Literal["gamma"] | None = None
    start_counts: bool = True
    last_weight: float | None = None

    def __post_init__(self) -> None:
        in_unit("ScheduleFree's beta", self.beta)
        real("ScheduleFree's r", self.r, -1e6)
        real("ScheduleFree's power", self.power, 0)
        if self.weights not in (None, "gamma"):
            raise InputError(f"ScheduleFree's weights are None or 'gamma', not {self.weights!r}.")

    def tableau(self, gamma: ArrayLike) -> Tableau:
        gamma, c = self.average(gamma)
        return Tableau(gamma, self.beta, c)

    def average(self, gamma: ArrayLike) -> tuple[Array, Array]:
        """Checked steps and the averaging coefficients, both (..., N)."""
        if self.weights is not None:
            return average(
                gamma,
                self.weights,
                power=1.0,
                start_counts=self.start_counts,
                last_weight=self.last_weight,
            )
        gamma = steps("gamma", gamma)
        made = np.maximum.accumulate(gamma, axis=-1) ** self.power
        w = np.arange(1, gamma.shape[-1] + 2) ** float(self.r) * with_last(made)
        return gamma, coefficients(w, start_counts=self.start_counts, last_weight=self.last_weight)
