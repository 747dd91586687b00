"""Real loss curves and the square-root law: where it holds, where it is rejected.

The curves are public logs of AlgoPerf (schedule-free), lr-scheduling, MultiPowerLaw and
modded-nanogpt; `real_curves` says which rows of them. Fits are those of `sftheory.fits`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from paper_figures.real_curves import visible_curves
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure
from sftheory.figures.requirements import real_data
from sftheory.fits import fit
from sftheory.fits.verdicts import misfit

LOGS = "this project, on public logs"


@FIGURES.register("L01", ref="defazio2024", needs="curves", seconds=4)
class RealCurves(Figure):
    """Real schedule-free runs and the law a/sqrt(t + b) + c: where it holds, where it is rejected.

    Validation losses of schedule-free AdamW in AlgoPerf's benchmark after the first 5% of the run,
    and of a weight average of a constant-rate run (124M). Top: losses and the law. Bottom: loss
    minus law, in units of the noise that the power law with free p leaves (dashed). The law holds
    for speech; translation prefers a larger p, by about the noise; the weight average rejects it,
    its p is smaller; and the image model diverges, which no parameter describes.
    """

    # name: title, expected verdict
    RUNS: ClassVar = {
        "SF speech valid": ("speech", "fits"),
        "SF WMT valid": ("translation", "fits"),
        "SF WMT tuned": ("translation, tuned", "p not identified"),
        "124M 30k average": ("weight average", "law rejected"),
        "ResNet": ("images", "diverging"),
    }

    def data(self, quick: bool = False) -> Data:
        found = visible_curves(real_data("curves"))
        curves, values = [], {}
        for name in [*self.RUNS, "OpenWebText2 average"]:
            one = fit(found[name][1], "sqrt")
            s, power, t = one.solution, one.power, one.curve.step
            values |= {
                f"{name}, p": power["p"],
                f"{name}, p error": power.errors["p"],
                f"{name}, misfit": misfit(s, power),
                f"{name}, a": s["a"],
            }
            if name not in self.RUNS:
                continue
            expected = self.RUNS[name][1]
            values[f"{name}, verdict"] = float(one.verdict == expected)
            curves.append(Curve(name, "loss", t, one.curve.loss))
            if one.parameters is None:
                continue
            grid = np.geomspace(t[0], t[-1], 200)
            curves.append(Curve(name, "sqrt", grid, s.value(grid)))
            sigma = power.noise.sigma
            curves.append(Curve(f"{name}, rest", "loss", t, s.residual / sigma))
            apart = (power.value(grid) - s.value(grid)) / sigma
            curves.append(Curve(f"{name}, rest", "power", grid, apart))
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        n = len(self.RUNS)
        # the last run diverges and has no residuals
        rows: Any = [
            [f"{row}{k}" for k in range(n - 1)] + [f"top{n - 1}"] for row in ("top", "rest")
        ]
        figure = plt.figure(figsize=(8.6, 3.4))
        axes = figure.subplot_mosaic(rows, height_ratios=(1.3, 1))
        for k, (name, (title, verdict)) in enumerate(self.RUNS.items()):
            top, bottom = axes[f"top{k}"], axes.get(f"rest{k}", axes[f"top{k}"])
            shown, rest = (_in_thousands(data.panel(p)) for p in (name, f"{name}, rest"))
            top.plot(shown["loss"].x, shown["loss"].y, ".", color="C0", markersize=3)
            top.set_title(f"{title}:\n{verdict}", loc="left")
            bottom.set_xlabel("1000 steps")
            if not rest:
                continue
            top.plot(shown["sqrt"].x, shown["sqrt"].y, color="C1")
            top.tick_params(labelbottom=False)
            bottom.sharex(top)
            bottom.axhline(0, color="C1")
            bottom.plot(rest["power"].x, rest["power"].y, "--", color="C2")
            bottom.plot(rest["loss"].x, rest["loss"].y, ".", color="C0", markersize=3)
            reach = max(4, 1.1 * np.abs(np.asarray(rest["loss"].y)).max())
            bottom.set_ylim(-reach, reach)
            p, error = (data.values[f"{name}, {what}"] for what in ("p", "p error"))
            text = f"p = {p:.2f} ± {error:.2f}"
            top.text(0.95, 0.9, text, ha="right", transform=top.transAxes, fontsize=7.5)
        axes["top0"].set_ylabel("loss")
        axes["rest0"].set_ylabel("(loss − law) / noise")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        averages = ("124M 30k average", "OpenWebText2 average")
        return [
            Claim(
                "L01-verdicts",
                "Verdicts on the five runs: fits, fits, p not identified, law rejected, "
                "diverging: how many come out",
                sum(v[f"{name}, verdict"] for name in self.RUNS),
                "==",
                5,
                source=LOGS,
            ),
            Claim(
                "L01-holds",
                "Speech: what the law leaves beyond the noise of a free exponent, in units of it",
                v["SF speech valid, misfit"],
                "<=",
                1,
                source=LOGS,
            ),
            Claim(
                "L01-translation",
                "Translation: a free p lies this many standard errors above 1/2",
                (v["SF WMT valid, p"] - 0.5) / v["SF WMT valid, p error"],
                ">=",
                2,
                source=LOGS,
            ),
            Claim(
                "L01-rejected",
                "The weight averages of two constant-rate runs reject the law: smaller misfit, in "
                "units of the noise",
                min(v[f"{name}, misfit"] for name in averages),
                ">=",
                2.5,
                source=LOGS,
            ),
            Claim(
                "L01-averages",
                "Their free exponents stay below 1/2: larger p + 2 standard errors",
                max(v[f"{name}, p"] + 2 * v[f"{name}, p error"] for name in averages),
                "<=",
                0.5,
                source=LOGS,
            ),
            Claim(
                "L01-diverging",
                "The best fit to the diverging run rises: a",
                v["ResNet, a"],
                "<=",
                0,
                source=LOGS,
            ),
        ]


def _in_thousands(curves: dict[str, Curve]) -> dict[str, Curve]:
    return {name: replace(curve, x=np.asarray(curve.x) / 1000) for name, curve in curves.items()}
