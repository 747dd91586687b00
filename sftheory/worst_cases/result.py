"""What `worst_case` returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sftheory.worst_cases.hard_functions import MaxOfLinear
from sftheory.worst_cases.interpolation import Interpolation

Array = NDArray[np.float64]
Path = Literal["last iterate", "hull", "bracket", "sdp"]


@dataclass(frozen=True, eq=False)
class WorstCase:
    r"""How bad a method can be.

    Attributes:
        value: the worst case; for "sdp" what the solver says, for "bracket" nan.
        lower, upper: lower <= worst case <= upper.
        certified: how both ends are proved and that they meet: "rational" (exact rationals, or
            106-bit arithmetic rounded outwards), "float" (doubles rounded outwards; for "hull" its
            condition to 1e-9; for "sdp" eigenvalues in doubles, and upper - lower <= 1e-5 of the
            scale), "none" (not asked for, or a gap is left).
        path: "last iterate" (theorem), "hull" (theorem, its condition checked), "sdp" (solver,
            repaired), "bracket".
        function: a function that attains `lower`: value, subgradient, oracle, x1, x_star.
        multipliers: (λ_*, λ) of the upper bound's proof, λ[j, k] of f_j >= f_k + <g_k, p_j - p_k>,
            for "hull" up to 200 steps and for "sdp"; else None.
        gradient: ∂W/∂h of the effective schedule, (N,), for the two theorems; else None.
        effective_schedule: h, (N,).
        solver: what the solver said, for "sdp"; else None.
    """

    value: float
    lower: float
    upper: float
    certified: str
    path: Path
    function: MaxOfLinear | Interpolation
    multipliers: tuple[Array, Array] | None
    gradient: Array | None
    effective_schedule: Array
    solver: str | None = None

    def __repr__(self) -> str:
        return (
            f"WorstCase({self.value:.12g} in [{self.lower:.12g}, {self.upper:.12g}], "
            f"path={self.path!r}, certified={self.certified!r})"
        )


@dataclass(frozen=True, eq=False)
class WorstCases(Sequence[Any]):
    """The worst cases of a batch of methods: indexed as the batch is, and read as arrays.

    Attributes:
        shape: the batch axes.
        flat: one WorstCase for each method, in C order.
    """

    shape: tuple[int, ...]
    flat: tuple[WorstCase, ...]

    def __getitem__(self, index: Any) -> Any:
        places = np.arange(len(self.flat)).reshape(self.shape)[index]
        if np.ndim(places) == 0:
            return self.flat[int(places)]
        return WorstCases(places.shape, tuple(self.flat[i] for i in places.ravel()))

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def _array(self, name: str) -> Any:
        return np.array([getattr(one, name) for one in self.flat]).reshape(self.shape)

    @property
    def value(self) -> Array:
        """(batch...)."""
        return self._array("value")

    @property
    def lower(self) -> Array:
        """(batch...)."""
        return self._array("lower")

    @property
    def upper(self) -> Array:
        """(batch...)."""
        return self._array("upper")

    @property
    def path(self) -> NDArray[np.str_]:
        """(batch...)."""
        return self._array("path")

    @property
    def certified(self) -> NDArray[np.str_]:
        """(batch...)."""
        return self._array("certified")
