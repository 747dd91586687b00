"""Defazio et al. 2024: The Road Less Scheduled.

Index map: the paper's x_T is the point after N = T - 1 steps; its c_{t+1} is the c_t of step t.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sftheory import methods, problems, run
from sftheory.core.claim import Claim
from sftheory.core.tableau import Tableau, iterate, mix
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]


@FIGURES.register("F09", ref="defazio2024")
class GradientContributions(Figure):
    """What each gradient has contributed to the average x and to the gradient point y.

    Weight of the gradient of step s in x_t and in y_t, t = T/3, 2T/3 and T of a run with T = 300
    points and unit steps, found by running each method on unit gradients. Schedule-free (β = 0.6)
    puts 1 - β of the newest gradient into y at once and the rest over the remainder of the run; its
    x is that of a linear decay that ends at t.
    """

    T, BETA = 300, 0.6

    def data(self, quick: bool = False) -> Data:
        T, beta = self.T, self.BETA
        N = T - 1
        decay = np.arange(T - 1, 0, -1) / T
        tableaus = {
            "Polyak average": methods.PolyakAverage().tableau(np.ones(N)),
            "primal average": methods.PrimalAverage().tableau(np.ones(N)),
            "schedule-free": methods.ScheduleFree(beta).tableau(np.ones(N)),
            "linear decay": methods.LastIterate().tableau(decay),
        }
        curves, worst, against_decay = [], 0.0, 0.0
        for name, tableau in tableaus.items():
            x, y = _contributions(tableau)
            for t in (T // 3, 2 * T // 3, T):
                s = np.arange(1, t)
                average = 1 - s / t
                expected = {
                    "Polyak average": (average, np.ones(t - 1)),
                    "primal average": (average, average),
                    "schedule-free": (average, (1 - beta) + beta * average),
                    "linear decay": (1 - s / T, 1 - s / T),
                }[name]
                found = (x[t - 1, : t - 1], y[t - 1, : t - 1])
                for point, drawn, closed in zip("xy", found, expected, strict=True):
                    curves.append(Curve(f"weight in {point}, {name}", f"t = {t}", s, drawn))
                    worst = max(worst, float(np.abs(drawn - closed).max()))
                if name != "linear decay":
                    ending_here = methods.LastIterate().tableau(np.arange(t - 1, 0, -1) / t)
                    h = _contributions(ending_here)[0][-1]
                    against_decay = max(against_decay, float(np.abs(x[t - 1][: t - 1] - h).max()))
        return Data(curves, {"closed form": worst, "linear decay": against_decay})

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(6.8, 3.6))
        axes = figure.subplots(2, 4, sharex=True, sharey=True)
        names = ("Polyak average", "primal average", "schedule-free", "linear decay")
        for row, point in enumerate("xy"):
            for column, name in enumerate(names):
                panel = axes[row, column]
                curves = data.panel(f"weight in {point}, {name}").items()
                for (label, curve), color in zip(reversed(curves), ("C0", "C2", "C1"), strict=True):
                    width = {"C0": 3.2, "C2": 2.2, "C1": 1.2}[color]  # where they coincide all show
                    panel.plot(curve.x, curve.y, color=color, label=label, linewidth=width)
                    panel.fill_between(curve.x, curve.y, color=color, alpha=0.1, linewidth=0)
                if row == 0:
                    beta = f", β = {self.BETA:g}" if name == "schedule-free" else ""
                    panel.set_title(name + beta, loc="left")
                else:
                    panel.set_xlabel("step s")
            axes[row, 0].set_ylabel(f"weight of $g_s$ in ${point}_t$")
        axes[0, 0].set_ylim(0, 1.05)
        axes[0, 0].legend(loc="upper right")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        return [
            Claim(
                "F09-closed-form",
                "x weights (t - s)/t; y weights 1, (t - s)/t, 1 - β + β(t - s)/t for Polyak, "
                "primal and schedule-free: largest difference from the run",
                data.values["closed form"],
                "<=",
                1e-12,
                source="defazio2024, Fig. 4",
            ),
            Claim(
                "F09-linear-decay",
                "The average of all three weights gradients as a linear decay that ends at t: "
                "largest difference",
                data.values["linear decay"],
                "<=",
                1e-12,
                source="defazio2024, Thm. 2 with w = 1",
            ),
        ]


def _contributions(tableau: Tableau) -> tuple[Array, Array]:
    """Weights of g_1..g_N in x_1..x_{N+1} and in y_1..y_{N+1}, each (N + 1, N)."""
    units = iter(np.eye(tableau.steps))
    start = np.zeros(tableau.steps)
    x, y, z = [start], [], start
    for x_next, y_t, z_next, _ in iterate(tableau, start, oracle=lambda _: next(units)):
        x.append(x_next)
        y.append(y_t)
        z = z_next
    y.append(mix(z, x[-1], tableau.beta[-1]))
    return -np.array(x), -np.array(y)


@FIGURES.register("F11", ref="defazio2024", seed=0)
class LipschitzProblem(Figure):
    """Polyak averaging, primal averaging and schedule-free on a Lipschitz problem.

    f(x) = max |<a_i, x>| with 50 unit rows in 50 dimensions, D = G = 1, steps 1/sqrt(T),
    uniform weights, instances 0 to 4. Theory promises f(x_T) sqrt(T) <= 1 for every β in [0, 1].
    Left: f(x_t) on the way, T = 1000, mean and range over the instances. Right: the end against β.
    Ours; not a figure of the paper.
    """

    BETAS = (0.0, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
    SERIES: ClassVar = {"Polyak average": 0.0, "schedule-free": 0.9, "primal average": 1.0}

    def data(self, quick: bool = False) -> Data:
        final, along = {}, {}
        for T in (100, 1000):
            gamma = np.full(T - 1, T**-0.5)
            tableau = Tableau.stack([methods.ScheduleFree(b).tableau(gamma) for b in self.BETAS])
            runs = [run(problems.MaxLinear(seed=s), tableau).loss_x[:, 0] for s in range(5)]
            along[T] = np.stack(runs, axis=1)  # (beta, instance, step)
            final[T] = along[T][..., -1] * np.sqrt(T)
        curves = []
        t = np.arange(1, 1001)
        for name, beta in self.SERIES.items():
            f = along[1000][self.BETAS.index(beta)]
            curves.append(Curve("run", name, t, f.mean(axis=0), f.min(axis=0), f.max(axis=0)))
        for T, y in final.items():
            curves.append(
                Curve("end", f"T = {T}", self.BETAS, y.mean(axis=1), y.min(axis=1), y.max(axis=1))
            )
        end = {beta: final[1000][self.BETAS.index(beta)] for beta in (0.0, 0.5, 0.9, 1.0)}
        values = {f"max 1000 {b:g}": y.max() for b, y in end.items()}
        values["largest"] = max(y.max() for y in final.values())
        values["gain"] = (np.minimum(end[0.0], end[1.0]) - end[0.9]).min()
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, lines, panels

        figure, (left, right) = panels(2)
        lines(left, data.panel("run").values())
        left.set_xscale("log")
        left.set_yscale("log")
        label(left, "point t", "$f(x_t) - f_\\star$")
        left.legend(title="mean and range of 5")
        for (name, c), color in zip(data.panel("end").items(), ("C5", "C1"), strict=True):
            y = np.asarray(c.y)
            right.errorbar(
                c.x, y, [y - c.low, c.high - y], fmt="o-", color=color, label=name, markersize=3
            )
        right.axhline(1, color="C5", linewidth=0.8, linestyle=":")
        right.annotate("bound, any β", (0.02, 1), (0, 3), textcoords="offset points", fontsize=7.5)
        right.set_ylim(0, 1.3)
        label(right, "interpolation β", "$f(x_T) \\sqrt{T} / (DG)$")
        right.legend(loc="upper right", ncols=2)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "F11-bound",
                "f(x_T) sqrt(T) / (DG) is at most 1 for every β: largest over β, T and 5 instances",
                v["largest"],
                "<=",
                1,
                source="defazio2024, Thm. 1",
            ),
            Claim(
                "F11-gain",
                "Schedule-free (β = 0.9) ends below Polyak and primal averaging on each instance: "
                "smallest gain, times sqrt(T), T = 1000",
                v["gain"],
                ">=",
                0,
                source="this project",
            ),
            *(
                Claim(
                    f"F11-level-{beta:g}",
                    f"Largest f(x_T) sqrt(T) over instances 0 to 4 at β = {beta:g}, T = 1000",
                    v[f"max 1000 {beta:g}"],
                    "==",
                    level,
                    atol=0.005,
                    source="this project",
                )
                for beta, level in ((0.0, 0.729), (0.9, 0.137), (1.0, 0.402))
            ),
        ]
