"""The annealing law of Tissue, Wang and Wang."""

from __future__ import annotations

from typing import Any

import numpy as np

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array, Axis, Rows
from sftheory.fits.laws.response import Response
from sftheory.fits.laws.schedule import Seen


@LAWS.register(
    ref="tissue2024",
    tex=r"L_0 + A S_1^{-\alpha} - C \sum_{i \leq t} \sum_{k \leq i}"
    r" (\eta_{k-1} - \eta_k) \lambda^{i-k}",
)
class Tissue(Response):
    r"""L0 + A S_1^-alpha - C S_2: falls of the rate gain through a momentum that forgets by lambda.

    S_1 = Σ_{i<=t} eta_i, and S_2 = Σ_k (eta_{k-1} - eta_k)(1 - lambda^(t-k+1))/(1 - lambda), the
    double sum, its inner part summed. The warm-up counts as if it were at the peak. The second
    coordinate is s = -T log(lambda), T the longest run.
    """

    factors = ("A", "C")
    axes = (
        Axis("alpha", 12, (0.1, 2.0), (0.01, 10.0)),
        Axis("s", 16, (1.0, 3000.0), (1e-2, 1e6), "lambda"),
    )
    names = ("A", "alpha", "C", "lambda", "L0")
    floor = "L0"
    flat_warmup = True

    def kernel(self, theta: Array, run: Seen) -> tuple[Array, list[Array]]:
        decay = np.exp(theta[0]) * run.lag
        left = np.exp(-decay)
        return -np.expm1(-decay), [decay * left]

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        units, alpha = rows.runs[0], np.exp(theta[0])
        rate = np.exp(theta[1]) / units.steps
        return {
            "A": factors[0] * np.exp(alpha * np.log(units.travel)),
            "alpha": alpha,
            "C": factors[1] * (1 - np.exp(-rate)) / units.rate,
            "lambda": np.exp(-rate),
            "L0": floor,
        }

    def sizes(self, parameters: dict[str, float], rows: Rows) -> dict[str, float]:
        return super().sizes(parameters, rows) | {"lambda": 1 - parameters["lambda"]}
