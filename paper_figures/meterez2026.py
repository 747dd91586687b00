"""Meterez et al. 2026: anytime pretraining, on the paper's regression, without sampling.

f is ½ E (<a, w> - label)²; losses are twice the excess of f, the paper's square loss.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sftheory import methods, moments, problems
from sftheory.core.claim import Claim
from sftheory.core.tableau import Tableau, iterate
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
CLAIMED = (500, 1000, 2000, 4000, 8000)
HORIZONS = (500, 707, 1000, 1414, 2000, 2828, 4000, 5657, 8000)
STEPS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45)


@FIGURES.register("F17", ref="meterez2026", seconds=8)
class AnytimeRegression(Figure):
    """One run without a horizon against a cosine tuned for every horizon.

    Streaming least squares in 2000 dimensions, λ_i = i^-a, λ_i w_i² = i^-b, batch 1, label noise
    0.01: exact expectations. Cosine decays to 10%, its peak is the best of six for each horizon.
    1/sqrt is η sqrt(400/(t + 400)); EMA puts 1 - 2^(-f/t) on the newest point. Top: excess loss.
    Bottom: the same over the cosine that was made for that horizon. Left, where a = b, constant
    steps with an average do as well as any cosine; right, where b = 2a, decaying ones are safer.
    """

    # exponents: {name: (shape, step, f)}; f is None for the last iterate
    RUNS: ClassVar = {
        (1.5, 1.5): {
            "constant + EMA": ("constant", 0.3, 6.25),
            "1/sqrt + EMA": ("1/sqrt", 0.45, 25.0),
            "constant": ("constant", 0.2, None),
        },
        (1.5, 3.0): {
            "constant + EMA": ("constant", 0.1, 6.25),
            "1/sqrt + EMA": ("1/sqrt", 0.2, 6.25),
            "constant": ("constant", 0.1, None),
        },
    }

    def data(self, quick: bool = False) -> Data:
        curves, values = [], {}
        horizons = CLAIMED if quick else HORIZONS
        kept = np.unique(np.geomspace(10, HORIZONS[-1], 120).astype(int))
        for (a, b), chosen in self.RUNS.items():
            problem = problems.PowerLawRegression(d=2000, a=a, b=b)
            panel = f"a = {a:g}, b = {b:g}"
            envelope = {}
            along = {}
            for T in horizons:
                losses = _losses(problem, np.outer(STEPS, _cosine(T)), None)
                best = int(losses[:, -1].argmin())
                if best == len(STEPS) - 1:  # the edge of the grid: one step beyond
                    beyond = _losses(problem, 0.5 * _cosine(T), None)[-1]
                    values[f"beyond {panel} {T}"] = beyond / losses[best, -1]
                envelope[T] = losses[best, -1]
                values[f"{panel} cosine step {T}"] = STEPS[best]
                if T == horizons[-1]:
                    along["cosine for 8000"] = losses[best]
            for name, (shape, step, f) in chosen.items():
                along[name] = _losses(problem, step * _anytime(shape, HORIZONS[-1]), f)
            curves.append(
                Curve(panel, "cosine, each its own", horizons, [envelope[T] for T in horizons])
            )
            for name, losses in along.items():
                ratios = [losses[T] / envelope[T] for T in horizons]
                curves.append(Curve(panel, name, kept, losses[kept]))
                curves.append(Curve(f"ratio, {panel}", name, horizons, ratios))
                for T in CLAIMED:
                    values[f"{panel} {name} {T}"] = losses[T] / envelope[T]
        values["identity"] = _averaging_is_decay(200, 0.1)
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        looks = {
            "cosine, each its own": ("C5", "o"),
            "cosine for 8000": ("C1", "--"),
            "constant": ("C3", "-."),
            "constant + EMA": ("C2", "-"),
            "1/sqrt + EMA": ("C4", "-"),
        }
        figure = plt.figure(figsize=(7.2, 4.8))
        axes = figure.subplots(2, 2, height_ratios=(1.25, 1))
        for column, (a, b) in enumerate(self.RUNS):
            panel = f"a = {a:g}, b = {b:g}"
            top, bottom = axes[:, column]
            for where, axis in ((panel, top), (f"ratio, {panel}", bottom)):
                for name, curve in data.panel(where).items():
                    color, dash = looks[name]
                    marked = {"marker": "o", "markersize": 2.5} if where != panel else {}
                    axis.plot(
                        curve.x,
                        curve.y,
                        dash,
                        color=color,
                        label=name,
                        **({"markersize": 4} if dash == "o" else marked),
                    )
                axis.set_xscale("log")
                axis.set_yscale("log")
            bottom.axhline(1, color="C5", linewidth=0.8, linestyle=":")
            top.set_title(panel, loc="left")
            bottom.set_xlabel("step t")
            ticks = (0.8, 1, 1.5, 2, 2.5) if a == b else (0.8, 1, 2, 4)
            bottom.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            bottom.set_xticks(CLAIMED, [str(T) for T in CLAIMED])
            for set_ticks in (bottom.set_xticks, bottom.set_yticks):
                set_ticks([], minor=True)
        axes[0, 0].set_ylabel("excess loss")
        axes[1, 0].set_ylabel("over the tuned cosine")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values

        def ratios(panel: str, name: str) -> Array:
            return np.array([v[f"{panel} {name} {T}"] for T in CLAIMED])

        same, double = (f"a = {a:g}, b = {b:g}" for a, b in self.RUNS)
        source = "meterez2026, Fig. 4"
        table = {
            (same, "constant + EMA"): (0.957, 0.953, 0.950, 0.948, 0.945),
            (same, "1/sqrt + EMA"): (0.971, 0.939, 0.960, 1.032, 1.165),
            (same, "constant"): (1.23, 1.27, 1.31, 1.36, 1.40),
            (same, "cosine for 8000"): (2.67, 2.58, 2.02, 1.23, 1.00),
            (double, "constant + EMA"): (1.153, 0.983, 0.806, 0.784, 0.761),
            (double, "1/sqrt + EMA"): (0.878, 0.876, 0.807, 0.814, 0.751),
        }
        off = max(float(np.abs(ratios(*key) - row).max()) for key, row in table.items())
        return [
            Claim(
                "F17-anytime",
                "a = b = 1.5: one run with constant steps and EMA is within 2% of the cosine that "
                "was tuned for each of five horizons: largest ratio",
                ratios(same, "constant + EMA").max(),
                "<=",
                1.02,
                source=source,
            ),
            Claim(
                "F17-last-iterate",
                "The last iterate of constant steps loses a fifth or more at each: smallest ratio",
                ratios(same, "constant").min(),
                ">=",
                1.2,
                source=source,
            ),
            Claim(
                "F17-early",
                "A cosine made for 8000 steps and read at 1000 loses this factor",
                v[f"{same} cosine for 8000 1000"],
                ">=",
                2,
                source=source,
            ),
            Claim(
                "F17-decaying",
                "b = 2a: the worst ratio of 1/sqrt with EMA is below that of constant with EMA: "
                "how much",
                ratios(double, "constant + EMA").max() - ratios(double, "1/sqrt + EMA").max(),
                ">=",
                0,
                source=source,
            ),
            Claim(
                "F17-edge",
                "Where the cosine's best peak is the grid's largest, 0.45, a peak of 0.5 is worse: "
                "smallest ratio",
                min(ratio for name, ratio in v.items() if name.startswith("beyond")),
                ">=",
                1,
                source="this project",
            ),
            Claim(
                "F17-table",
                "All thirty ratios agree with another calculation of the same recursion: largest "
                "difference",
                off,
                "<=",
                0.006,
                source="this project",
            ),
            Claim(
                "F17-identity",
                "In one dimension, averaging constant steps is a decayed schedule: largest "
                "difference of the two ends on random samples",
                v["identity"],
                "<=",
                1e-12,
                source="meterez2026, averaging as decay",
            ),
        ]


def _cosine(T: int) -> Array:
    """Half a cosine from 1 to 0.1, (T,)."""
    return 0.1 + 0.45 * (1 + np.cos(np.pi * np.arange(1, T + 1) / T))


def _anytime(shape: str, N: int) -> Array:
    """Constant steps, or sqrt(400/(t + 400)), (N,)."""
    return np.ones(N) if shape == "constant" else np.sqrt(400 / (np.arange(1, N + 1) + 400))


def _losses(problem: Any, gamma: Array, f: float | None) -> Array:
    """Exact excess loss of the last iterate, or of the average with constant f, (..., N + 1)."""
    t = np.arange(1, gamma.shape[-1] + 1)
    newest = np.ones(len(t)) if f is None else 1 - 2 ** (-f / t)
    newest[0] = 1
    return 2 * moments(problem, Tableau(gamma, 0.0, newest), keep=[0]).loss_x


def _averaging_is_decay(N: int, eta: float) -> float:
    """|mean of x_2..x_{N+1} with constant steps - x_{N+1} with decayed steps|, f = ½ E(x - ξ)²."""
    weight = (1 - (1 - eta) ** np.arange(N, 0, -1)) / N
    later = np.append(np.cumsum(weight[::-1])[::-1][1:], 0)
    averaged = methods.PolyakAverage(start_counts=False).tableau(np.full(N, eta))
    decayed = methods.LastIterate().tableau(weight / (1 - later))
    ends = []
    for tableau in (averaged, decayed):
        samples = iter(np.random.default_rng(0).standard_normal(N).tolist())
        *_, (x, *_) = iterate(tableau, 3.0, oracle=lambda y, s=samples: y - next(s))
        ends.append(x)
    return abs(ends[0] - ends[1])
