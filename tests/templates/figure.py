"""A figure of one line."""

from __future__ import annotations

from typing import Any

import numpy as np

from sftheory import bounds, schedules
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure


@FIGURES.register("X01", ref="zamani2023")
class MinimaxValue(Figure):
    """Linear decay is minimax.

    The exact worst case of linear decay at its best peak, times sqrt(N + 1), D = G = 1.
    """

    def data(self, quick: bool = False) -> Data:
        N = np.array([1, 3, 10, 30, 100])
        tuned = [bounds.last_iterate_tuned(schedules.Linear()(n), D=1, G=1)[1] for n in N]
        return Data([Curve("value", "linear", N, np.array(tuned) * np.sqrt(N + 1))])

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, lines, panels

        figure, (axes,) = panels(1, width=4)
        lines(axes, data.panel("value").values())
        axes.set_xscale("log")
        label(axes, "steps N", "worst case × $\\sqrt{N+1}$")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        y = np.asarray(data.panel("value")["linear"].y)
        worst = float(np.abs(y - 1).max())
        return [Claim("X01-minimax", "Distance from 1", worst, "<=", 1e-12, source="zamani2023")]
