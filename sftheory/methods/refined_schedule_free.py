"""Refined schedule-free: the averaging window decoupled from beta."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import constant
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, in_unit
from sftheory.methods.schedule_free import ScheduleFree


@METHODS.register(
    ref="song2025", tex=r"c_t = \min(1,\ (1 - \beta)\, C\, c_t^{\text{schedule-free}})"
)
@dataclass(frozen=True)
class RefinedScheduleFree(Method):
    r"""Schedule-free whose averaging window is set by C: x weights the y_t by about t^{C-1}.

    Args:
        beta: in [0, 1).
        C: > 0; C = 1 / (1 - beta) is schedule-free itself.
        r, power, start_counts: as for ScheduleFree, whose c_t this scales.

    Raises:
        InputError: beta outside [0, 1) or C not positive.
    """

    beta: float | Array = 0.9
    C: float | Array = 50.0
    r: float = 0.0
    power: float = 2.0
    start_counts: bool = True

    def __post_init__(self) -> None:
        in_unit("RefinedScheduleFree's beta", self.beta, below_one=True)
        constant("RefinedScheduleFree", "C", self.C)

    def tableau(self, gamma: ArrayLike) -> Tableau:
        vanilla = ScheduleFree(self.beta, self.r, self.power, start_counts=self.start_counts)
        gamma, c = vanilla.average(gamma)
        return Tableau(
            gamma, self.beta, np.minimum(1, (1 - np.asarray(self.beta)) * np.asarray(self.C) * c)
        )
