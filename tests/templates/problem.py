"""The Euclidean norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(ref="nesterov2004", tex=r"f(x) = \|x\|")
@dataclass(frozen=True)
class Norm(Problem):
    """f(x) = |x| from a corner of the unit cube.

    Known: G = 1, D, f_star = 0, x_star = 0.
    """

    d: int = 3

    f_star = 0.0
    G = 1.0

    @property
    def x1(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start."""
        return np.ones(self.d)

    @property
    def x_star(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser."""
        return np.zeros(self.d)

    def value(self, x: Any) -> Any:
        return np.linalg.norm(x, axis=-1)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        size = np.linalg.norm(x, axis=-1, keepdims=True)
        return x / np.where(size > 0, size, 1)
