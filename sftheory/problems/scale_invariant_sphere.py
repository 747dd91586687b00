"""A normalised layer: a loss that depends on the direction of its weights alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sftheory.core.errors import count, real
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(
    ref="defazio2025",
    tex=r"f(x) = s\,(1 - u_1),\quad g(x) = \nabla f(x) + (I - u u^\top)\, \xi / \|x\|,\quad"
    r" u = x / \|x\|,\ \xi \sim \mathcal N(0, I/d)",
)
@dataclass(frozen=True)
class ScaleInvariantSphere(Problem):
    r"""f(x) = signal (1 - x_1/|x|): gradients are tangential and shrink as the weights grow.

    With u = x/|x| the gradient is -signal (e_1 - u_1 u)/|x|; its noise is the tangential part of a
    normal vector of mean square 1, over |x|. The start is uniform on the unit sphere, from
    `default_rng((seed, 1))`, apart from the noise of every run. With signal = 0 only noise is left,
    which is what drives the norms.

    Known: f_star = 0, x_star = e_1 (any multiple will do), D. Every step lengthens x, since
    <g, x> = 0; with weight decay, x <- (1 - γ λ) x - γ g, the ratio |g|/|x| settles at
    sqrt(2 λ/γ - λ²).

    Ours, after defazio2025; not a formula of that paper.

    Raises:
        InputError: d < 2, signal negative, or a seed that is none.
    """

    d: int = 100
    signal: float = 1.0
    seed: int = 0

    convex = False
    f_star = 0.0

    def __post_init__(self) -> None:
        count("ScaleInvariantSphere's d", self.d, least=2)
        real("ScaleInvariantSphere's signal", self.signal, 0)
        count("ScaleInvariantSphere's seed", self.seed, least=0)

    @cached_property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start, (d,)."""
        x = np.random.default_rng((self.seed, 1)).standard_normal(self.d)
        return x / np.linalg.norm(x)

    @property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """e_1."""
        return np.eye(1, self.d)[0]

    def value(self, x: Any) -> Any:
        return self.signal * (1 - x[..., 0] / np.linalg.norm(x, axis=-1))

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        size = np.linalg.norm(x, axis=-1, keepdims=True)
        u = x / size
        pull = -self.signal * self.x_star
        if noise is not None:
            pull = pull + noise
        return (pull - (u * pull).sum(axis=-1, keepdims=True) * u) / size

    def draw(self, rng: np.random.Generator, steps: int) -> Array:
        return rng.standard_normal((steps, self.d)) / np.sqrt(self.d)
