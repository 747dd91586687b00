"""Defazio et al. 2023: schedules refined by the gradient norms of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_figures.defazio2025 import norms, windows
from sftheory.core.claim import Claim
from sftheory.design import refine
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]


@FIGURES.register("F21", ref="defazio2023", seed=0)
class RefinedSchedules(Figure):
    """The best schedule for given gradient norms.

    Steps w_t Σ_{i>t} w_i with w_t = 1/G_t², for three sequences of norms (left), each schedule over
    its largest step (right). Constant norms give linear decay. Norms that rise at the end, those of
    a layer with weight decay (F19's, means over 100 windows), give less than linear decay
    throughout. Norms that fall as t^-1/2 ask for a warm-up. T = 1000, and 100 for the layer.
    """

    T = 1000

    def data(self, quick: bool = False) -> Data:
        t = np.arange(1, self.T + 1)
        logged = {
            "constant": np.ones(self.T),
            "rising at the end": windows(norms(seed=0)[0][0]),
            "$t^{-1/2}$": t**-0.5,
        }
        curves, values = [], {}
        for name, G in logged.items():
            gamma = refine(G, D=1.0).gamma
            curves.append(Curve("norm", name, np.arange(1, len(G) + 1) / len(G), G / G[0]))
            curves.append(Curve("step", name, np.arange(1, len(G)) / len(G), gamma / gamma.max()))
            linear = 1 - np.arange(len(gamma)) / len(gamma)
            if name == "constant":
                values["linear"] = np.abs(gamma / gamma[0] - linear).max()
            elif name == "rising at the end":
                below = linear - gamma / gamma[0]
                values |= {"below": below[1:].min(), "middle": gamma[len(G) // 2 - 1] / gamma[0]}
            else:
                values["peak"] = (gamma.argmax() + 1) / self.T
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (left, right) = panels(2)
        looks = [("C0", "-"), ("C1", "-"), ("C2", "--")]
        for axes, panel in ((left, "norm"), (right, "step")):
            for (name, curve), (color, dash) in zip(data.panel(panel).items(), looks, strict=True):
                axes.plot(curve.x, curve.y, color=color, linestyle=dash, label=name)
        left.set_yscale("log")
        left.set_ylim(0.025, 4)
        left.legend(loc="center right", bbox_to_anchor=(1, 0.55))
        label(left, "t / T", "$G_t / G_1$")
        label(right, "t / T", "$\\gamma_t / \\max \\gamma$")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "F21-linear",
                "Constant norms give linear decay: largest difference, over the first step",
                v["linear"],
                "<=",
                1e-12,
                source="defazio2023, Alg. 1 [number recalled]",
            ),
            Claim(
                "F21-below",
                "Norms that rise at the end give steps below linear decay at every step after the "
                "first: smallest difference, over the first step",
                v["below"],
                ">=",
                0,
                source="defazio2023",
            ),
            Claim(
                "F21-middle",
                "Halfway that schedule is at a quarter of its start, not at a half",
                v["middle"],
                "==",
                0.253,
                atol=0.02,
                source="this project",
            ),
            Claim(
                "F21-warm-up",
                "Norms that fall as t^-1/2 ask for a warm-up over T/sqrt(3) steps: where the "
                "largest step lies",
                v["peak"],
                "==",
                3**-0.5,
                atol=0.005,
                source="defazio2023",
            ),
        ]
