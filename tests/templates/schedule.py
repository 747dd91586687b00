"""A half cosine in the square of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(ref="loshchilov2017", tex=r"\eta_k = \tfrac12 (1 + \cos \pi u^2)")
@dataclass(frozen=True)
class LateCosine(Schedule):
    """Half a cosine of u², u = (k - 1) / N: it stays high longer than Cosine."""

    def values(self, N: int) -> Steps:
        u = np.arange(N) / N
        return (1 + np.cos(np.pi * u**2)) / 2
