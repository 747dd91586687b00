"""SGD that reports its last point."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike

from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method


@METHODS.register(ref="zamani2023", tex=r"\beta_t = 0, \quad c_t = 1")
@dataclass(frozen=True)
class LastIterate(Method):
    """SGD with a schedule: x_{t+1} = x_t - gamma_t g_t, the last point is reported.

    The schedule does all that averaging does elsewhere; with linear decay the worst case is
    minimax (zamani2023).
    """

    def tableau(self, gamma: ArrayLike) -> Tableau:
        return Tableau(gamma, beta=0.0, c=1.0)
