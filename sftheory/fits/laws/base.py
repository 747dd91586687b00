"""What every law is: columns, their slopes, and the names of its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A positive nonlinear coordinate, searched by its logarithm.

    The first search takes `points` values from `grid[0]` to `grid[1]`; the second stays within
    `bounds`.
    """

    name: str
    points: int
    grid: tuple[float, float]
    bounds: tuple[float, float]

    @property
    def values(self) -> Array:
        """The logarithms of the first search."""
        return np.linspace(np.log(self.grid[0]), np.log(self.grid[1]), self.points)


@dataclass(frozen=True)
class Rows:
    r"""Where a law is evaluated, in units in which a run ends at 1.

    Attributes:
        offset: (t - t_1) / T, of shape (n,) or one row for each curve, (B, n).
        first: t_1 / T, a number or (B, 1).
        unit: T, a number or (B, 1).
        runs: for a law that knows the rate, what it needs of each run; see `schedule_rows`.
    """

    offset: Array
    first: Any
    unit: Any
    runs: Any = None


class Law(ABC):
    r"""loss(t) = c + Σ_j A_j x_j(t; theta), theta the logarithms of the coordinates in `axes`.

    Attributes:
        factors: the names of the A_j in the order of the columns.
        axes: the nonlinear coordinates.
        names: the parameters that a user sees, c last but for exponents.
        needs_rate: whether the columns depend on the schedule.
    """

    factors: ClassVar[tuple[str, ...]] = ("a",)
    axes: ClassVar[tuple[Axis, ...]] = ()
    names: ClassVar[tuple[str, ...]] = ()
    needs_rate: ClassVar[bool] = False
    nonnegative: ClassVar[bool] = False

    @property
    def size(self) -> int:
        """How many parameters are fitted."""
        return len(self.axes) + len(self.factors) + 1

    @abstractmethod
    def columns(self, theta: Array, rows: Rows) -> Array:
        """x_j at the rows: theta (B, m) -> (B, k, n)."""

    def slopes(self, theta: Array, rows: Rows, columns: Array) -> Array:
        """The derivatives of the columns by theta, (B, m, k, n); by default central differences."""
        step = 1e-5
        moved = [
            self.columns(theta + shift, rows) - self.columns(theta - shift, rows)
            for shift in step * np.eye(theta.shape[1])
        ]
        if not moved:
            return np.zeros((len(theta), 0, *columns.shape[1:]))
        return np.stack(moved, axis=1) / (2 * step)

    @abstractmethod
    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        """The parameters by name in the caller's units; every operation is analytic in them.

        theta (m, ...), factors (k, ...), floor (...).
        """

    @property
    def starts(self) -> Array:
        """All points of the first search, (points, m)."""
        if not self.axes:
            return np.zeros((1, 0))
        mesh = np.meshgrid(*(axis.values for axis in self.axes), indexing="ij")
        return np.stack([m.ravel() for m in mesh], axis=-1)

    @property
    def limits(self) -> Array:
        """Logarithms of the bounds, (2, m)."""
        return np.log(np.array([axis.bounds for axis in self.axes]).reshape(-1, 2)).T
