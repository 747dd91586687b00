"""Max of absolute linear functions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sftheory.core.errors import count
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(
    ref="drori2016", tex=r"f(x) = \max_i |\langle a_i, x - x_\star \rangle|, \quad \|a_i\| = 1"
)
@dataclass(frozen=True)
class MaxLinear(Problem):
    r"""Lipschitz and piecewise linear: f(x) = max_i |<a_i, x - x_star>| with unit rows a_i.

    Rows are normal vectors, normalised, drawn first from `default_rng(seed)`; then one more unit
    vector is drawn. Centred, it is x_1 and x_star = 0; otherwise it is x_star and x_1 = 0.

    Known: G = 1, D = 1, f_star = 0, x_star.

    Raises:
        InputError: d or rows is not a whole number >= 1.
    """

    d: int = 50
    rows: int = 50
    seed: int = 0
    centred: bool = True

    f_star = 0.0
    G = 1.0

    def __post_init__(self) -> None:
        count("MaxLinear's d", self.d)
        count("MaxLinear's seed", self.seed, least=0)
        count("MaxLinear's rows", self.rows)

    @cached_property
    def _data(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(self.seed)
        A = rng.standard_normal((self.rows, self.d))
        v = rng.standard_normal(self.d)
        return A / np.linalg.norm(A, axis=1, keepdims=True), v / np.linalg.norm(v)

    @property
    def A(self) -> Array:
        """The unit rows, (rows, d)."""
        return self._data[0]

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start."""
        return self._data[1] if self.centred else np.zeros(self.d)

    @property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser."""
        return np.zeros(self.d) if self.centred else self._data[1]

    def value(self, x: Any) -> Any:
        return np.abs((x - self.x_star) @ self.A.T).max(axis=-1)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        r = (x - self.x_star) @ self.A.T
        i = np.abs(r).argmax(axis=-1)
        r_i = np.take_along_axis(r, i[..., None], axis=-1)
        return np.abs(r_i[..., 0]), np.sign(r_i) * self.A[i]
