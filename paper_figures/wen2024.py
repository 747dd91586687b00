"""Wen et al. 2024: a river valley view of warmup-stable-decay.

The toys are ours, after the paper's; no formula or constant is taken from it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sftheory import methods, problems, run, schedules
from sftheory.core.claim import Claim
from sftheory.core.tableau import Tableau
from sftheory.exact_moments import hill_and_river, moments
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
HERE = "this project, after wen2024"
DECAYS = {
    "linear": ("linear", [0.3280, 0.2247, 0.1384, 0.0967, 0.0678, 0.0426]),
    "1-sqrt": ("1-sqrt", [0.2797, 0.1751, 0.1030, 0.0707, 0.0490, 0.0305]),
}
LENGTHS = (10, 20, 50, 100, 200, 500)


def hill_after_decay(shape: str, lengths: Any = LENGTHS, gamma: float = 0.05) -> Array:
    """Hill loss after a decay of K steps from the plateau, over the plateau's; curvature 10.

    Steps are gamma s(k/K), k = 1..K, s(v) = 1 - v or 1 - sqrt(v); the last is zero.
    """
    plateau = gamma / (2 * (2 - 10 * gamma))
    start = np.sqrt(2 * plateau / 10)  # a start whose square is the plateau's second moment
    hill = problems.NoisyQuadratic([10.0], noise=1.0, x1=start)
    left = []
    for K in lengths:
        v = np.arange(1, K + 1) / K
        decay = gamma * (1 - (np.sqrt(v) if shape == "1-sqrt" else v))
        left.append(moments(hill, methods.LastIterate().tableau(decay)).loss_x[-1] / plateau)
    return np.array(left)


@FIGURES.register("F16", ref="wen2024", seed="0..15")
class HillAndRiverLosses(Figure):
    """Hill and river: what schedules and averages each leave of a valley's loss.

    f(h, r) = 10 h² + 1/(1 + r), noise of variance 1 on h only, peak step γ = 0.05, T = 4000; hill
    and river losses are exact expectations. (a) Where each method ends: circles are schedules,
    squares averages of constant steps (C = 50 and 200: refined schedule-free, β = 0.9; GPA has
    μ_y = 0.9); along dotted lines the total is the same. (b) Total loss along the run. (c) Hill
    loss that a decay of K steps leaves, over the plateau's, curvature 10. (d) Bigram language of 16
    tokens, minibatches of 16, γ = 2: what the last 20% of a WSD run, its cooldown, gains on each
    token against the entropy of its successor, mean and standard error of 16 runs. Both toys are
    ours, after wen2024.
    """

    N, PEAK = 4000, 0.05
    CASES: ClassVar = {
        "constant": (methods.LastIterate(), schedules.Constant()),
        "linear": (methods.LastIterate(), schedules.Linear()),
        "cosine": (methods.LastIterate(), schedules.Cosine()),
        "WSD 20%": (methods.LastIterate(), schedules.WSD()),
        "Polyak average": (methods.PolyakAverage(), schedules.Constant()),
        "SF 0.5": (methods.ScheduleFree(0.5), schedules.Constant()),
        "SF 0.9": (methods.ScheduleFree(0.9), schedules.Constant()),
        "SF 0.98": (methods.ScheduleFree(0.98), schedules.Constant()),
        "C = 50": (methods.RefinedScheduleFree(0.9, 50.0), schedules.Constant()),
        "C = 200": (methods.RefinedScheduleFree(0.9, 200.0), schedules.Constant()),
        "EMA 0.99": (methods.EMA(0.99), schedules.Constant()),
        "GPA 0.99": (methods.GPA(0.9, 0.99), schedules.Constant()),
    }
    ALONG = ("constant", "WSD 20%", "SF 0.9", "C = 200", "EMA 0.99", "GPA 0.99")
    TUNED = ("WSD 20%", "linear", "SF 0.9", "GPA 0.99")

    def data(self, quick: bool = False) -> Data:
        curves, values = [], {}
        for name in self.CASES:
            hill, river = self._losses(name, self.PEAK)
            curves.append(Curve("end", name, [river[-1]], [hill[-1]]))
            values |= {f"{name}, hill": hill[-1], f"{name}, river": river[-1]}
            values[f"{name}, total"] = hill[-1] + river[-1]
            if name in self.ALONG:
                t = np.arange(400, self.N + 1, 20)
                curves.append(Curve("along", name, t, (hill + river)[t]))
            if name == "constant":
                values["plateau"] = hill[-1] / (self.PEAK / (2 * (2 - 20 * self.PEAK)))
        for name in self.TUNED:
            ends = [self._losses(name, peak) for peak in self.PEAK * 2.0 ** np.arange(5)]
            values[f"{name}, tuned"] = min(hill[-1] + river[-1] for hill, river in ends)
        for name, (shape, _) in DECAYS.items():
            curves.append(Curve("decay", name, LENGTHS, hill_after_decay(shape)))
        return Data([*curves, *self._bigram(values)], values)

    def _losses(self, name: str, peak: float) -> tuple[Array, Array]:
        method, shape = self.CASES[name]
        with np.errstate(over="ignore", invalid="ignore"):
            hill, river = hill_and_river(
                problems.HillAndRiver(), method.tableau(peak * shape(self.N))
            )
        return hill, np.where(np.isfinite(river), river, np.inf)

    def _bigram(self, values: dict[str, float]) -> list[Curve]:
        toy, start, seeds = problems.BigramValley(), self.N * 4 // 5, 16
        pair = [methods.LastIterate().tableau(2 * shape(self.N)) for shape in
                (schedules.Constant(), schedules.WSD())]  # fmt: skip
        traj = run(toy, Tableau.stack(pair), seeds=seeds, record=[start, self.N], losses="x")
        assert traj.x is not None
        gain = -np.diff(toy.rows(traj.x[1]), axis=1)[:, 0]  # (seed, token)
        mean, error = gain.mean(axis=0), gain.std(axis=0, ddof=1) / np.sqrt(seeds)
        for i, name in enumerate(("constant", "WSD")):
            ends = traj.loss_x[i, :, -1]
            values[f"bigram {name}"] = ends.mean()
            values[f"bigram {name}, error"] = ends.std(ddof=1) / np.sqrt(seeds)
        values["pearson"] = np.corrcoef(mean, toy.entropy)[0, 1]
        values["row 0"] = abs(mean[0])
        return [Curve("rows", "gain", toy.entropy, mean, mean - error, mean + error)]

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        from sftheory.figures.style import label

        figure = plt.figure(figsize=(7.2, 5.6))
        (end, along), (decay, rows) = figure.subplots(2, 2)
        self._draw_ends(end, data)
        looks = dict(
            zip(self.ALONG, [("C3", "-."), ("C2", "-"), ("C1", "-"), ("C4", "--"), ("C0", ":"),
                             ("C5", (0, (4, 1, 1, 1)))], strict=True)
        )  # fmt: skip
        for name, curve in data.panel("along").items():
            color, dash = looks[name]
            along.plot(curve.x, curve.y, color=color, linestyle=dash, label=name)
        along.set_ylim(0.1, 0.32)
        along.set_xticks([1000, 2000, 3000, 4000])
        label(along, "step t", "total loss", "(b) along the run")
        along.legend()
        for (name, curve), color in zip(data.panel("decay").items(), ("C0", "C1"), strict=True):
            decay.plot(curve.x, curve.y, "o-", color=color, label=name, markersize=3.5)
        decay.set_xscale("log")
        decay.set_yscale("log")
        label(decay, "decay steps K", "hill loss / plateau", "(c) decay shapes")
        decay.legend()
        gain = data.panel("rows")["gain"]
        y = np.asarray(gain.y)
        rows.errorbar(gain.x, y, [y - gain.low, gain.high - y], fmt="o", color="C2", markersize=3.5)
        label(rows, "entropy of the successor, nats", "loss gained in the cooldown",
              "(d) bigram tokens")  # fmt: skip
        return figure

    def _draw_ends(self, axes: Any, data: Data) -> None:
        from sftheory.figures.style import label

        hill = np.geomspace(2e-6, 0.06, 100)
        for total in (0.12, 0.13, 0.14, 0.15, 0.16):
            axes.plot(total - hill, hill, color="C5", linestyle=":", linewidth=0.8)
        beside = {
            "GPA 0.99": (-6, -2),
            "EMA 0.99": (-6, -3),
            "SF 0.5": (-6, -2),
            "constant": (6, 3),
            "linear": (6, 2),
            "cosine": (6, -7),
            "WSD 20%": (7, -5),
            "C = 200": (6, 1),
            "C = 50": (6, -5),
            "Polyak average": (-42, 7),
        }
        for name, curve in data.panel("end").items():
            schedule = isinstance(self.CASES[name][0], methods.LastIterate)
            color, marker = ("C0", "o") if schedule else ("C1", "s")
            axes.plot(curve.x, curve.y, marker, color=color, markersize=4.5, zorder=3)
            at = beside.get(name, (6, -2))
            axes.annotate(
                name,
                (np.asarray(curve.x)[0], np.asarray(curve.y)[0]),
                at,
                textcoords="offset points",
                fontsize=7,
                ha="right" if at[0] == -6 else "left",
                bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 0.4},
                zorder=2.5,
            )
        axes.set_yscale("log")
        axes.set_ylim(3e-6, 0.06)
        axes.set_xlim(0.104, 0.164)
        label(axes, "river loss at the end", "hill loss at the end", "(a) where each ends")

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        averages = ("C = 200", "EMA 0.99", "GPA 0.99")
        left = {name: np.asarray(curve.y) for name, curve in data.panel("decay").items()}
        tabled = max(float(np.abs(left[name] - table).max()) for name, (_, table) in DECAYS.items())
        return [
            Claim(
                "F16-plateau",
                "The hill's plateau is η σ²/(2 (2 - η a)): ratio at the end of the constant run",
                v["plateau"],
                "==",
                1,
                atol=1e-6,
                source=HERE,
            ),
            Claim(
                "F16-cooldown",
                "The cooldown lowers the total: constant minus WSD 20%",
                v["constant, total"] - v["WSD 20%, total"],
                ">=",
                0.015,
                source=HERE,
            ),
            Claim(
                "F16-lag",
                "Polyak averaging pays lag: its river loss minus the last iterate's",
                v["Polyak average, river"] - v["constant, river"],
                ">=",
                0.03,
                source=HERE,
            ),
            Claim(
                "F16-refined",
                "Refined schedule-free (β = 0.9, C = 200) ends below WSD 20%: WSD minus refined",
                v["WSD 20%, total"] - v["C = 200, total"],
                ">=",
                0,
                source=HERE,
            ),
            *(
                Claim(
                    f"F16-total-{key}",
                    f"Total loss of {name} at the end",
                    v[f"{name}, total"],
                    "==",
                    expected,
                    atol=1.1e-5,
                    source=HERE,
                )
                for key, name, expected in (
                    ("constant", "constant", 0.14348),
                    ("wsd", "WSD 20%", 0.12309),
                    ("linear", "linear", 0.14934),
                    ("cosine", "cosine", 0.14924),
                    ("sf", "SF 0.9", 0.13339),
                    ("refined", "C = 200", 0.11990),
                )
            ),
            Claim(
                "F16-short-memory",
                "At this peak every average with a short memory (refined C = 200, EMA 0.99, GPA) "
                "ends below WSD 20%: WSD minus the largest of them",
                v["WSD 20%, total"] - max(v[f"{name}, total"] for name in averages),
                ">=",
                0,
                source="this project",
            ),
            Claim(
                "F16-tuned",
                "With each peak tuned (0.05 times 1, 2, ..., 16) schedule-free (β = 0.9) and GPA "
                "gain more on WSD, for they are stable up to larger peaks: WSD over the larger of "
                "them",
                v["WSD 20%, tuned"] / max(v["SF 0.9, tuned"], v["GPA 0.99, tuned"]),
                ">=",
                1.5,
                source="this project",
            ),
            Claim(
                "F16-decay",
                "Hill loss left by linear and 1-sqrt decays of 10 to 500 steps: largest difference "
                "from the table",
                tabled,
                "<=",
                1e-3,
                source=HERE,
            ),
            Claim(
                "F16-entropy",
                "What the cooldown gains on a token grows with the entropy of its successor: "
                "Pearson correlation",
                v["pearson"],
                ">=",
                0.85,
                source=HERE,
            ),
            Claim(
                "F16-certain",
                "It gains nothing on the token whose successor is certain: size of the mean gain",
                v["row 0"],
                "<=",
                1e-3,
                source=HERE,
            ),
            Claim(
                "F16-bigram",
                "WSD ends below the constant step in the bigram language: difference in standard "
                "errors",
                (v["bigram constant"] - v["bigram WSD"])
                / np.hypot(v["bigram constant, error"], v["bigram WSD, error"]),
                ">=",
                4,
                source=HERE,
            ),
        ]
