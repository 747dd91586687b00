"""What a logged sequence of gradient norms says exactly, on real data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from sftheory import methods, problems, run, schedules, worst_case
from sftheory.core.claim import Claim
from sftheory.design import refine
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
HERE = "this project"


@FIGURES.register("W07", ref="defazio2023", seconds=15)
class LoggedGradientNorms(Figure):
    """What a logged sequence of gradient norms says exactly.

    Logistic regression on real data, full gradients, N = 400 steps of linear decay at a peak far
    above the worst-case one. The norms G_1, ..., G_{N+1} of that run are logged. For every convex f
    with these norms, the exact worst case of: the schedule that was run; linear decay at the best
    base step for the norms; and the refined schedule, which no other can beat for these norms
    (run with it, f would show others). Top: the norms, and the three values. Bottom: the schedules,
    each scaled to the mean of 1.
    """

    N, PEAK = 400, 4.0
    DATA = ("cancer", "digits", "wine", "diabetes")

    def data(self, quick: bool = False) -> Data:
        curves, values = [], {}
        step = np.arange(1, self.N + 1)
        for name in self.DATA:
            problem = _problem(name)
            D = problem.D
            gamma = self.PEAK * schedules.Linear()(self.N)
            traj = run(problem, methods.LastIterate().tableau(gamma), record="all", losses="x")
            G = traj.grad_norm[0]
            used = worst_case(gamma, D=D, G=G)
            shapes = {
                "linear decay": schedules.Linear()(self.N),
                "cosine": schedules.Cosine()(self.N),
            }
            tuned = {shape: _tuned(eta, D, G) for shape, eta in shapes.items()}
            refined = refine(G, D=D)
            curves.append(Curve(f"{name}, norms", "norm", np.arange(1, self.N + 2), G))
            for series, steps in (("linear decay", gamma), ("refined", refined.gamma)):
                curves.append(Curve(f"{name}, steps", series, step, steps / steps.mean()))
            values |= {
                f"{name}, gap": float(traj.gap_x[0, -1]),
                f"{name}, used": used.value,
                f"{name}, width": (used.upper - used.lower) / used.value,
                f"{name}, constant G": worst_case(gamma, D=D, G=float(G.max())).value,
                f"{name}, refined": worst_case(refined.gamma, D=D, G=G).value,
                f"{name}, formula": D / np.sqrt((G**-2.0).sum()),
                **{f"{name}, {shape}": value for shape, value in tuned.items()},
            }
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(7.4, 3.9))
        axes = figure.subplots(2, 4)
        for column, name in enumerate(self.DATA):
            top, bottom = axes[:, column]
            norms = data.panel(f"{name}, norms")["norm"]
            top.plot(norms.x, norms.y, color="C5")
            for i, (series, curve) in enumerate(data.panel(f"{name}, steps").items()):
                bottom.plot(curve.x, curve.y, color=f"C{i}", label=series, linewidth=1.2)
            top.set_yscale("log")
            top.set_title(name, loc="left")
            bottom.set_xlabel("step")
            v = data.values
            rows = {"as run": "used", "linear": "linear decay", "refined": "refined"}
            text = "\n".join(f"{row} {v[f'{name}, {key}']:.1e}" for row, key in rows.items())
            top.annotate(
                text, (0.97, 0.95), xycoords="axes fraction", ha="right", va="top", fontsize=6.5
            )
        axes[0, 0].set_ylabel("gradient norm $G_t$")
        axes[1, 0].set_ylabel("step / mean step")
        figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        def all_of(what: str) -> Array:
            return np.array([data.values[f"{name}, {what}"] for name in self.DATA])

        return [
            Claim(
                "W07-width",
                "The exact value under the logged norms is enclosed, rounded outwards: largest "
                "relative width",
                all_of("width").max(),
                "<=",
                1e-12,
                source=HERE,
            ),
            Claim(
                "W07-valid",
                "The run's own gap is below the exact value for its norms: largest ratio",
                (all_of("gap") / all_of("used")).max(),
                "<=",
                1,
                source=HERE,
            ),
            Claim(
                "W07-norms",
                "Knowing every norm instead of the largest one helps: largest ratio of the exact "
                "values",
                (all_of("used") / all_of("constant G")).max(),
                "<=",
                1,
                source=HERE,
            ),
            Claim(
                "W07-refined",
                "The refined schedule has exactly D / sqrt(Σ G_t^-2): ratio farthest from 1",
                max((all_of("refined") / all_of("formula")).tolist(), key=lambda r: abs(r - 1)),
                "==",
                1,
                rtol=1e-9,
                source="defazio2023, Alg. 1; exactness by this project",
            ),
            Claim(
                "W07-best",
                "No base step brings linear decay or cosine below the refined schedule: least "
                "ratio",
                (np.minimum(all_of("linear decay"), all_of("cosine")) / all_of("refined")).min(),
                ">=",
                1,
                source="defazio2023",
            ),
        ]


def _problem(name: str) -> problems.LogisticRegression:
    if name in ("digits", "diabetes"):
        return problems.LogisticRegression(name)
    n = len(problems.LogisticRegression(name, reg=1.0).rows)
    return problems.LogisticRegression(name, reg=1 / n)


def _tuned(eta: Array, D: float, G: Array) -> float:
    """The least exact worst case over the base step; W is convex in it."""
    start = np.log(D / (np.linalg.norm(G[:-1] * eta)))

    def value(log_base: float) -> float:
        return worst_case(np.exp(log_base) * eta, D=D, G=G, certify=None).value

    found: Any = minimize_scalar(value, bounds=(start - 3, start + 3), method="bounded")
    return float(found.fun)
