"""Constant steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(ref="polyak1992", tex=r"\eta_k = 1")
@dataclass(frozen=True)
class Constant(Schedule):
    """One size for every step: 1, ..., 1."""

    def values(self, N: int) -> Steps:
        return np.ones(N)
