"""Warm-up of the rate, and of the average, on a small transformer."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from paper_figures.recorded_runs import Recorded, paired
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

STEPS = 400
SCALE = "0.3M parameters, 400 steps, three seeds"
GAINS = ("schedule-free, 0.004", "schedule-free, 0.008", "cosine, 0.004")


@FIGURES.register("G7", ref="defazio2024", seconds=1)
class WarmUp(Figure):
    """The loss after 400 steps against warm-up of the rate and of the average.

    A transformer of 0.3M parameters on bytes, at two peaks; means of three seeds, bars from the
    least to the largest. Left: the rate warms up over 0, 0.5, 2 and 5% of the steps. Right: the
    rate over 2%, and schedule-free's average begins 0, 2, 8 and 20 steps late (c = 1 until then).
    """

    PEAKS: ClassVar = (4e-3, 8e-3)
    WARMUPS: ClassVar = (0, 2, 8, 20)

    def data(self, quick: bool = False) -> Data:
        runs = Recorded("g7_warmup")
        curves, seeds = [], {}
        for block, point in {"schedule-free": "x", "cosine": "last"}.items():
            for peak in self.PEAKS:
                for W in self.WARMUPS:
                    seeds[block, peak, W] = runs.seeds(
                        STEPS, point, block=block, optimizer__lr=peak, schedule__warmup=W
                    )
                found = [seeds[block, peak, W] for W in self.WARMUPS]
                curves.append(_line("rate", f"{block}, {1e3 * peak:g}e-3", self.WARMUPS, found))
        for peak in self.PEAKS:
            found = [seeds["schedule-free", peak, 8]]
            for late in self.WARMUPS[1:]:
                seeds["average", peak, late] = own = runs.seeds(
                    STEPS,
                    "x",
                    block="average",
                    optimizer__lr=peak,
                    optimizer__averaging_warmup=late,
                )
                found.append(own)
            curves.append(
                _line("average", f"schedule-free, {1e3 * peak:g}e-3", self.WARMUPS, found)
            )
        values = dict[str, float]()
        for block in ("schedule-free", "cosine"):
            for peak in self.PEAKS:
                gain, width = paired(seeds[block, peak, 0], seeds[block, peak, 8])
                values[f"{block}, {peak:g}"] = gain
                values[f"{block}, {peak:g}, half-width"] = width
        for peak in self.PEAKS:
            gain, width = paired(seeds["schedule-free", peak, 8], seeds["average", peak, 8])
            values[f"average, {peak:g}"] = gain
            values[f"average, {peak:g}, half-width"] = width
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, both = plt.subplots(1, 2, figsize=(7.2, 2.9), sharey=True, width_ratios=(1.2, 1))
        for axes, panel in zip(both, ("rate", "average"), strict=True):
            for name, curve in data.panel(panel).items():
                method, peak = name.split(", ")
                look = {"color": "C1" if method == "schedule-free" else "C4"}
                look["linestyle"] = "-" if peak == "4e-3" else "--"
                at, y = np.arange(len(curve.x)), np.asarray(curve.y)
                bars = np.abs(np.array([curve.low, curve.high]) - y)
                mark = "o" if method == "schedule-free" else "s"
                axes.errorbar(at, y, bars, marker=mark, ms=4, capsize=2, label=f"{name}", **look)
            axes.set_xticks(range(4))
        both[0].set_xticklabels(["0", "0.5%", "2%", "5%"])
        both[0].set_xlabel("warm-up of the rate")
        both[1].set_xticklabels([str(W) for W in self.WARMUPS])
        both[1].set_xlabel("steps before the average begins")
        both[0].set_ylabel("validation loss, nats per byte")
        both[0].legend(handlelength=3.4)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "G7-rate-free",
                "Nats that a warm-up over 2% of the steps gains for schedule-free at its best peak "
                f"({SCALE}), against none",
                v["schedule-free, 0.004"],
                ">=",
                0,
                source="the article on schedule-free AdamW in production: 1 to 5%",
            ),
            Claim(
                "G7-rate-high",
                "Nats that a warm-up over 2% of the steps gains schedule-free at twice that peak",
                v["schedule-free, 0.008"],
                ">=",
                0,
                source="the article on schedule-free AdamW in production: 1 to 5%",
            ),
            Claim(
                "G7-rate-cosine",
                "Nats that a warm-up over 2% of the steps gains for AdamW with a cosine at 4e-3",
                v["cosine, 0.004"],
                ">=",
                0,
                source="a glossary's entry on schedules: 0.5 to 2%",
            ),
            Claim(
                "G7-clear",
                "Of these three gains those whose 95% interval over three seeds lies above 0",
                sum(v[name] > v[f"{name}, half-width"] for name in GAINS),
                "==",
                3,
                source="this project",
                known_failure="0: three seeds leave 0.014 +- 0.025, 0.09 +- 0.11 and 0.07 +- 0.10; "
                "only cosine at 8e-3, 0.11 +- 0.05, is clear.",
            ),
            Claim(
                "G7-average",
                "Nats gained by beginning the average when the rate is warm, at the best peak",
                v["average, 0.004"],
                ">=",
                0,
                source="defazio2026",
                known_failure="-0.03, and -0.10 at twice the peak: while c = 1 the run is AdamW at "
                "a rate that it does not bear, and what it loses then is not made up in 400 steps.",
            ),
        ]


def _line(panel: str, name: str, x: Any, found: list[np.ndarray]) -> Curve:
    mean, low, high = (np.array([f(s) for s in found]) for f in (np.mean, np.min, np.max))
    return Curve(panel, name, x, mean, low, high)
