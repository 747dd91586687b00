"""Cosine cycles with warm restarts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.core.errors import count
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(
    ref="loshchilov2017",
    tex=r"\eta = \tfrac12 (1 + \cos(\pi j / L_i)),\ j = 0, \dots, L_i - 1, \quad"
    r"\text{cycle } i \text{ ends at } N (2^i - 1) / (2^m - 1)",
)
@dataclass(frozen=True)
class SGDR(Schedule):
    """m cosine cycles from 1 to zero, each twice as long as the one before.

    Raises:
        InputError: restarts is not a whole number >= 1.
    """

    restarts: int = 3

    def __post_init__(self) -> None:
        count("SGDR's restarts", self.restarts)

    def values(self, N: int) -> Steps:
        ends = [round(N * (2**i - 1) / (2**self.restarts - 1)) for i in range(self.restarts + 1)]
        return np.concatenate(
            [(1 + np.cos(np.pi * np.arange(L) / max(L, 1))) / 2 for L in np.diff(ends)]
        )
