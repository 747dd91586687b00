"""Forecasts of the end of real runs, made along the way, against what was then measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_figures.real_curves import visible_curves
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure
from sftheory.figures.requirements import real_data
from sftheory.fits import Curve as LossCurve
from sftheory.fits import fit
from sftheory.fits.answer import Fit

SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
FEWEST = 12  # points of a prefix
TAIL = 0.1  # of the points: the end that is forecast
HERE = "this project, on public logs"


@FIGURES.register("L04", ref="schaipp2025", needs="curves", seconds=8)
class Forecasts(Figure):
    """Predicted against actual end loss over all visible runs of constant rate or schedule-free.

    The square-root law is fitted to the first 20% to 80% of a run (at least 12 points) and asked
    for the mean loss of its last tenth, with the 95% interval of `sftheory.fits` and the noise of
    that mean. Left: predicted minus actual from half of the run. Right: all forecasts, the error
    over the half-width of the interval against the share of the run that was fitted; within ±1 the
    interval held. Crosses: the same error over the textbook's half-width, cut at ±6. Forecasts of
    one run are not independent. Two runs of the weight average reject the law; they count too.
    """

    def data(self, quick: bool = False) -> Data:
        found = visible_curves(real_data("curves"))
        kept = {name: pair for name, pair in found.items() if pair[0] in ("lm", "sf")}
        half, every = [], {"lm": [], "sf": []}
        values, refused = {}, 0
        for i, (name, (kind, curve)) in enumerate(kept.items()):
            for share in SHARES:
                asked = _forecast(curve, share)
                if asked is None:
                    continue
                error, width, textbook = asked
                if not np.isfinite(width):
                    refused += 1
                    continue
                every[kind].append((share, error, width, textbook))
                if share == 0.5:
                    half.append(Curve("half", name, [error], [i], [error - width], [error + width]))
        curves = list(half)
        for kind, rows in every.items():
            share, error, width, textbook = np.transpose(rows)
            curves.append(Curve("every", f"{kind}, calibrated", share, error / width))
            curves.append(Curve("every", f"{kind}, textbook", share, error / textbook))
            values |= {
                f"{kind}, pairs": float(len(rows)),
                f"{kind}, held": 100 * float(np.mean(np.abs(error) <= width)),
                f"{kind}, textbook": 100 * float(np.mean(np.abs(error) <= textbook)),
                f"{kind}, half-width": float(np.median(width)),
                f"{kind}, mean half-width": float(np.mean(width)),
                f"{kind}, error": float(np.median(np.abs(error[share == 0.5]))),
            }
        pairs = {kind: values[f"{kind}, pairs"] for kind in every}
        for what in ("held", "textbook"):
            total = sum(values[f"{kind}, {what}"] * n for kind, n in pairs.items())
            values[f"all, {what}"] = total / sum(pairs.values())
        return Data(curves, values | {"refused": float(refused)})

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (left, right) = panels(2, height=3.4, width_ratios=(1.25, 1))
        shown = data.panel("half")
        for i, (name, curve) in enumerate(shown.items()):
            x, low, high = (float(np.ravel(v)[0]) for v in (curve.x, curve.low, curve.high))
            color = "C1" if name.startswith("SF") else "C0"
            left.errorbar(
                [x],
                [i],
                xerr=[[x - low], [high - x]],
                fmt="o",
                color=color,
                markersize=3.5,
                capsize=2,
                linewidth=1,
            )
        left.axvline(0, color="C5", linewidth=0.8, linestyle=":")
        left.set_yticks(range(len(shown)), list(shown), fontsize=6.5)
        label(left, "predicted − actual end loss, from half of the run", "")
        looks = {"lm, calibrated": ("o", "C0", -0.01), "sf, calibrated": ("o", "C1", 0.01)}
        looks |= {"lm, textbook": ("x", "C0", -0.01), "sf, textbook": ("x", "C1", 0.01)}
        right.axhspan(-1, 1, color="C5", alpha=0.15, linewidth=0)
        for name, (mark, color, shift) in looks.items():
            curve = data.panel("every")[name]
            hollow = {"markerfacecolor": "none"} if mark == "o" else {"alpha": 0.45}
            x, y = 100 * (np.asarray(curve.x) + shift), np.clip(np.asarray(curve.y), -6, 6)
            told = name.replace("lm", "constant rate").replace("sf", "schedule-free")
            right.plot(x, y, mark, color=color, markersize=3.5, label=told, **hollow)
        label(right, "% of the run that was fitted", "error / half-width of the interval")
        figure.legend(loc="outside lower center", ncols=4, fontsize=6.5, columnspacing=1.2)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        pairs = int(v["lm, pairs"] + v["sf, pairs"])
        return [
            Claim(
                "L04-calibrated",
                f"The interval holds the measured end in 90% of {pairs} forecasts or more: percent",
                v["all, held"],
                ">=",
                90,
                source=HERE,
            ),
            Claim(
                "L04-textbook",
                "1.96 standard errors of independent noise hold it in less than half of those of "
                "language models at a constant rate: percent",
                v["lm, textbook"],
                "<=",
                50,
                source=HERE,
            ),
            Claim(
                "L04-width",
                "Median half-width of the calibrated intervals there, in nats",
                v["lm, half-width"],
                "<=",
                0.012,
                source=HERE,
            ),
            Claim(
                "L04-error",
                "Median error from half of the run there, in nats",
                v["lm, error"],
                "<=",
                0.005,
                source=HERE,
            ),
            Claim(
                "L04-schedule-free",
                "and of schedule-free runs, whose noise is larger",
                v["sf, error"],
                "<=",
                0.01,
                source=HERE,
            ),
            Claim(
                "L04-refused",
                "Forecasts that the verdict forbids",
                v["refused"],
                "<=",
                0.1 * pairs,
                source=HERE,
            ),
        ]


def _forecast(curve: LossCurve, share: float) -> tuple[float, float, float] | None:
    """Error of a forecast, our half-width and the textbook's; widths are NaN where none is given.

    None if the prefix is too short.
    """
    tail = max(1, round(TAIL * len(curve)))
    t, measured = curve.step[-tail:], float(curve.loss[-tail:].mean())
    first, last = curve.step[[0, -1]]
    prefix = curve.cut(stop=float(first + share * (last - first) * (1 + 1e-9)))
    if len(prefix) < FEWEST:
        return None
    found = fit(prefix, "sqrt")
    if found.parameters is None:
        return np.nan, np.nan, np.nan
    s, noise = found.solution, found.noise
    value, _, high = (float(np.mean(v)) for v in found.at(t))
    law, jitter = s.mean_error(t), noise.sigma / np.sqrt(tail)
    textbook = 1.96 * float(np.hypot(law / noise.inflation, jitter))
    return value - measured, _with_noise(found, high - value, law, jitter), textbook


def _with_noise(found: Fit, half: float, law: float, jitter: float) -> float:
    """The half-width for a measured mean: its noise and that of the law add in quadrature."""
    q = found.noise.quantile(0.95)
    return half - q * law + q * float(np.hypot(law, jitter * found.noise.inflation))
