"""Cosine decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.core.errors import real
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(
    ref="loshchilov2017",
    tex=r"\eta_k = \varphi + \tfrac{1 - \varphi}{2} (1 + \cos \pi u), \quad"
    r" u = (k - 1) / M, \quad M = \lfloor m (N + 1) \rfloor - 1",
)
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 towards `final`.

    `cycles` m stretches the half wave to m times the run, so that m > 1 stops before it is over:
    the mismatch of a cosine that was planned for a longer run (schaipp2025).

    Raises:
        InputError: final outside [0, 1] or cycles < 1.
    """

    final: float = 0.0
    cycles: float = 1.0

    def __post_init__(self) -> None:
        real("Cosine's final", self.final, 0, 1)
        real("Cosine's cycles", self.cycles, 1)

    def values(self, N: int) -> Steps:
        u = np.arange(N) / max(1, int(self.cycles * (N + 1) + 1e-9) - 1)
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * u)) / 2
