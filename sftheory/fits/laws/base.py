"""What every law is: columns, their slopes, and the names of its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """A positive nonlinear coordinate, searched by its logarithm.

    The first search takes `points` values from `grid[0]` to `grid[1]`; the second stays within
    `bounds`. `parameter` is what a user calls it, where that is not `name`.
    """

    name: str
    points: int
    grid: tuple[float, float]
    bounds: tuple[float, float]
    parameter: str = ""

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
        runs: for a law that knows the rate, its `Units` and what it sees of each run; see
            `schedule_rows`.
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
        floor: the name of the constant.
        needs_rate: whether the columns depend on the schedule.
        flat_warmup: whether the warm-up counts as if it were at the peak.
        nonnegative: whether the law means something only with all A_j >= 0.
    """

    factors: tuple[str, ...] = ("a",)
    axes: tuple[Axis, ...] = ()
    names: tuple[str, ...] = ()
    floor: ClassVar[str] = "c"
    needs_rate: ClassVar[bool] = False
    flat_warmup: ClassVar[bool] = False
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

    def stacked(self, theta: Array, rows: Rows) -> Array:
        """The columns, then their slopes by each coordinate: (B, k + m k, n), a new array."""
        columns = self.columns(theta, rows)
        slopes = self.slopes(theta, rows, columns)
        return np.concatenate([columns, slopes.reshape(len(theta), -1, columns.shape[-1])], axis=1)

    @abstractmethod
    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        """The parameters by name in the caller's units; every operation is analytic in them.

        theta (m, ...), factors (k, ...), floor (...).
        """

    def sizes(self, parameters: dict[str, float], rows: Rows) -> dict[str, float]:
        """What an error of each parameter but the floor is measured by; by default its value."""
        return {name: abs(value) for name, value in parameters.items() if name != self.floor}

    @property
    def starts(self) -> Array:
        """All points of the first search, (points, m)."""
        return _starts(self.axes)

    def first_columns(self, rows: Rows) -> Array:
        """The columns at all starts, (points, k, n)."""
        return self.columns(self.starts, rows)

    @property
    def limits(self) -> Array:
        """Logarithms of the bounds, (2, m)."""
        return _limits(self.axes)


@lru_cache
def _starts(axes: tuple[Axis, ...]) -> Array:
    if not axes:
        return np.zeros((1, 0))
    mesh = np.meshgrid(*(axis.values for axis in axes), indexing="ij")
    return _constant(np.stack([m.ravel() for m in mesh], axis=-1))


@lru_cache
def _limits(axes: tuple[Axis, ...]) -> Array:
    return _constant(np.log(np.array([axis.bounds for axis in axes]).reshape(-1, 2)).T)


def _constant(array: Array) -> Array:
    array.flags.writeable = False
    return array
