"""What every problem is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np


class Problem(ABC):
    r"""An objective f on R^d with a start x1, an oracle, and the constants that are known.

    Points have shape (..., d) and may be batched over any leading axes; with noise the axis before
    d is the seed. A constant that does not exist or is not known is None.

    Attributes:
        x1: (d,), the start.
        x_star, f_star: a minimiser (d,), the least value (or infimum).
        D: |x1 - x_star|.  G: a bound on every subgradient that the oracle returns.
        L, mu: smoothness and strong convexity.
        convex: whether f is.
        samples_loss: whether the oracle's value is that of a random sample instead of f.
    """

    convex: ClassVar[bool] = True
    samples_loss: ClassVar[bool] = False

    x1: Any
    x_star: Any = None
    f_star: float | None = None
    G: float | None = None
    L: float | None = None
    mu: float | None = None

    @property
    def D(self) -> float | None:
        """|x1 - x_star|, None where no minimiser is known."""
        if self.x_star is None:
            return None
        return float(np.linalg.norm(np.asarray(self.x1, float) - np.asarray(self.x_star, float)))

    @property
    def name(self) -> str:
        """What figures and messages call it."""
        return type(self).__name__

    @property
    def stochastic(self) -> bool:
        """Whether the oracle draws noise."""
        return type(self).draw is not Problem.draw

    @abstractmethod
    def value(self, x: Any) -> Any:
        """f(x): (..., d) -> (...)."""

    @abstractmethod
    def subgradient(self, x: Any, noise: Any = None) -> Any:
        """An element of ∂f(x), plus the noise if there is some: (..., d) -> (..., d)."""

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        """What a method sees at x: a value (f's, or the sample's) and a subgradient."""
        return self.value(x), self.subgradient(x, noise)

    def draw(self, rng: np.random.Generator, steps: int) -> Any:
        """The noise of the next `steps` steps of one seed, (steps, ...); None without noise.

        Drawing 3 and then 4 steps must give what drawing 7 gives.
        """
        return None
