"""Diagonal quadratics without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, numbers, steps
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(
    ref="nesterov2004", tex=r"f(x) = \tfrac12 \textstyle\sum_i \lambda_i (x_i - x_{\star i})^2"
)
@dataclass(frozen=True, eq=False)
class Quadratic(Problem):
    r"""f(x) = ½ Σ lambda_i (x_i - x_star_i)²; diagonal, since the methods are rotation-invariant.

    Args:
        eigenvalues: (d,), >= 0.
        x1: (d,) or a number for every mode.
        x_star: (d,) or a number for every mode.

    Known: L and mu (largest and smallest eigenvalue), D, f_star = 0, x_star.

    Raises:
        InputError: an eigenvalue is negative, or the shapes differ.
    """

    eigenvalues: ArrayLike = (1.0, 0.1, 0.01)
    x1: ArrayLike = 1.0
    x_star: ArrayLike = 0.0

    f_star = 0.0

    def __post_init__(self) -> None:
        lam = steps("eigenvalues", self.eigenvalues, "mode")
        if lam.ndim != 1:
            raise InputError(f"eigenvalues must be one list of numbers, not shape {lam.shape}.")
        object.__setattr__(self, "eigenvalues", lam)
        for name in ("x1", "x_star"):
            point = numbers(name, np.atleast_1d(np.asarray(getattr(self, name))), "mode")
            if point.shape not in ((1,), lam.shape):
                raise InputError(
                    f"{name} has shape {point.shape} but there are {len(lam)} eigenvalues; "
                    f"pass one number, or one for each."
                )
            object.__setattr__(self, name, np.broadcast_to(point, lam.shape))

    @property
    def L(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Largest eigenvalue."""
        return float(np.max(self.eigenvalues))

    @property
    def mu(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Smallest eigenvalue."""
        return float(np.min(self.eigenvalues))

    def value(self, x: Any) -> Any:
        return (x - self.x_star) ** 2 @ self._lam / 2

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self._lam * (x - self.x_star)

    @property
    def _lam(self) -> Array:
        return np.asarray(self.eigenvalues)
