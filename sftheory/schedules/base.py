"""What every schedule is: a function of N that returns N values."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError, count, steps

Steps = NDArray[np.float64]


class Schedule(ABC):
    """The shape of the step sizes of a run of N steps.

    A schedule defines `values(N)`. Calling it checks what comes out, so that no wrong length and
    no negative step goes further.
    """

    __array_ufunc__ = None  # an array times a schedule asks the schedule, which refuses

    @abstractmethod
    def values(self, N: int) -> Steps:
        """The N values; N >= 1 has been checked."""

    def __call__(self, N: int) -> Steps:
        """The shape for N steps.

        Returns:
            (N,), float64, finite, >= 0.

        Raises:
            InputError: N < 1, or the schedule does not give N such values.
        """
        N = count("N", N)
        eta = steps(f"Schedule {self!r}", self.values(N))
        if eta.shape != (N,):
            raise InputError(
                f"Schedule {self!r} gave {eta.shape[-1]} values for N={N} steps; "
                f"return exactly N, the last one for step N."
            )
        return eta

    def as_lambda(self, N: int) -> Callable[[int], float]:
        """The schedule as torch's LambdaLR wants it: k = 0, 1, ... -> value of step k + 1.

        The last value holds for every k >= N: LambdaLR asks once more after the last step.

        Example:
            >>> from sftheory.schedules import Linear
            >>> factor = Linear().as_lambda(2)
            >>> [factor(k) for k in range(4)]
            [1.0, 0.5, 0.5, 0.5]
        """
        eta = self(N).tolist()
        return lambda k: eta[min(k, N - 1)]

    def __mul__(self, factor: float) -> Schedule:
        """`number * schedule` is `Scaled`."""
        from sftheory.schedules.scaled import Scaled

        return Scaled(self, factor)

    __rmul__ = __mul__
