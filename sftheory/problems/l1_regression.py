"""Least absolute deviations."""

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
    ref="bloomfield1983", tex=r"f(x) = \tfrac1n \textstyle\sum_i |\langle a_i, x \rangle - b_i|"
)
@dataclass(frozen=True)
class L1Regression(Problem):
    r"""Least absolute deviations, f(x) = (1/n) Σ |<a_i, x> - b_i|, from x_1 = 0.

    A is standard normal and b = A w + noise e with w on the unit sphere and e Laplace, all from
    `default_rng(seed)` in the order A, w, e. The minimiser is w where noise = 0, otherwise it is
    found by a linear program.

    Known: G = (1/n) Σ |a_i|, D, f_star, x_star.

    Raises:
        InputError: n or d is not a whole number >= 1, or noise is negative.
    """

    n: int = 60
    d: int = 20
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        count("L1Regression's n", self.n)
        count("L1Regression's d", self.d)
        count("L1Regression's seed", self.seed, least=0)
        real("L1Regression's noise", self.noise, 0)

    @cached_property
    def _data(self) -> tuple[Array, Array, Array]:
        rng = np.random.default_rng(self.seed)
        A = rng.standard_normal((self.n, self.d))
        w = rng.standard_normal(self.d)
        w /= np.linalg.norm(w)
        b = A @ w + self.noise * rng.laplace(size=self.n)
        return A, b, w if self.noise == 0 else _least_absolute_deviations(A, b)

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start, zero."""
        return np.zeros(self.d)

    @property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser."""
        return self._data[2]

    @property
    def f_star(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The least value."""
        return float(self.value(self.x_star))

    @cached_property
    def G(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Mean row norm."""
        return float(np.linalg.norm(self._data[0], axis=1).mean())

    def value(self, x: Any) -> Any:
        A, b, _ = self._data
        return np.abs(x @ A.T - b).mean(axis=-1)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        A, b, _ = self._data
        return np.sign(x @ A.T - b) @ A / self.n


def _least_absolute_deviations(A: Array, b: Array) -> Array:
    from scipy.optimize import linprog

    n, d = A.shape
    eye = np.eye(n)
    solution = linprog(
        c=np.r_[np.zeros(d), np.ones(n)],
        A_ub=np.block([[A, -eye], [-A, -eye]]),
        b_ub=np.r_[b, -b],
        bounds=[(None, None)] * d + [(0, None)] * n,
    )
    return solution.x[:d]
