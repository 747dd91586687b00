"""The river toy of Song et al."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(ref="song2025", tex=r"f(w) = \tfrac12 (w_1 w_2 - 1)^2 + \log(1 + e^{-w_1})")
@dataclass(frozen=True)
class SongRiver(Problem):
    r"""A 2-D valley whose floor w_1 w_2 = 1 descends slowly as w_1 grows.

    f(w) = ½ (w_1 w_2 - 1)² + log(1 + exp(-w_1)), from (2, 2). The infimum 0 is not attained and f
    is not convex, so no constant of the theorems exists.

    Source: song2025, sec. 4.1. The paper's display was not readable; the formula is recalled, and
    agrees with what the text says of it.
    """

    convex = False
    f_star = 0.0

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start (2, 2)."""
        return np.array([2.0, 2.0])

    def value(self, x: Any) -> Any:
        w1, w2 = x[..., 0], x[..., 1]
        return (w1 * w2 - 1) ** 2 / 2 + np.logaddexp(0, -w1)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        w1, w2 = x[..., 0], x[..., 1]
        r = w1 * w2 - 1
        s = np.exp(-np.logaddexp(0, w1))  # 1 / (1 + e^{w1}), without overflow
        return np.stack([r * w2 - s, r * w1], axis=-1)

    def hessian(self, x: Any) -> Any:
        """The Hessian, (..., 2) -> (..., 2, 2)."""
        w1, w2 = x[..., 0], x[..., 1]
        s = np.exp(-np.logaddexp(0, w1))
        cross = 2 * w1 * w2 - 1
        rows = [np.stack([w2**2 + s * (1 - s), cross], -1), np.stack([cross, w1**2], -1)]
        return np.stack(rows, axis=-2)

    def distance_to_river(self, x: Any) -> Any:
        """|w_1 w_2 - 1|, (..., 2) -> (...)."""
        return np.abs(x[..., 0] * x[..., 1] - 1)
