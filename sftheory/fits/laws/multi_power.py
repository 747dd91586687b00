"""The Multi-Power Law."""

from __future__ import annotations

from typing import Any

import numpy as np

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array, Axis, Rows
from sftheory.fits.laws.response import Response
from sftheory.fits.laws.schedule import Seen

STILL = 1e-12  # of the largest rate: what a rate of zero counts as, so that it has a power


@LAWS.register(
    ref="luo2025",
    tex=r"L_0 + A S_1^{-\alpha} - B \sum_{k \leq t} (\eta_{k-1} - \eta_k)"
    r" \big[1 - (1 + C \eta_k^{-\gamma} S_k(t))^{-\beta}\big]",
)
class MultiPower(Response):
    r"""L0 + A S_1^-alpha - B Σ_k (eta_{k-1} - eta_k)[1 - (1 + C eta_k^-gamma S_k)^-beta].

    S_1 = Σ_{i<=t} eta_i and S_k = Σ_{i=k..t} eta_i, the warm-up included: its gaps are negative and
    belong to the sum. C, beta and gamma are often hardly identified; see `identifiability`.
    """

    factors = ("A", "B")
    axes = (
        Axis("alpha", 6, (0.2, 1.2), (0.01, 10.0)),
        Axis("C", 5, (10.0, 1e5), (1e-3, 1e9)),
        Axis("beta", 4, (0.1, 1.5), (1e-2, 30.0)),
        Axis("gamma", 4, (0.2, 2.0), (1e-2, 10.0)),
    )
    names = ("A", "alpha", "B", "C", "beta", "gamma", "L0")
    floor = "L0"

    def kernel(self, theta: Array, run: Seen) -> tuple[Array, list[Array]]:
        C, beta, gamma = np.exp(theta)
        log = np.log(np.maximum(run.rate, STILL))
        more = run.travel * (C * np.exp(-gamma * log))
        grown = np.log1p(more)
        left = np.exp(-beta * grown)
        by_c = beta * left * more / (1 + more)
        return 1 - left, [by_c, beta * left * grown, by_c * (-gamma * log)]

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        units = rows.runs[0]
        alpha, C, beta, gamma = np.exp(theta)
        return {
            "A": factors[0] * np.exp(alpha * np.log(units.travel)),
            "alpha": alpha,
            "B": factors[1] / units.rate,
            "C": C * np.exp(gamma * np.log(units.rate)) / units.travel,
            "beta": beta,
            "gamma": gamma,
            "L0": floor,
        }
