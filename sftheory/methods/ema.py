"""Exponential moving average of SGD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, in_unit


@METHODS.register(ref="polyak1992", tex=r"\beta_t = 0, \quad c_t = 1 - \text{decay}")
@dataclass(frozen=True)
class EMA(Method):
    """SGD that reports x <- decay x + (1 - decay) z, from x_1 on, without bias correction.

    Raises:
        InputError: decay outside [0, 1].
    """

    decay: float | Array = 0.99

    def __post_init__(self) -> None:
        in_unit("EMA's decay", self.decay)

    def tableau(self, gamma: ArrayLike) -> Tableau:
        return Tableau(gamma, 0.0, 1 - np.asarray(self.decay))
