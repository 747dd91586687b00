"""Song et al. 2025: Through the River."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory import Adam, methods, problems, run
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
LOOKS = (("C0", 0.5), ("C1", 1.6), ("C2", 1.2), ("C3", 1.2))  # of y and the three x


@FIGURES.register("F12", ref="song2025")
class RiverTrajectories(Figure):
    """Schedule-free AdamW follows a river valley.

    f(w) = (w1 w2 - 1)²/2 + log(1 + exp(-w1)) from (2, 2), β2 = 0.99, γ = 0.05, T = 1000. The river
    is w1 w2 = 1 (dotted). Top: the average x, and every 5th gradient point y. Bottom: distance to
    the river |w1 w2 - 1| along the run; also of x of the refined method with C = 10, which at
    β = 0.9 is schedule-free itself, and of generalized primal averaging with the same β and
    mu_x = 0.99, which at β = 0 is an exponential moving average (EMA); schedule-free with β = 0 is
    Polyak averaging. AdamW with β1 = 0.9, β2 = 0.95 and the same constant γ goes further than all
    of them, to w1 = 9.9 at a distance of 0.012. The formula of f is recalled, since the paper's
    display was not readable.
    """

    BETAS = (0.1, 0.5, 0.9)
    COLUMNS = (0.0, *BETAS)
    C, MU_X, GAMMA, T = 10.0, 0.99, 0.05, 1000

    def data(self, quick: bool = False) -> Data:
        river = problems.SongRiver()
        gamma = np.full(self.T, self.GAMMA)
        curves, values = [], {}
        for beta in self.COLUMNS:
            tableaus = {
                "x": methods.ScheduleFree(beta).tableau(gamma),
                "refined x": methods.RefinedScheduleFree(beta, self.C).tableau(gamma),
                "GPA x (β = 0: EMA)": methods.GPA(beta, self.MU_X).tableau(gamma),
            }
            runs = {
                name: run(river, tableau, record="all", preconditioner=Adam(beta2=0.99, eps=1e-8))
                for name, tableau in tableaus.items()
            }
            x = {name: np.asarray(traj.x)[0] for name, traj in runs.items()}
            y = np.asarray(runs["x"].y)[0]
            points = {"y": y, **x}
            d = {name: river.distance_to_river(w) for name, w in points.items()}
            curves += [
                Curve(f"path, β = {beta:g}", "y", y[::5, 0], y[::5, 1]),
                Curve(f"path, β = {beta:g}", "x", x["x"][:, 0], x["x"][:, 1]),
                *(Curve(f"distance, β = {beta:g}", n, runs["x"].step, v) for n, v in d.items()),
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
                f"GPA d(x) {beta:g}": np.median(d["GPA x (β = 0: EMA)"][late]),
                f"w1 {beta:g}": x["x"][-1, 0],
                f"GPA w1 {beta:g}": x["GPA x (β = 0: EMA)"][-1, 0],
            }
        adamw = _adamw(river, self.GAMMA, self.T)
        late = slice(self.T // 2, self.T + 1)  # w after 500, ..., 1000 steps
        values |= {"AdamW w1": adamw[-1, 0], "AdamW d": river.distance_to_river(adamw)[late].mean()}
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(7.6, 4.5))
        axes = figure.subplots(2, 4, sharey="row", sharex="row")
        a, b = np.meshgrid(np.linspace(0.6, 7.5, 200), np.linspace(0, 2.1, 200))
        f = problems.SongRiver().value(np.stack([a, b], axis=-1))
        for column, beta in enumerate(self.COLUMNS):
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
            looks = dict(zip(data.panel(f"distance, β = {beta:g}"), LOOKS, strict=True))
            for name, curve in data.panel(f"distance, β = {beta:g}").items():
                color, width = looks[name]
                bottom.plot(curve.x, curve.y, color=color, linewidth=width, label=name)
            bottom.set_yscale("log")
            bottom.set_ylim(1e-6, 9)
            bottom.set_xlabel("step t")
        axes[0, 0].set_ylabel("$w_2$")
        axes[0, 0].legend()
        axes[1, 0].set_ylabel("distance to the river")
        figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
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
            Claim(
                "F12-averages",
                "An average with a fixed window follows the river for every β, 0 included: largest "
                "median distance of x of generalized primal averaging and of the EMA",
                max(v[f"GPA d(x) {b:g}"] for b in self.COLUMNS),
                "<=",
                0.02,
                source="this project",
            ),
            Claim(
                "F12-averages-downstream",
                "An average with a fixed window goes further downstream than schedule-free for "
                "every β: smallest gain in w1",
                min(v[f"GPA w1 {b:g}"] - v[f"w1 {b:g}"] for b in self.COLUMNS),
                ">=",
                0,
                source="this project",
            ),
            Claim(
                "F12-adamw",
                "AdamW with β1 = 0.9, β2 = 0.95 and the same constant γ goes further than all: its "
                "w1 at T",
                v["AdamW w1"],
                "==",
                9.89,
                atol=0.01,
                source="this project",
            ),
            Claim(
                "F12-adamw-distance",
                "AdamW's mean distance from the river over steps 500 to 1000",
                v["AdamW d"],
                "==",
                0.012,
                atol=0.001,
                source="this project",
            ),
        ]


def _adamw(river: problems.SongRiver, gamma: float, T: int) -> Array:
    """AdamW's points, (T + 1, 2), with β1 = 0.9, β2 = 0.95 and no weight decay."""
    w, m, v = river.x1, np.zeros(2), np.zeros(2)
    points = [w]
    for t in range(1, T + 1):
        g = river.subgradient(w)
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g
        w = w - gamma * m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
        points.append(w)
    return np.array(points)
