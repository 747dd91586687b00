"""What a plan must keep to: cap, floor, fixed first steps, steps that do not increase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError, real, steps

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Limits:
    """low <= h <= high, (N,) each, and h_1 >= h_2 >= ... if `monotone`.

    With `monotone` the bounds are nonincreasing too, since each step is bound by all others.
    """

    low: Array
    high: Array
    monotone: bool

    @classmethod
    def of(cls, N: int, *, cap: Any, floor: Any, monotone: bool, prefix: Any) -> Limits:
        """The limits that the arguments of `optimal` mean.

        Raises:
            InputError: a wrong length, a negative number, or nothing satisfies them.
        """
        if not isinstance(monotone, (bool, np.bool_)):
            raise InputError(f"monotone is True or False, not {monotone!r}.")
        high = np.full(N, np.inf) if cap is None else _per_step("cap", cap, N)
        low = np.zeros(N) if floor is None else _per_step("floor", floor, N)
        crossed = low > high
        if crossed.any():
            k = int(crossed.argmax())
            raise InputError(
                f"At step {k + 1} floor={low[k]:g} is above cap={high[k]:g}; "
                f"lower the floor or raise the cap."
            )
        if prefix is not None:
            first = steps("prefix", prefix)
            if first.ndim != 1 or len(first) > N:
                raise InputError(
                    f"prefix has shape {first.shape} but the plan has N={N} steps; "
                    f"pass at most N numbers."
                )
            outside = (first < low[: len(first)]) | (first > high[: len(first)])
            if outside.any():
                k = int(outside.argmax())
                raise InputError(
                    f"prefix has {first[k]:g} at step {k + 1}, outside [floor, cap] = "
                    f"[{low[k]:g}, {high[k]:g}]; pass cap and floor as arrays that allow it."
                )
            low[: len(first)] = high[: len(first)] = first
        if monotone:
            low = np.maximum.accumulate(low[::-1])[::-1]
            high = np.minimum.accumulate(high)
            if (low > high).any():
                k = int((low > high).argmax())
                raise InputError(
                    f"Nonincreasing steps cannot be: step {k + 1} is at most {high[k]:g} because "
                    f"of the steps before and at least {low[k]:g} because of those after; "
                    f"drop monotone or change cap, floor or prefix."
                )
        return cls(low, high, bool(monotone))

    @property
    def fixed(self) -> NDArray[np.bool_]:
        """Which steps have no choice."""
        return self.low == self.high

    def allow(self, h: Array) -> bool:
        """Whether h keeps to them, exactly."""
        inside = ((self.low <= h) & (h <= self.high)).all()
        return bool(inside and (not self.monotone or (h[1:] <= h[:-1]).all()))

    def project(self, h: Array) -> Array:
        """Nearby steps that keep to them exactly."""
        inside = np.clip(h, self.low, self.high)
        return np.minimum.accumulate(inside) if self.monotone else inside


def _per_step(name: str, value: Any, N: int) -> Array:
    if np.ndim(value) == 0:
        return np.full(N, real(name, value, 0))
    array = np.array(value, dtype=object)
    if array.shape != (N,):
        raise InputError(
            f"{name} has shape {array.shape} but the plan has N={N} steps; "
            f"pass one number or exactly N."
        )
    unlimited = array == np.inf
    if name == "cap" and unlimited.any():
        array[unlimited] = 0.0
        return np.where(unlimited, np.inf, steps(name, array.tolist()))
    return steps(name, array.tolist()).copy()
