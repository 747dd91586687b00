"""Step decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.core.errors import InputError, numbers, real
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(ref="he2016", tex=r"\eta_k = \phi^{\#\{a : u \geq a\}}, \quad u = (k - 1) / N")
@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply by `factor` after each fraction of the run in `at`.

    Raises:
        InputError: factor outside [0, 1] or a fraction outside (0, 1].
    """

    factor: float = 0.1
    at: tuple[float, ...] = (0.5, 0.75)

    def __post_init__(self) -> None:
        real("StepDecay's factor", self.factor, 0, 1)
        at = numbers("StepDecay's at", np.atleast_1d(self.at), "fraction")
        if ((at <= 0) | (at > 1)).any():
            raise InputError(f"StepDecay needs fractions in (0, 1], but got at={self.at!r}.")
        object.__setattr__(self, "at", tuple(sorted(at.tolist())))

    def values(self, N: int) -> Steps:
        u = np.arange(N)[:, None] / N
        return np.power(self.factor, (u >= np.array(self.at)).sum(axis=1), dtype=float)
