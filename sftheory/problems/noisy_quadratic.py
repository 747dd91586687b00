"""Quadratics with gradient noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, steps
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.quadratic import Quadratic


@PROBLEMS.register(
    ref="zhang2019", tex=r"g(x) = \lambda (x - x_\star) + s\, \xi, \quad \xi \sim \mathcal N(0, I)"
)
@dataclass(frozen=True, eq=False)
class NoisyQuadratic(Quadratic):
    r"""A diagonal quadratic whose gradient carries independent normal noise.

    Args:
        eigenvalues: (d,), >= 0.
        noise: standard deviation of the gradient's noise, (d,) or a number for every mode.
        x1, x_star: (d,) or a number for every mode.

    Known: as for Quadratic; G does not exist, normal noise is unbounded.

    Raises:
        InputError: an eigenvalue or the noise is negative, or the shapes differ.
    """

    noise: ArrayLike = 0.1

    def __init__(
        self,
        eigenvalues: ArrayLike = (1.0, 0.1, 0.01),
        noise: ArrayLike = 0.1,
        x1: ArrayLike = 1.0,
        x_star: ArrayLike = 0.0,
    ) -> None:
        for name, given in (("eigenvalues", eigenvalues), ("x1", x1), ("x_star", x_star)):
            object.__setattr__(self, name, given)
        Quadratic.__post_init__(self)
        s = steps("noise", np.atleast_1d(np.asarray(noise)), "mode")
        if s.shape not in ((1,), self._lam.shape):
            raise InputError(
                f"noise has shape {s.shape} but there are {len(self._lam)} eigenvalues; "
                f"pass one number, or one for each."
            )
        object.__setattr__(self, "noise", np.broadcast_to(s, self._lam.shape))

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        gradient = super().subgradient(x)
        return gradient if noise is None else gradient + noise

    def draw(self, rng: np.random.Generator, steps: int) -> Array:
        return np.asarray(self.noise) * rng.standard_normal((steps, len(self._lam)))
