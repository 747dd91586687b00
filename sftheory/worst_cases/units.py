"""Units near 1 for a worst case, by powers of two: no digit changes, and no square overflows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.tableau import Tableau
from sftheory.worst_cases.hard_functions import MaxOfLinear
from sftheory.worst_cases.interpolation import Interpolation
from sftheory.worst_cases.result import WorstCase

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaled:
    """A method and a class of functions in units of 2^length and, for gradients, of 2^slope."""

    tableau: Tableau
    D: float
    norms: Array | None
    L: float | None
    mu: float
    length: int = 0
    slope: int = 0

    def near_one(self) -> Scaled:
        """The same with the largest norm, and the larger one of D and G gamma, near 1.

        Where a number would be rounded it is left as it is.
        """
        gamma, length = self.tableau.gamma, _exponent(self.D)
        slope = length + _exponent(self.L) if self.norms is None else _exponent(self.norms.max())
        if gamma.any():
            length = max(length, _exponent(gamma.max()) + slope)
        if length == slope == 0:
            return self
        parts = (gamma, self.D, self.norms, self.L, self.mu)
        powers = (slope - length, -length, -slope, length - slope, length - slope)
        there: list[Any] = []
        for part, power in zip(parts, powers, strict=True):
            there.append(part if part is None else times(part, power))
            if part is not None and np.any(times(there[-1], -power) != part):
                return self
        gamma, D, norms, L, mu = there
        tableau = Tableau(gamma, self.tableau.beta, self.tableau.c)
        return Scaled(tableau, D, norms, L, mu, length, slope)

    def restored(self, found: WorstCase) -> WorstCase:
        """A worst case in these units as one in units of 1, rounded outwards where it is."""
        if self.length == self.slope == 0:
            return found
        value = self.length + self.slope
        lower = max(0.0, _outward(found.lower, value, -np.inf))
        upper = _outward(found.upper, value, np.inf)
        h = times(found.effective_schedule, self.length - self.slope)
        return replace(
            found,
            value=float(np.clip(times(found.value, value), lower, upper)),
            lower=lower,
            upper=upper,
            function=self._function(found.function),
            gradient=None if found.gradient is None else times(found.gradient, 2 * self.slope),
            effective_schedule=h,
        )

    def _function(self, function: MaxOfLinear | Interpolation) -> MaxOfLinear | Interpolation:
        length, slope, value = self.length, self.slope, self.length + self.slope
        G = None if function.G is None else times(function.G, slope)
        if isinstance(function, MaxOfLinear):
            floor = None if function.floor is None else times(function.floor, value)
            radius, gap = times(function.radius, length), times(function.gap, value)
            return replace(function, radius=radius, G=G, gap=gap, floor=floor)
        L = None if function.L is None else times(function.L, slope - length)
        return replace(
            function,
            slopes=times(function.slopes, slope),
            offsets=times(function.offsets, value),
            start=times(function.start, length),
            G=G,
            L=L,
            mu=times(function.mu, slope - length),
        )


def times(values: Any, power: int) -> Any:
    """Values times 2^power, 0 or inf where there is no such double."""
    with np.errstate(over="ignore", under="ignore"):
        found = np.ldexp(values, power)
    return found if found.ndim else float(found)


def _exponent(value: Any) -> int:
    return int(np.frexp(value)[1]) - 1


def _outward(end: float, power: int, way: float) -> float:
    moved = times(end, power)
    return moved if times(moved, -power) == end else float(np.nextafter(moved, way))
