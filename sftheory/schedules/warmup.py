"""Linear warm-up in front of any schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sftheory.core.errors import InputError, count, real
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps
from sftheory.schedules.constant import Constant


@SCHEDULES.register(
    ref="goyal2017",
    tex=r"\eta_k = \min(1, k / W)\, \text{inner}_k",
    example={"fraction": 0.05},
    keeps_values=True,
)
@dataclass(frozen=True)
class Warmup(Schedule):
    """Multiplies the first W values of `inner` by k / W, k = 1, ..., W.

    This is the warm-up of the published schedule-free package. W is `steps`, or
    ⌊fraction N + 1e-9⌋.

    Raises:
        InputError: neither or both of steps and fraction are given, or one is out of range.
    """

    inner: Schedule = field(default_factory=Constant)
    steps: int | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.fraction is None):
            raise InputError("Warmup needs steps=W or fraction=w, one of the two.")
        if self.steps is not None:
            count("Warmup's steps", self.steps, least=0)
        else:
            real("Warmup's fraction", self.fraction, 0, 1)
        if not isinstance(self.inner, Schedule):
            raise InputError(f"Warmup goes in front of a schedule, not of {self.inner!r}.")

    def values(self, N: int) -> Steps:
        W = self.steps if self.steps is not None else int((self.fraction or 0) * N + 1e-9)
        return self.inner(N) * np.minimum(1, np.arange(1, N + 1) / max(W, 1))
