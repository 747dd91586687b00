"""Averaging of the last part of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, real, steps
from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method


@METHODS.register(ref="rakhlin2012", tex=r"c_t = 1 / \max(1,\ t - N + n)")
@dataclass(frozen=True)
class SuffixAverage(Method):
    """SGD that reports the mean of its last n = max(1, round(fraction (N + 1))) points.

    Fraction 1 is uniform Polyak averaging; n = 1 is the last iterate.

    Raises:
        InputError: fraction outside (0, 1].
    """

    fraction: float = 0.5

    def __post_init__(self) -> None:
        if real("SuffixAverage's fraction", self.fraction, 0, 1) == 0:
            raise InputError(
                "SuffixAverage needs a fraction > 0; LastIterate reports the last point."
            )

    def tableau(self, gamma: ArrayLike) -> Tableau:
        gamma = steps("gamma", gamma)
        N = gamma.shape[-1]
        n = max(1, int(self.fraction * (N + 1) + 0.5))
        t = np.arange(1, N + 1)
        return Tableau(gamma, beta=0.0, c=1 / np.maximum(1, t - N + n))
