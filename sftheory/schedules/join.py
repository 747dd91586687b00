"""Schedules one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftheory.core.errors import InputError
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps
from sftheory.schedules.constant import Constant
from sftheory.schedules.linear import Linear


@SCHEDULES.register(
    tex=r"\eta = (\text{first}(N_1), \text{second}(N_2), \dots), \quad N_i \approx f_i N",
    example={"parts": ((0.75, Constant()), (0.25, Linear()))},
    keeps_values=True,
)
@dataclass(frozen=True)
class Join(Schedule):
    """Plays each schedule on its own share of the run.

    Args:
        parts: (fraction, schedule) pairs; the fractions are positive and sum to 1. Part i ends
            after round(N (f_1 + ... + f_i)) steps; a part whose share rounds to 0 is left out.

    Raises:
        InputError: the fractions are not positive or do not sum to 1.
    """

    parts: Sequence[tuple[float, Schedule]]

    def __post_init__(self) -> None:
        try:
            parts = tuple((float(f), schedule) for f, schedule in self.parts)
        except (TypeError, ValueError):
            parts = ()
        fractions = [f for f, _ in parts]
        good = bool(parts) and all(isinstance(s, Schedule) for _, s in parts)
        if not good or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
            raise InputError(
                f"Join needs (fraction, schedule) pairs with positive fractions that sum to 1, but "
                f"got {self.parts!r}; write Join([(0.8, Constant()), (0.2, Linear())])."
            )
        object.__setattr__(self, "parts", parts)

    def values(self, N: int) -> Steps:
        ends = np.floor(N * np.cumsum([0.0, *(f for f, _ in self.parts)]) + 0.5).astype(int)
        ends[-1] = N
        shares = zip(np.diff(ends), self.parts, strict=True)
        return np.concatenate([schedule(int(n)) for n, (_, schedule) in shares if n > 0])
