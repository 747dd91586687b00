"""A schedule times a number."""

from __future__ import annotations

from dataclasses import dataclass

from sftheory.core.errors import InputError
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps
from sftheory.schedules.linear import Linear


@SCHEDULES.register(tex=r"\eta_k = a\, \text{inner}_k", example={"inner": Linear(), "factor": 1.0})
@dataclass(frozen=True)
class Scaled(Schedule):
    """`factor * inner`: written `0.1 * Linear()`.

    Raises:
        InputError: the factor is not a finite number >= 0.
    """

    inner: Schedule
    factor: float

    def __post_init__(self) -> None:
        one = isinstance(self.factor, (int, float)) or getattr(self.factor, "ndim", 1) == 0
        if not one or not 0 <= self.factor < float("inf"):
            raise InputError(
                f"A schedule can be scaled by one number >= 0, not {self.factor!r}; "
                f"for several peaks use np.outer(peaks, schedule(N))."
            )

    def values(self, N: int) -> Steps:
        return self.factor * self.inner(N)
