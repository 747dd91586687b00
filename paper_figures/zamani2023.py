"""Zamani and Glineur 2023: the exact rate of the last iterate, beside the bound Ω.

T entries eta_1, ..., eta_T; the last iterate x_T takes the first N = T - 1 of them. D = G = 1.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sftheory import bounds, schedules, worst_case
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]


@FIGURES.register("F02", ref="zamani2023")
class TwoLinearDecayBounds(Figure):
    """Two bounds for linear decay, and the exact worst case of every schedule.

    Ω is about twice the exact worst case: at its best base rate linear decay has 2/sqrt(T) by Ω and
    1/sqrt(T) exactly, which is minimax. Solid: exact, base rate tuned for it; dotted: Ω, tuned.
    The crosses at T = 60 are published values of a semidefinite program, which steps with entries 2
    to T instead of 1 to T - 1.
    """

    SHAPES: ClassVar = {
        "linear": schedules.Linear(),
        "cosine": schedules.Cosine(),
        "WSD 20%": schedules.WSD(cooldown=0.2),
        "1/sqrt": schedules.InverseSqrt(),
        "constant": schedules.Constant(),
    }
    PUBLISHED: ClassVar = dict(zip(SHAPES, (1.0009, 1.0320, 1.0814, 1.1944, 1.3795), strict=True))

    def data(self, quick: bool = False) -> Data:
        horizons = np.unique(np.geomspace(10, 4000, 30).astype(int))
        curves, values = [], {}
        for name, shape in self.SHAPES.items():
            exact, omega = [], []
            for T in horizons:
                eta = shape(int(T))
                exact.append(bounds.last_iterate_tuned(eta[:-1], D=1, G=1)[1])
                omega.append(bounds.omega_tuned(eta[:-1], D=1, G=1, last=eta[-1])[1])
            root = np.sqrt(horizons)
            curves.append(Curve("exact", name, horizons, exact * root))
            curves.append(Curve("omega", name, horizons, omega * root))
            for T in (60, 400):
                eta = shape(T)
                base, value = bounds.omega_tuned(eta[:-1], D=1, G=1, last=eta[-1])
                steps = base * eta
                values |= {
                    f"omega {T} {name}": value * np.sqrt(T),
                    f"exact {T} {name}": worst_case(steps[:-1], D=1, G=1).value * np.sqrt(T),
                    f"shifted {T} {name}": worst_case(steps[1:], D=1, G=1).value * np.sqrt(T),
                }
        ratios = [
            1 / (np.sqrt(T) * bounds.omega_tuned(eta[:-1], D=1, G=1, last=eta[-1])[1])
            for T in (400, 1000, 4000)
            for eta in [schedules.Linear()(T)]
        ]
        crosses = Curve("program", "published", np.full(5, 60), list(self.PUBLISHED.values()))
        values["tight over omega"] = ratios[int(np.argmax(np.abs(np.array(ratios) - 0.5)))]
        return Data([*curves, crosses], values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import STYLE, label, panels

        figure, (axes,) = panels(1, width=5, height=3.4)
        for name, curve in data.panel("exact").items():
            axes.plot(curve.x, curve.y, color=STYLE[name]["color"], label=name)
        for name, curve in data.panel("omega").items():
            axes.plot(curve.x, curve.y, color=STYLE[name]["color"], linestyle=":")
        crosses = data.panel("program")["published"]
        axes.plot(crosses.x, crosses.y, "x", color="C5", label="published program", markersize=5)
        axes.set_xscale("log")
        axes.set_ylim(0.9, 3.2)
        axes.annotate("Ω, dotted", (900, 2.25), fontsize=8.5)
        axes.annotate("exact, solid", (900, 1.2), fontsize=8.5)
        label(axes, "points T", "tuned worst case × $\\sqrt{T} / (D G)$")
        axes.legend(loc="upper left", ncols=2)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        script = "schaipp2025, lower-bound script"
        omega_60 = v["omega 60 WSD 20%"] - v["omega 60 1/sqrt"]
        exact_60 = v["exact 60 1/sqrt"] - v["exact 60 WSD 20%"]
        agree_400 = min(
            v["omega 400 1/sqrt"] - v["omega 400 WSD 20%"],
            v["exact 400 1/sqrt"] - v["exact 400 WSD 20%"],
        )
        return [
            Claim(
                "F02-half",
                "The tight rate D G / sqrt(T) of linear decay is half of its tuned Ω: the ratio "
                "farthest from 1/2 at T = 400, 1000, 4000",
                v["tight over omega"],
                "==",
                0.5,
                rtol=0.01,
                source="zamani2023; schaipp2025, Thm. 1",
            ),
            Claim(
                "F02-linear-60",
                "Exact worst case of linear decay at the rate that is best for Ω, times sqrt(60)",
                v["exact 60 linear"],
                "==",
                1.0027,
                atol=5e-4,
                source="this project",
            ),
            *(
                Claim(
                    f"F02-published-{name.split()[0].replace('/', '-').lower()}",
                    f"{name}: the published value at T = 60 is that of entries 2 to T",
                    v[f"shifted 60 {name}"],
                    "==",
                    published,
                    atol=1e-3,
                    source=script,
                )
                for name, published in self.PUBLISHED.items()
            ),
            Claim(
                "F02-rank-omega-60",
                "At T = 60 Ω puts 1/sqrt ahead of WSD 20%: Ω of WSD minus Ω of 1/sqrt",
                omega_60,
                ">=",
                0,
                source="schaipp2025, Thm. 1",
            ),
            Claim(
                "F02-rank-exact-60",
                "At T = 60 the exact value puts WSD 20% ahead of 1/sqrt: the difference",
                exact_60,
                ">=",
                0,
                source="zamani2023",
            ),
            Claim(
                "F02-rank-400",
                "At T = 400 both put WSD 20% ahead of 1/sqrt: the smaller difference",
                agree_400,
                ">=",
                0,
                source="zamani2023; schaipp2025, Thm. 1",
            ),
        ]
