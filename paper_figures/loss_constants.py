"""What the constant of a fitted loss curve depends on: the law, the start of the fit, noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_figures.real_curves import visible_curves
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure
from sftheory.figures.requirements import real_data
from sftheory.fits import fit

LOGS = "this project, on public logs"


@FIGURES.register("L03", ref="schaipp2025", needs="curves", seconds=5)
class ConstantOfTheLaw(Figure):
    """The constant c depends more on the law than on its standard error.

    Left: c of a/(t + b)^p + c with free p minus c of the square-root law, over the standard error
    of the latter, autocorrelation included; every real curve that has parameters, schedule-free
    runs in the second colour, noisy training losses open. Right: c of one validation curve (124M,
    rate 1e-3) against the step at which the fit starts, both laws, with two standard errors.
    """

    STARTS = (1000, 1400, 2000, 2800, 4000, 5600, 8000, 10_000)
    ONE = "124M 1e-3 val"
    KINDS = ("lm", "sf", "train")

    def data(self, quick: bool = False) -> Data:
        found = visible_curves(real_data("curves"))
        values, ratios = {}, {}
        for name, (kind, curve) in found.items():
            if kind not in self.KINDS:
                continue
            one = fit(curve, "sqrt")
            moved, error = one.power["c"] - one.solution["c"], one.solution.errors["c"]
            values |= {f"{name}, moved": moved, f"{name}, error": error}
            ratios[name] = abs(moved) / error
        order = sorted(ratios, key=lambda name: ratios[name])
        curves = [Curve("ratio", name, [ratios[name]], [i]) for i, name in enumerate(order)]
        whole = found[self.ONE][1]
        for law in ("sqrt", "power"):
            fits = [fit(whole.cut(start), law).solution for start in self.STARTS]
            c = np.array([s["c"] for s in fits])
            error = np.array([s.errors["c"] for s in fits])
            curves.append(Curve("start", law, self.STARTS, c, c - 2 * error, c + 2 * error))
            values[f"{law}, start moves c by"] = c[-1] - c[0]
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, lines, panels

        figure, (left, right) = panels(2, height=3.5, width_ratios=(1.25, 1))
        ratios = data.panel("ratio")
        for i, (name, curve) in enumerate(ratios.items()):
            color = "C1" if name.startswith("SF") else "C0"
            hollow = {"markerfacecolor": "none"} if name.endswith("train") else {}
            left.plot(curve.x, [i], "o", color=color, markersize=4, **hollow)
        left.set_yticks(range(len(ratios)), list(ratios), fontsize=6.5)
        left.axvline(1, color="C5", linewidth=0.8, linestyle=":")
        left.set_xscale("log")
        left.set_xlim(0.8, 100)
        label(left, "|c of power − c of sqrt| / standard error of c", "")
        looks = {"sqrt": {"color": "C1"}, "power": {"color": "C2", "linestyle": "--"}}
        for name, curve in data.panel("start").items():
            lines(right, [curve], marker="o", markersize=3, **looks[name])
        right.set_xscale("log")
        right.set_xticks([1000, 2000, 5000, 10_000], ["1000", "2000", "5000", "10 000"])
        right.set_xticks([], minor=True)
        right.legend()
        label(right, "the fit starts at step", "c", self.ONE)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        ratios = np.array([float(np.ravel(c.x)[0]) for c in data.panel("ratio").values()])
        return [
            Claim(
                "L03-law",
                f"The law moves c by more than a standard error on each of {len(ratios)} curves: "
                f"smallest ratio",
                ratios.min(),
                ">=",
                1,
                source=LOGS,
            ),
            Claim(
                "L03-median",
                "It moves c by ten standard errors or more on half of them: median ratio",
                float(np.median(ratios)),
                ">=",
                10,
                source=LOGS,
            ),
            Claim(
                "L03-moved",
                "124M, rate 1e-3: the free power law moves c by",
                v[f"{self.ONE}, moved"],
                "==",
                0.022,
                atol=5e-4,
                source=LOGS,
            ),
            Claim(
                "L03-start",
                "The same curve: a start at 10,000 instead of 1,000 steps moves c of the "
                "square-root law by",
                v["sqrt, start moves c by"],
                "==",
                0.011,
                atol=5e-4,
                source=LOGS,
            ),
            Claim(
                "L03-start-errors",
                "which is this many standard errors",
                v["sqrt, start moves c by"] / v[f"{self.ONE}, error"],
                ">=",
                10,
                source=LOGS,
            ),
        ]
