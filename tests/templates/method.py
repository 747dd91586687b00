"""Averaging of every point from the second on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import steps
from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method


@METHODS.register(ref="polyak1992", tex=r"\beta_t = 0, \quad c_t = 1 / t")
@dataclass(frozen=True)
class AverageWithoutStart(Method):
    """SGD that reports the mean of z_2, ..., z_{N+1}."""

    def tableau(self, gamma: ArrayLike) -> Tableau:
        gamma = steps("gamma", gamma)
        return Tableau(gamma, beta=0.0, c=1 / np.arange(1, gamma.shape[-1] + 1))
