"""Defazio et al. 2024: The Road Less Scheduled.

Index map: the paper's x_T is the point after N = T - 1 steps; its c_{t+1} is the c_t of step t.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numba import njit
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


@FIGURES.register("F10", ref="defazio2024", seed="0..9", seconds=10)
class StabilityMap(Figure):
    """Which steps schedule-free survives, for every β.

    Left and middle: least f(x_t) along runs of 3000 steps, mean of ten random quadratics in 20
    dimensions, eigenvalues 10^U(-6, 0) with the first set to 1, x_1 normal; c_t = 1/(t + 1) without
    warm-up, and a warm-up of 1000 steps with averaging weights γ². The line is γ = 2/(1 - β), above
    which a quadratic with λ = 1 diverges in the limit of small c. Right: eigenvalues 1, 0.1 and
    0.01, x_1 = 1, 20000 steps; the largest |x_i| along the run, without (solid) and with warm-up
    (dashed, at 1 up to the line). Below the line the run converges in the end, yet without warm-up
    it first grows by many orders. Steps, start and warm-up of the maps are ours.
    """

    BETAS, STEPS = np.linspace(0.7, 1, 31), np.geomspace(0.01, 100, 41)
    EDGES = (0.5, 0.9, 0.95, 0.98)
    SHARES = np.unique(np.round([*np.arange(0.5, 1.05, 0.01), 0.9, 0.98, 1.02], 3))
    WARMUP = 1000

    def data(self, quick: bool = False) -> Data:
        curves, values = [], {}
        lam, x1 = _random_quadratics(3 if quick else 10)
        for panel, warmup in (("without warm-up", 0), ("with warm-up", self.WARMUP)):
            least = np.empty((len(self.STEPS), len(self.BETAS)))
            for column, beta in enumerate(self.BETAS):
                found = _along(lam, x1, self.STEPS, beta, 3000, warmup)
                least[:, column] = found[..., 0].mean(axis=1)
            curves.append(Curve(panel, "map", np.arange(least.size), least.ravel()))
            # the largest stable step of the grid, and the best one, for every β with a threshold
            inside = np.searchsorted(self.STEPS, 2 / (1 - self.BETAS[:-4])) - 1
            best = least[:, :-4].argmin(axis=0)
            values[f"cells {panel}"] = float(np.abs(best - inside).max())
            lam3, ones = np.array([[1.0, 0.1, 0.01]]), np.ones((1, 3))
            for beta in self.EDGES:
                found = _along(lam3, ones, self.SHARES * 2 / (1 - beta), beta, 20000, warmup)
                peak, last = found[:, 0, 1], found[:, 0, 2]
                curves.append(Curve(f"peak {panel}", f"β = {beta:g}", self.SHARES, peak))
                for share in (0.9, 0.98, 1.02):
                    at = int(np.flatnonzero(np.isclose(self.SHARES, share))[0])
                    values[f"peak {panel} {beta:g} {share:g}"] = peak[at]
                    values[f"last {panel} {beta:g} {share:g}"] = last[at]
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(8.6, 3.0))
        axes = figure.subplots(1, 3, width_ratios=(1, 1, 1.15))
        image: Any = None
        for axis, panel in zip(axes, ("without warm-up", "with warm-up"), strict=False):
            least = np.asarray(data.panel(panel)["map"].y).reshape(len(self.STEPS), -1)
            image = axis.pcolormesh(
                self.BETAS,
                self.STEPS,
                np.log10(least),
                cmap="viridis",
                vmin=-6,
                vmax=0,
                rasterized=True,
            )
            beta = np.linspace(0.7, 0.98, 200)
            axis.plot(beta, 2 / (1 - beta), color="white", linewidth=3)
            axis.plot(beta, 2 / (1 - beta), color="black", linewidth=1.2)
            axis.set_yscale("log")
            axis.set_ylim(self.STEPS[0], self.STEPS[-1])
            axis.grid(visible=False)
            axis.set_xlabel("β")
            axis.set_title(panel, loc="left")
        axes[0].set_ylabel("step γ")
        axes[0].annotate("$2/(1-\\beta)$", (0.72, 12), color="black", fontsize=8)
        bar = figure.colorbar(image, ax=axes[:2], pad=0.02, aspect=30)
        bar.set_label("$\\log_{10}$ least $f(x_t)$")
        right = axes[2]
        for color, beta in zip(("C0", "C2", "C4", "C1"), self.EDGES, strict=True):
            name = f"β = {beta:g}"
            for panel, dash in (("without warm-up", "-"), ("with warm-up", (0, (4, 2)))):
                curve = data.panel(f"peak {panel}")[name]
                shown = np.minimum(curve.y, 1e200)
                label = name if dash == "-" else None
                right.plot(curve.x, shown, color=color, linestyle=dash, label=label)
        right.axvline(1, color="C5", linewidth=0.8, linestyle=":")
        right.set_yscale("log")
        right.set_ylim(1e-3, 1e90)
        right.set_yticks([10.0**k for k in range(0, 81, 20)])
        right.set_xlabel("$\\gamma\\,(1-\\beta)\\,\\lambda_{\\max}/2$")
        right.set_ylabel("largest $|x_i|$ along the run")
        right.legend(loc="upper left")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        warm, cold = "with warm-up", "without warm-up"
        return [
            Claim(
                "F10-stable",
                "With warm-up, at 0.98 of 2/(1 - β), the run converges for β = 0.5, 0.9, 0.95 and "
                "0.98: largest |x_i| at the end",
                max(v[f"last {warm} {b:g} 0.98"] for b in self.EDGES),
                "<=",
                1e-6,
                source="defazio2024, Fig. 3; song2025 for the threshold",
            ),
            Claim(
                "F10-no-transient",
                "With warm-up, at 0.98 of the threshold, it never grows: largest |x_i| on the way",
                max(v[f"peak {warm} {b:g} 0.98"] for b in self.EDGES),
                "<=",
                1.01,
                source="this project",
            ),
            Claim(
                "F10-unstable",
                "At 1.02 of the threshold it diverges, with and without warm-up: smallest "
                "log10 of the largest |x_i|",
                min(np.log10(v[f"peak {p} {b:g} 1.02"]) for p in (warm, cold) for b in self.EDGES),
                ">=",
                100,
                source="song2025, stability",
            ),
            Claim(
                "F10-transient",
                "Without warm-up at 0.9 of the threshold and β = 0.9 it first grows by a factor of",
                v[f"peak {cold} 0.9 0.9"],
                ">=",
                1e5,
                source="this project",
            ),
            *(
                Claim(
                    f"F10-transient-{beta:g}-{share:g}",
                    f"log10 of that growth at β = {beta:g}, {share:g} of the threshold",
                    np.log10(v[f"peak {cold} {beta:g} {share:g}"]),
                    "==",
                    level,
                    atol=0.25,
                    source="this project",
                )
                for beta, share, level in (
                    (0.9, 0.98, np.log10(6e11)),
                    (0.95, 0.9, np.log10(6e15)),
                    (0.95, 0.98, np.log10(2e28)),
                    (0.98, 0.9, 45),
                    (0.98, 0.98, np.log10(4e78)),
                )
            ),
            Claim(
                "F10-ridge",
                "With warm-up the best step of the map is the largest below 2/(1 - β), for every "
                "β up to 0.96: largest distance in cells of the grid (a factor 1.26 in γ)",
                v[f"cells {warm}"],
                "<=",
                1,
                source="defazio2024, Fig. 3",
            ),
        ]


def _random_quadratics(count: int) -> tuple[Array, Array]:
    """Eigenvalues and starts of the problems, (count, 20) each."""
    lam, x1 = np.empty((count, 20)), np.empty((count, 20))
    for seed in range(count):
        rng = np.random.default_rng(seed)
        lam[seed] = 10 ** rng.uniform(-6, 0, 20)
        lam[seed, 0] = 1
        x1[seed] = rng.standard_normal(20)
    return lam, x1


def _along(lam: Array, x1: Array, steps: Array, beta: float, N: int, warmup: int) -> Array:
    """Least f(x_t), largest |x_i| on the way and at the end: (steps, problems, 3)."""
    shape = np.minimum(1, np.arange(1, N + 1) / max(warmup, 1))
    c = methods.ScheduleFree(float(beta), start_counts=warmup == 0).tableau(shape).c
    found = np.empty((len(steps), len(lam), 3))
    _extremes(lam, x1, np.asarray(steps), shape, float(beta), c, found)
    return found


@njit(cache=True, fastmath={"reassoc", "nsz", "contract"}, error_model="numpy")
def _extremes(
    lam: Array, x1: Array, steps: Array, shape: Array, beta: float, c: Array, found: Array
) -> None:
    z, x = np.empty(lam.shape[1]), np.empty(lam.shape[1])
    for i in range(len(steps)):
        for j in range(len(lam)):
            z[:], x[:] = x1[j], x1[j]
            least, peak, last = (lam[j] * x * x).sum() / 2, np.abs(x).max(), 0.0
            for t in range(len(c)):
                g, ct, f, last = steps[i] * shape[t], c[t], 0.0, 0.0
                for k in range(len(x)):
                    z[k] -= g * lam[j, k] * ((1 - beta) * z[k] + beta * x[k])
                    x[k] = (1 - ct) * x[k] + ct * z[k]
                    f += lam[j, k] * x[k] * x[k] / 2
                    last = max(last, abs(x[k]))
                least, peak = min(least, f), max(peak, last)
                if last > 1e140:  # beyond what is drawn, and f would overflow
                    break
            found[i, j] = least, peak, last


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
