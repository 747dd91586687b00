"""A noisy hill across a quiet river."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sftheory.core.errors import constant
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(
    ref="wen2024",
    tex=r"f(h, r) = \tfrac a2 h^2 + \frac{c_0}{1 + r}, \quad g = \nabla f + (\sigma \xi, 0)",
)
@dataclass(frozen=True)
class HillAndRiver(Problem):
    r"""f(h, r) = (a/2) h² + c0 / (1 + r) from (0, 0), normal noise of s.d. sigma on the hill only.

    The river coordinate is deterministic and the hill linear-Gaussian. At constant step eta the
    stationary hill loss is eta sigma² / (2 (2 - eta a)). The infimum 0 lies at r = ∞: no minimiser
    exists, so neither do D and the bounds that need it. f is convex for r > -1.

    Ours, after wen2024; not a formula of that paper.

    Raises:
        InputError: a or c0 is not positive, or sigma is negative.
    """

    a: float = 20.0
    sigma: float = 1.0
    c0: float = 1.0

    convex = False
    f_star = 0.0

    def __post_init__(self) -> None:
        constant("HillAndRiver", "a", self.a)
        constant("HillAndRiver", "c0", self.c0)
        if self.sigma:
            constant("HillAndRiver", "sigma", self.sigma)

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start (0, 0)."""
        return np.zeros(2)

    def value(self, x: Any) -> Any:
        h, r = x[..., 0], x[..., 1]
        return self.a / 2 * h * h + self.c0 / (1 + r)

    def hill(self, x: Any) -> Any:
        """The hill's part of the loss, (..., 2) -> (...)."""
        return self.a / 2 * x[..., 0] ** 2

    def river(self, x: Any) -> Any:
        """The river's part of the loss, (..., 2) -> (...)."""
        return self.c0 / (1 + x[..., 1])

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x, noise)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        h, slope = x[..., 0], self.a * x[..., 0]
        river = self.c0 / (1 + x[..., 1])
        g = np.empty_like(x, dtype=slope.dtype)
        g[..., 0] = slope if noise is None else slope + self.sigma * noise
        np.multiply(river, river * (-1 / self.c0), out=g[..., 1])
        loss = slope * h
        loss *= 0.5
        loss += river
        return loss, g

    def draw(self, rng: np.random.Generator, steps: int) -> Array:
        return rng.standard_normal(steps)
