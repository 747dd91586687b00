"""Inverse square root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(ref="nesterov2004", tex=r"\eta_k = 1 / \sqrt{k}")
@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """The anytime schedule 1 / sqrt(k): no horizon enters."""

    def values(self, N: int) -> Steps:
        return 1 / np.sqrt(np.arange(1, N + 1))
