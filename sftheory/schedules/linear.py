"""Linear decay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(ref="zamani2023", tex=r"\eta_k = (N + 1 - k) / N")
@dataclass(frozen=True)
class Linear(Schedule):
    """Linear decay to one step before zero: (N, N - 1, ..., 1) / N.

    With peak D N / (G (N + 1)^1.5) its last iterate attains the minimax value D G / sqrt(N + 1).
    """

    def values(self, N: int) -> Steps:
        return np.arange(N, 0, -1) / N
