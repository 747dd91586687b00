"""Generalized primal averaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, in_unit


@METHODS.register(ref="gpa2025", tex=r"\beta_t = \mu_y, \quad c_t = 1 - \mu_x")
@dataclass(frozen=True)
class GPA(Method):
    """Generalized primal averaging: y = mu_y x + (1 - mu_y) z, x <- mu_x x + (1 - mu_x) z.

    Schedule-free is the same with mu_x growing as t / (t + 1); a constant mu_x forgets, so a
    schedule is still needed.

    Raises:
        InputError: mu_y or mu_x outside [0, 1].
    """

    mu_y: float | Array = 0.9
    mu_x: float | Array = 0.99

    def __post_init__(self) -> None:
        in_unit("GPA's mu_y", self.mu_y)
        in_unit("GPA's mu_x", self.mu_x)

    def tableau(self, gamma: ArrayLike) -> Tableau:
        return Tableau(gamma, self.mu_y, 1 - np.asarray(self.mu_x))
