"""Polynomial decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.core.errors import real
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(ref="chen2018", tex=r"\eta_k = (1 - u)^p, \quad u = (k - 1) / N")
@dataclass(frozen=True)
class Polynomial(Schedule):
    """(1 - u)^power: Linear at power 1, Constant at 0.

    Raises:
        InputError: power is negative.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        real("Polynomial's power", self.power, 0)

    def values(self, N: int) -> Steps:
        return (np.arange(N, 0, -1) / N) ** self.power
