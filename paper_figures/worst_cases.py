"""Exact worst cases: of every schedule, on which function, and what they say of averaging.

D = G = 1. Values are multiples of the minimax value 1/sqrt(N + 1).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sftheory import bounds, methods, run, schedules, worst_case
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure
from sftheory.schedules import SCHEDULES

Array = NDArray[np.float64]
HERE = "this project"


@FIGURES.register("W01", ref="zamani2023", seconds=25)
class EveryScheduleExactly(Figure):
    """Exact worst case of every schedule, beside the bounds Ω and B'.

    Last iterate, base step tuned for what is drawn, D = G = 1. Left: the exact worst case times
    sqrt(N + 1), N = 10 to 10^6; crosses are semidefinite programs that know nothing of the
    recursion. Right: the two bounds over the exact value. Ω is twice too large for shapes that
    decay to zero, B' is close. Schedules take their registered examples, so that `scaled` is
    linear decay.
    """

    HORIZONS = np.unique(np.geomspace(10, 1e6, 16).astype(int))
    PROGRAMS = (10, 21)

    def data(self, quick: bool = False) -> Data:
        from sftheory.worst_cases import sdp
        from sftheory.worst_cases.points import points_of

        curves, program_gap, decided = [], 0.0, []
        for name, entry in SCHEDULES.load().items():
            exact, omega, half = [], [], []
            for N in self.HORIZONS:
                eta = entry.make(int(N))(int(N))
                base, value = bounds.last_iterate_tuned(eta, D=1, G=1)
                exact.append(value * np.sqrt(N + 1))
                omega.append(bounds.omega_tuned(eta, D=1, G=1)[1] / value)
                half.append(bounds.b_prime_tuned(eta, D=1, G=1)[1] / value)
                if N in self.PROGRAMS[: 1 if quick else 2]:
                    points = points_of(methods.LastIterate().tableau(base * eta))
                    program = sdp.solve(points, sdp.Class(np.ones(N + 1))).value
                    program_gap = max(program_gap, abs(program / value - 1))
                    decided.append((N, program * np.sqrt(N + 1)))
            curves.append(Curve("exact", name, self.HORIZONS, exact))
            curves.append(Curve("Ω", name, self.HORIZONS, omega))
            curves.append(Curve("B'", name, self.HORIZONS, half))
        x, y = np.array(decided).T
        curves.append(Curve("program", "program", x, y))
        return Data(curves, {"program": program_gap})

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (left, right) = panels(2, width=7.6, height=3.4)
        looks = {
            name: {"color": f"C{i % 8}", "linestyle": ("-", "--")[i // 8], "linewidth": 1.2}
            for i, name in enumerate(data.panel("exact"))
        }
        for name, curve in data.panel("exact").items():
            left.plot(curve.x, curve.y, label=name, **looks[name])
        crosses = data.panel("program")["program"]
        left.plot(crosses.x, crosses.y, "x", color="C5", markersize=4, label="program")
        for panel in ("Ω", "B'"):
            for name, curve in data.panel(panel).items():
                right.plot(curve.x, curve.y, **looks[name])
        right.annotate("Ω", (3e3, 2.03), fontsize=9)
        right.annotate("B'", (3e3, 1.1), fontsize=9)
        for axes in (left, right):
            axes.set_xscale("log")
        left.set_ylim(0.95, 2.2)
        label(left, "steps N", "exact worst case × $\\sqrt{N+1}$")
        label(right, "steps N", "bound / exact worst case")
        figure.legend(*left.get_legend_handles_labels(), loc="outside right center")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        exact, omega, half = (data.panel(panel) for panel in ("exact", "Ω", "B'"))
        below = min(float(np.min(c.y)) for c in [*omega.values(), *half.values()])
        linear = np.asarray(exact["linear"].y)
        decays = ("linear", "cosine", "wsd", "polynomial", "sgdr")
        ends = [float(np.asarray(omega[name].y)[-1]) for name in decays]
        at_million = {"linear": 1.00000, "cosine": 1.03008, "wsd": 1.07977, "constant": 2.07736}
        return [
            Claim(
                "W01-linear",
                "Linear decay is minimax at every horizon: largest distance from 1",
                float(np.abs(linear - 1).max()),
                "<=",
                1e-10,
                source="zamani2023",
            ),
            Claim(
                "W01-program",
                "The program agrees with the recursion for every schedule at N = 10 and 21: "
                "largest relative difference",
                data.values["program"],
                "<=",
                1e-6,
                source=HERE,
            ),
            Claim(
                "W01-bounds",
                "Neither bound falls below the exact value: least ratio",
                below,
                ">=",
                1,
                source="schaipp2025, Thm. 1",
            ),
            Claim(
                "W01-two",
                "For shapes that decay to zero Ω tends to twice the exact value: the ratio "
                "farthest from 2 at N = 10^6",
                max(ends, key=lambda r: abs(r - 2)),
                "==",
                2,
                rtol=1e-2,
                source=HERE,
            ),
            Claim(
                "W01-half",
                "B' is within 3% of the exact value from N = 1000 on, for every schedule: largest "
                "ratio",
                max(float(np.asarray(c.y)[self.HORIZONS >= 1000].max()) for c in half.values()),
                "<=",
                1.03,
                source=HERE,
            ),
            *(
                Claim(
                    f"W01-{name}-million",
                    f"Exact worst case of {name} times sqrt(N + 1) at N = 10^6",
                    float(np.asarray(exact[name].y)[-1]),
                    "==",
                    value,
                    atol=1e-5,
                    source=HERE,
                )
                for name, value in at_million.items()
            ),
        ]


@FIGURES.register("W02", ref="zamani2023")
class TheWorstFunction(Figure):
    """One function is the worst case of linear decay and of schedule-free with constant steps.

    N = 40, tuned steps, D = G = 1. Left: f on the plane through the minimiser (star), the start and
    the reported point, which both methods share; the paths are projected onto it. Right: the gap
    along runs of the real loop, each method on its own worst function. At the minimax steps no step
    gains anything: the start is worth 1/sqrt(N + 1) already, and every piece of f that the method
    meets sends it sideways.
    """

    N = 40
    ACROSS, UP = np.linspace(-0.15, 1.15, 131), np.linspace(-0.25, 0.55, 81)

    def data(self, quick: bool = False) -> Data:
        N = self.N
        cases = {"linear decay": schedules.Linear(), "cosine": schedules.Cosine()}
        cases |= {"WSD 20%": schedules.WSD(), "constant": schedules.Constant()}
        tableaus = {
            name: methods.LastIterate().tableau(
                bounds.last_iterate_tuned(shape(N), D=1, G=1)[0] * shape(N)
            )
            for name, shape in cases.items()
        }
        constant = np.full(N, 1 / np.sqrt(N + 1))
        tableaus["schedule-free"] = methods.ScheduleFree(0.9).tableau(constant)
        found = {name: worst_case(tableau, D=1, G=1) for name, tableau in tableaus.items()}
        runs = {
            name: run(found[name].function, tableau, record="all")
            for name, tableau in tableaus.items()
        }
        f = found["linear decay"].function
        end = runs["linear decay"].x[0, -1]
        up = end - end[0] * f.x1
        plane = np.array([f.x1, up / np.linalg.norm(up)])
        curves, values = [], {}
        for name, traj in runs.items():
            curves.append(Curve("gap", name, traj.step, traj.gap_x[0] * np.sqrt(N + 1)))
            values[name] = float(traj.gap_x[0, -1] / found[name].value)
            if name in ("linear decay", "schedule-free"):
                path = traj.x[0] @ plane.T
                curves.append(Curve("path", name, path[:, 0], path[:, 1]))
        a, b = np.meshgrid(self.ACROSS, self.UP)
        heights = f.value(a[..., None] * plane[0] + b[..., None] * plane[1])
        curves.append(Curve("slice", "f", np.arange(heights.size), heights.ravel()))
        other = found["schedule-free"].function
        values["difference"] = float(np.abs(f.pieces - other.pieces).max())
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import STYLE, label, panels

        figure, (left, right) = panels(2, width=7.4, height=3.0)
        heights = np.asarray(data.panel("slice")["f"].y).reshape(len(self.UP), len(self.ACROSS))
        levels = np.linspace(0.03, heights.max(), 14)
        left.contour(
            self.ACROSS, self.UP, heights, levels=levels, linewidths=0.7, colors="C5", alpha=0.6
        )
        dashed = {**STYLE["schedule-free"], "linestyle": (0, (2, 2))}
        looks = {**STYLE, "linear decay": STYLE["linear"], "schedule-free": dashed}
        for name, curve in data.panel("path").items():
            look = {"color": looks[name]["color"], "marker": "o", "markersize": 2.5}
            left.plot(curve.x, curve.y, linewidth=1, label=name, **look)
        left.plot(0, 0, "*", color="C4", markersize=10)
        left.annotate("$x_1$", (1.0, 0.0), (5, 3), textcoords="offset points")
        left.set_aspect("equal")
        label(left, "along $x_1 - x_\\star$", "rest of $x_{N+1} - x_\\star$")
        left.legend(loc="lower left", ncols=2)
        for name, curve in data.panel("gap").items():
            right.plot(curve.x, curve.y, label=name, **looks[name])
        right.set_ylim(0.9, None)
        label(right, "step t", "$(f(x_{t+1}) - f_\\star)\\,\\sqrt{N+1}$")
        right.legend()
        return figure

    def claims(self, data: Data) -> list[Claim]:
        ends = {name: v for name, v in data.values.items() if name != "difference"}
        flat: list[float] = np.asarray(data.panel("gap")["linear decay"].y).tolist()
        return [
            Claim(
                "W02-attained",
                "Every run ends at its exact worst case: the ratio farthest from 1",
                max(ends.values(), key=lambda r: abs(r - 1)),
                "==",
                1,
                rtol=1e-9,
                source=HERE,
            ),
            Claim(
                "W02-same",
                "Linear decay and schedule-free have the same worst function: largest difference "
                "of its pieces",
                data.values["difference"],
                "<=",
                1e-7,
                source=HERE,
            ),
            Claim(
                "W02-flat",
                "On it linear decay gains nothing at any step: f(x_t) sqrt(N + 1) farthest from 1",
                float(max(flat, key=lambda v: abs(v - 1))),
                "==",
                1,
                rtol=1e-9,
                source=HERE,
            ),
        ]


@FIGURES.register("W05", ref="defazio2024", seconds=15)
class WhetherBetaMatters(Figure):
    """Beta does not matter with matched weights; with mismatched ones it does.

    Schedule-free, N + 1 = 20, base step tuned for the effective schedule. Left: weights equal to
    the steps. Right: uniform weights. Where the hull condition holds the value is exact by theorem,
    elsewhere by the semidefinite program, bounded from both sides. The cosine has N + 1 in its
    denominator.
    """

    N, SHORT = 19, 9
    BETAS = np.array([0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
    SHAPES: ClassVar = {
        "constant": schedules.Constant(),
        "linear": schedules.Linear(),
        "cosine": lambda N: schedules.Cosine()(N + 1)[:N],
        "WSD 30%": schedules.WSD(cooldown=0.3),
        "1/sqrt": schedules.InverseSqrt(),
    }

    def data(self, quick: bool = False) -> Data:
        curves, values, gaps = [], {}, []
        for panel, options in (("matched", {"weights": "gamma"}), ("uniform", {"power": 0})):
            for name, shape in self.SHAPES.items():
                found = self._over_beta(shape(self.N), self.BETAS, options)
                ratios = np.array([w.value for w in found]) * np.sqrt(self.N + 1)
                gaps += [w.upper - w.lower for w in found]
                curves.append(Curve(panel, name, self.BETAS, ratios))
                values[f"{panel} {name} spread"] = ratios.max() / ratios.min()
                for N in (self.SHORT, self.N):
                    few = self._over_beta(shape(N), (0.0, 0.5, 0.9, 1.0), options)
                    for beta, w in zip((0.5, 0.9, 1.0), few[1:], strict=True):
                        values[f"{panel} {N} {name} {beta:g}"] = w.value / few[0].value
        return Data(curves, values | {"gap": max(gaps)})

    @staticmethod
    def _over_beta(eta: Array, betas: Any, options: Any) -> list[Any]:
        found = []
        for beta in betas:
            method = methods.ScheduleFree(beta=float(beta), **options)
            h = method.tableau(eta).effective_schedule()
            base, _ = bounds.last_iterate_tuned(h, D=1, G=1)
            found.append(worst_case(method.tableau(base * eta), D=1, G=1))
        return found

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, lines, panels

        figure, (left, right) = panels(2, width=7.0, height=2.9, sharey=True)
        lines(left, data.panel("matched").values(), marker="o", markersize=2.5)
        lines(right, data.panel("uniform").values(), marker="o", markersize=2.5)
        label(left, "β", "worst case × $\\sqrt{N+1}$", "weights are the steps")
        label(right, "β", "", "uniform weights")
        right.legend()
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        spread = max(v[f"matched {name} spread"] for name in self.SHAPES)
        table = {
            "9 linear 0.9": 1.023,
            "9 linear 1": 1.112,
            "9 cosine 0.9": 1.054,
            "9 cosine 1": 1.187,
            "9 WSD 30% 0.9": 1.010,
            "9 WSD 30% 1": 1.106,
            "19 linear 0.9": 1.046,
            "19 linear 1": 1.226,
            "19 cosine 0.5": 1.0005,
            "19 cosine 0.9": 1.138,
            "19 WSD 30% 0.9": 1.025,
        }
        cost = np.asarray(data.panel("matched")["linear"].y)
        entries = np.append(schedules.Linear()(self.N), schedules.Linear()(self.N)[-1])
        formula = np.linalg.norm(entries) / entries.sum() * np.sqrt(self.N + 1)
        return [
            Claim(
                "W05-matched",
                "With weights equal to the steps the worst case is the same for every β: largest "
                "over smallest, over all schedules",
                spread,
                "<=",
                1 + 2e-5,
                source="pun2025",
            ),
            *(
                Claim(
                    f"W05-uniform-{key.replace(' ', '-').replace('%', '')}",
                    f"Uniform weights, N = {N}, {name}: worst case at β = {beta} over that at "
                    f"β = 0",
                    v[f"uniform {key}"],
                    "==",
                    value,
                    atol=6e-4,
                    source=HERE,
                )
                for key, value in table.items()
                for N, name, beta in [
                    (key.split()[0], key.split(" ", 1)[1].rsplit(" ", 1)[0], key.rsplit(" ", 1)[1])
                ]
            ),
            Claim(
                "W05-cost",
                "Linear decay inside schedule-free with matched weights costs sqrt(N + 1) |η|_2 / "
                "|η|_1, the bound, against constant steps",
                float(cost.max()),
                "==",
                float(formula),
                rtol=2e-5,
                source="pun2025",
            ),
            Claim(
                "W05-proved",
                "Upper minus lower end of all worst cases that are drawn: largest",
                v["gap"],
                "<=",
                1e-5,
                source=HERE,
            ),
        ]


@FIGURES.register("W06", ref="zamani2023")
class TuningIsTheSameForEveryShape(Figure):
    """A base step that is wrong by a factor ρ costs (ρ + 1/ρ)/2, whatever the shape.

    Exact worst case of the last iterate at ρ times the best base step over that at the best, N =
    400. Below ρ = W*/(D G) the steps are too small for the worst function to bend, and the cost is
    less.
    """

    N = 400
    RHO = np.geomspace(1 / 50, 50, 61)

    def data(self, quick: bool = False) -> Data:
        curves, off, small = [], [], []
        for name, entry in SCHEDULES.load().items():
            eta = entry.make(self.N)(self.N)
            base, best = bounds.last_iterate_tuned(eta, D=1, G=1)
            cost = worst_case(np.outer(self.RHO * base, eta), D=1, G=1).value / best
            curves.append(Curve("cost", name, self.RHO, cost))
            formula = (self.RHO + 1 / self.RHO) / 2
            large = self.RHO >= best
            off.append(np.abs(cost / formula - 1)[large].max())
            small.append((cost / formula)[~large].max())
        curves.append(Curve("formula", "(ρ + 1/ρ)/2", self.RHO, (self.RHO + 1 / self.RHO) / 2))
        return Data(curves, {"off": float(max(off)), "small": float(max(small))})

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (axes,) = panels(1, width=4.8, height=3.2)
        formula = data.panel("formula")["(ρ + 1/ρ)/2"]
        axes.plot(formula.x, formula.y, color="C5", linestyle=":", label="(ρ + 1/ρ)/2", zorder=3)
        for i, (name, curve) in enumerate(data.panel("cost").items()):
            look = {"color": f"C{i % 8}", "linestyle": ("-", "--")[i // 8]}
            axes.plot(curve.x, curve.y, label=name, linewidth=1, **look)
        axes.set_xscale("log")
        axes.set_yscale("log")
        label(axes, "ρ: base step over its best", "worst case over its best")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        return [
            Claim(
                "W06-formula",
                "From ρ = W*/(D G) on the cost is (ρ + 1/ρ)/2 for every schedule of the registry: "
                "largest relative difference",
                data.values["off"],
                "<=",
                1e-12,
                source=HERE,
            ),
            Claim(
                "W06-small",
                "For smaller ρ it is less: largest ratio to the formula",
                data.values["small"],
                "<=",
                1,
                source=HERE,
            ),
        ]
