"""Song et al. 2025: Through the River."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory import Adam, methods, problems, run
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]


@FIGURES.register("F12", ref="song2025")
class RiverTrajectories(Figure):
    """Schedule-free AdamW follows a river valley.

    f(w) = (w1 w2 - 1)²/2 + log(1 + exp(-w1)) from (2, 2), β2 = 0.99, γ = 0.05, T = 1000. The river
    is w1 w2 = 1 (dotted). Top: the average x, and every 5th gradient point y. Bottom: distance to
    the river |w1 w2 - 1| along the run; also of x of the refined method with C = 10, which at
    β = 0.9 is schedule-free itself. The formula of f is recalled, since the paper's display was not
    readable.
    """

    BETAS = (0.1, 0.5, 0.9)
    C, GAMMA, T = 10.0, 0.05, 1000

    def data(self, quick: bool = False) -> Data:
        river = problems.SongRiver()
        gamma = np.full(self.T, self.GAMMA)
        curves, values = [], {}
        for beta in self.BETAS:
            adam = Adam(beta2=0.99, eps=1e-8)
            vanilla = run(
                river, methods.ScheduleFree(beta).tableau(gamma), record="all", preconditioner=adam
            )
            refined = run(
                river,
                methods.RefinedScheduleFree(beta, self.C).tableau(gamma),
                record="all",
                preconditioner=adam,
            )
            assert vanilla.x is not None and vanilla.y is not None and refined.x is not None
            x, y, x_refined = vanilla.x[0], vanilla.y[0], refined.x[0]
            d = {name: river.distance_to_river(w) for name, w in (("x", x), ("y", y))}
            d["refined x"] = river.distance_to_river(x_refined)
            curves += [
                Curve(f"path, β = {beta:g}", "y", y[::5, 0], y[::5, 1]),
                Curve(f"path, β = {beta:g}", "x", x[:, 0], x[:, 1]),
                *(Curve(f"distance, β = {beta:g}", n, vanilla.step, v) for n, v in d.items()),
            ]
            # y_t for t = 500, ..., 1000 are entries 499, ..., 999; entry T is the last point's
            late = slice(self.T // 2 - 1, self.T)
            smooth = np.stack([np.convolve(y[:, i], np.ones(20) / 20, "valid") for i in (0, 1)], -1)
            hill = (y[:, 0] * y[:, 1] - 1)[late]
            values |= {
                f"d(x) {beta:g}": d["x"][late].mean(),
                f"d(mean y) {beta:g}": river.distance_to_river(smooth)[late.start - 19 : -1].mean(),
                f"autocorrelation {beta:g}": np.corrcoef(hill[1:], hill[:-1])[0, 1],
                f"refined d(x) {beta:g}": np.median(d["refined x"][late]),
                f"w1 {beta:g}": x[-1, 0],
            }
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(6.8, 4.4))
        axes = figure.subplots(2, 3, sharey="row", sharex="row")
        a, b = np.meshgrid(np.linspace(0.6, 7.5, 200), np.linspace(0, 2.1, 200))
        f = problems.SongRiver().value(np.stack([a, b], axis=-1))
        for column, beta in enumerate(self.BETAS):
            top, bottom = axes[:, column]
            top.contourf(a, b, np.log10(f), levels=16, cmap="Greys_r", alpha=0.35)
            top.plot(a[0], 1 / a[0], color="C5", linestyle=":", linewidth=1, label="river")
            path = data.panel(f"path, β = {beta:g}")
            top.plot(path["y"].x, path["y"].y, ".", color="C0", markersize=1.6, label="y")
            top.plot(path["x"].x, path["x"].y, "-", color="C1", linewidth=1.8, label="x")
            top.set_xlim(0.6, 7.5)
            top.set_ylim(0, 2.1)
            top.set_title(f"β = {beta:g}", loc="left")
            top.set_xlabel("$w_1$")
            top.grid(visible=False)
            looks = {"y": ("C0", 0.5), "x": ("C1", 1.6), "refined x": ("C2", 1.2)}
            for name, curve in data.panel(f"distance, β = {beta:g}").items():
                color, width = looks[name]
                bottom.plot(curve.x, curve.y, color=color, linewidth=width, label=name)
            bottom.set_yscale("log")
            bottom.set_ylim(1e-6, 50)
            bottom.set_xlabel("step t")
        axes[0, 0].set_ylabel("$w_2$")
        axes[0, 0].legend()
        axes[1, 0].set_ylabel("distance to the river")
        axes[1, 0].legend(loc="upper left", ncols=3, columnspacing=1, handlelength=1.2)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        source = "song2025, Fig. 1 and 5"
        distances = ((0.1, ">=", 0.2), (0.5, ">=", 0.1), (0.9, "<=", 0.02))
        worst_mean = max(v[f"d(mean y) {b:g}"] for b in self.BETAS)
        return [
            *(
                Claim(
                    f"F12-distance-{beta:g}",
                    f"β = {beta:g}: the average x stays "
                    f"{'away from' if relation == '>=' else 'close to'} the river, "
                    "mean |w1 w2 - 1| over steps 500 to 1000",
                    v[f"d(x) {beta:g}"],
                    relation,  # pyright: ignore[reportArgumentType]
                    expected,
                    source=source,
                )
                for beta, relation, expected in distances
            ),
            Claim(
                "F12-mean-y",
                "The mean of 20 successive y lies on the river for every β: largest mean distance",
                worst_mean,
                "<=",
                0.01,
                source=source,
            ),
            Claim(
                "F12-oscillation",
                "y bounces between the hillsides: largest lag-1 autocorrelation of w1 w2 - 1",
                max(v[f"autocorrelation {b:g}"] for b in self.BETAS),
                "<=",
                -0.9,
                source=source,
            ),
            Claim(
                "F12-refined",
                "The refined method brings x to the river even at β = 0.1: median distance",
                v["refined d(x) 0.1"],
                "<=",
                0.02,
                source="song2025, refined method",
            ),
            Claim(
                "F12-downstream",
                "A larger β goes further downstream: smallest gain in w1 from β to the next",
                min(np.diff([v[f"w1 {b:g}"] for b in self.BETAS])),
                ">=",
                0,
                source=source,
            ),
        ]
