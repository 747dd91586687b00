"""Hägele et al. 2024: cooldowns from a constant learning rate, and their shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_figures.schaipp2025 import CooldownLength
from paper_figures.wen2024 import DECAYS, LENGTHS, hill_after_decay
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure


@FIGURES.register("H01", ref="hagele2024")
class CooldownShape(Figure):
    """A 1-sqrt cooldown against a linear one.

    Left: the tuned bound Ω of a convex Lipschitz problem against the share of the run that the
    cooldown takes, T = 400, as in F04. Right: what a cooldown of K steps leaves of the plateau's
    loss on a noisy hill of curvature 10 at step 0.05, exactly, as in F16 (c).
    """

    def data(self, quick: bool = False) -> Data:
        bound = CooldownLength().data()
        curves = [
            Curve("bound", name.removesuffix(" cooldown"), curve.x, curve.y)
            for name, curve in bound.panel("cooldown").items()
        ]
        curves += [
            Curve("hill", name, LENGTHS, hill_after_decay(shape))
            for name, (shape, _) in DECAYS.items()
        ]
        return Data(curves, dict(bound.values))

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (left, right) = panels(2)
        looks = {"linear": ("C0", "-"), "1-sqrt": ("C1", "--")}
        for axes, panel, marker in ((left, "bound", ""), (right, "hill", "o")):
            for name, curve in data.panel(panel).items():
                color, dash = looks[name]
                axes.plot(
                    curve.x, curve.y, color=color, linestyle=dash, label=name, marker=marker,
                    markersize=3.5,
                )  # fmt: skip
            axes.legend(title="cooldown")
        right.set_xscale("log")
        right.set_yscale("log")
        label(left, "cooldown, fraction of the run", "tuned bound $\\Omega_T \\sqrt{T}$")
        label(right, "cooldown steps K", "hill loss / plateau")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        hill = {name: np.asarray(curve.y) for name, curve in data.panel("hill").items()}
        ratio = hill["1-sqrt"] / hill["linear"]
        return [
            Claim(
                "H01-hill",
                "The 1-sqrt cooldown leaves less of the hill at every length: largest ratio to the "
                "linear one",
                ratio.max(),
                "<=",
                1,
                source="hagele2024",
            ),
            *(
                Claim(
                    f"H01-gain-{K}",
                    f"What it leaves less after {K} steps, over the linear one's",
                    1 - ratio[LENGTHS.index(K)],
                    "==",
                    gain,
                    atol=2e-3,
                    source="this project",
                )
                for K, gain in ((10, 0.1473), (500, 0.2840))
            ),
            Claim(
                "H01-bound",
                "At 20% of the run the bound prefers 1-sqrt as well: ratio to linear",
                data.values["1-sqrt 0.2"] / data.values["linear 0.2"],
                "==",
                2.1458 / 2.1865,
                atol=1e-3,
                source="hagele2024 and schaipp2025",
            ),
        ]
