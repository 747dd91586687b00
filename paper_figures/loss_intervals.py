"""Intervals of fitted loss curves: how often they hold the truth, on noise and on real runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure
from sftheory.fits import Curve as LossCurve
from sftheory.fits import fit

Array = NDArray[np.float64]
LEVEL, NORMAL = 0.95, 1.96
HERE = "this project"


@FIGURES.register("L02", ref="defazio2024", seed="(0, 100 rho)", seconds=14)
class Coverage(Figure):
    """Textbook intervals of a fitted loss curve miss the truth; calibrated ones hold it.

    Losses 28.2/sqrt(t + 60) + 2.9766 at 250 steps from 1,000 to 50,000, a constant rate, with AR(1)
    noise of standard deviation 0.002 and autocorrelation ρ. How often a 95% interval holds c (left)
    and the loss at twice the run (right): the textbook's, 1.96 standard errors of independent
    noise; the same corrected for ρ, with Student's t; and that of `sftheory.fits`, which adds the
    spread of laws and the error of a backtest as far as noise does not explain them. Bands: two
    standard errors of the draws.
    """

    RHOS = (0.0, 0.3, 0.5, 0.7, 0.9)
    KINDS = ("textbook", "AR(1), Student's t", "calibrated")
    DRAWS = 200
    A, B, C, SIGMA = 28.2, 60.0, 2.9766, 0.002

    def data(self, quick: bool = False) -> Data:
        draws = 60 if quick else self.DRAWS
        share = np.array([self._held(rho, draws) for rho in self.RHOS])  # (rho, truth, kind)
        error = np.sqrt(np.maximum(share * (1 - share), 0.25 / draws) / draws)
        curves, values = [], {"draws": float(draws)}
        for j, truth in enumerate(("c", "loss at 2T")):
            for k, kind in enumerate(self.KINDS):
                y, e = 100 * share[:, j, k], 200 * error[:, j, k]
                low, high = np.maximum(y - e, 0), np.minimum(y + e, 100)
                curves.append(Curve(truth, kind, self.RHOS, y, low, high))
                for rho, value in zip(self.RHOS, y, strict=True):
                    values[f"{truth}, {kind}, {rho}"] = value
        return Data(curves, values)

    def _held(self, rho: float, draws: int) -> Array:
        """How often c and the loss at 2T lie in each kind of interval, (2, 3)."""
        rng = np.random.default_rng([0, round(100 * rho)])
        t = np.linspace(1_000, 50_000, 250)
        later = 2 * t[-1:]
        truth = np.array([self.C, self.A / np.sqrt(later[0] + self.B) + self.C])
        held = np.zeros((draws, 2, 3))
        for i in range(draws):
            noise = self.SIGMA * _ar1(rng, len(t), rho)
            loss = self.A / np.sqrt(t + self.B) + self.C + noise
            found = fit(LossCurve(t, loss, lr=np.ones_like(t)), "sqrt")
            s = found.solution
            value = np.array([s["c"], s.value(later)[0]])
            error = np.array([s.errors["c"], s.error_at(later)[0]])
            low, high = np.transpose([found.interval("c"), found.at(float(later[0]))[1:]])
            off = np.abs(value - truth)
            held[i, :, 0] = off <= NORMAL * error / s.noise.inflation
            held[i, :, 1] = off <= s.noise.quantile(LEVEL) * error
            held[i, :, 2] = (low <= truth) & (truth <= high)
        return held.mean(axis=0)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, lines, panels

        figure, axes = panels(2, sharey=True)
        looks = dict(zip(self.KINDS, (("C1", "--"), ("C5", "-."), ("C0", "-")), strict=True))
        for panel, name in zip(axes, ("c", "loss at 2T"), strict=True):
            panel.axhline(95, color="C5", linewidth=0.8, linestyle=":")
            for kind, curve in data.panel(name).items():
                color, dash = looks[kind]
                lines(panel, [curve], color=color, linestyle=dash, marker="o", markersize=3)
            label(panel, "autocorrelation ρ of the noise", "", name)
        axes[0].set_ylabel("% of 95% intervals that hold it")
        axes[0].set_ylim(20, 102)
        axes[0].legend(loc="lower left")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v, draws = data.values, data.values["draws"]
        tolerance = 100 * 2.5 * float(np.sqrt(0.95 * 0.05 / draws))  # of the draws

        def least(kind: str) -> float:
            return min(
                v[f"{truth}, {kind}, {r}"] for truth in ("c", "loss at 2T") for r in self.RHOS
            )

        return [
            Claim(
                "L02-calibrated",
                "Calibrated 95% intervals hold c and the loss at 2T in 95% of the draws for every "
                "ρ: smallest percentage",
                least("calibrated"),
                ">=",
                95,
                atol=tolerance,
                source=HERE,
            ),
            Claim(
                "L02-textbook",
                "The textbook's hold c in a third of them at ρ = 0.9, in percent",
                v["c, textbook, 0.9"],
                "==",
                35,
                atol=100 * 2.5 * float(np.sqrt(0.35 * 0.65 / draws)),
                source=HERE,
            ),
            Claim(
                "L02-independent",
                "and in 95% of them where the noise is independent",
                v["c, textbook, 0.0"],
                "==",
                95,
                atol=tolerance,
                source=HERE,
            ),
        ]


def _ar1(rng: np.random.Generator, n: int, rho: float) -> Array:
    """Stationary noise of variance 1 with autocorrelation rho^k."""
    from scipy.signal import lfilter

    white = rng.standard_normal(n)
    white[1:] *= np.sqrt(1 - rho**2)
    return np.asarray(lfilter([1.0], [1.0, -rho], white))
