"""The averages of one trajectory at a constant rate, against schedule-free and a decay."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from paper_figures.recorded_runs import SCALE, Recorded, paired
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

FINAL = 600


@FIGURES.register("G8", ref="meterez2026", seconds=1)
class TrajectoryAverages(Figure):
    """Averages of a constant-rate run reach the loss of a decay of the same run.

    AdamW at a constant rate keeps seven averages of its own path; each is shown at the peak that
    is best for it, of four. Beside them the WSD that decays over the last 20% of the same runs, and
    schedule-free, whose gradients are taken near its average and which needs a run of its own.
    Losses after 600 steps, relative to that WSD; means of three seeds, bars are 95% intervals of
    the paired differences.
    """

    AVERAGES: ClassVar = {
        "last": "last iterate",
        "uniform": "uniform",
        "poly:3": "polynomial, 3",
        "tail:0.25": "last quarter",
        "lawa:60:5": "LAWA, 60 steps",
        "ema:0.9": "EMA .9",
        "ema:0.97": "EMA .97",
        "ema:0.99": "EMA .99",
    }

    def data(self, quick: bool = False) -> Data:
        runs = Recorded("g8_averages")
        decay = runs.tuned(FINAL, block="wsd", at=480)
        found = {
            label: runs.tuned(FINAL, name, block="constant")
            for name, label in self.AVERAGES.items()
        }
        found["schedule-free, x"] = runs.tuned(FINAL, "x", block="schedule-free")
        gaps = {label: paired(one.seeds, decay.seeds) for label, one in found.items()}
        curves = [
            Curve("gap", label, [gap], [0], [gap - width], [gap + width])
            for label, (gap, width) in gaps.items()
        ]
        path = {name: label for name, label in self.AVERAGES.items() if name != "last"}
        best = min(path.values(), key=lambda label: gaps[label][0])
        less, width = paired(found["schedule-free, x"].seeds, found[best].seeds)
        return Data(
            curves,
            {
                "best average": gaps[best][0],
                "last": gaps["last iterate"][0],
                "schedule-free against it": less,
                "half-width": width,
            },
        )

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, ax = plt.subplots(figsize=(5.0, 2.9))
        shown = data.panel("gap")
        order = sorted(shown, key=lambda name: -float(np.asarray(shown[name].x)[0]))
        for k, name in enumerate(order):
            curve = shown[name]
            x = np.asarray(curve.x)
            bars = np.abs(np.array([curve.low, curve.high]) - x)
            colour = "C1" if name.startswith("schedule") else "C3" if "last it" in name else "C0"
            ax.errorbar(x, [k], xerr=bars, fmt="o", ms=4, color=colour, capsize=2)
        ax.axvline(0, color="C2", lw=1)
        ax.text(0.004, -0.7, "WSD 20%", color="C2", fontsize=7.5, va="top")
        ax.set_yticks(range(len(order)), order)
        ax.set_ylim(-1.4, len(order) - 0.5)
        ax.set_xlabel("loss above the WSD of the same runs, nats")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "G8-near",
                "Loss of the best average of a constant-rate run minus that of a decay of it, "
                f"nats ({SCALE})",
                v["best average"],
                "<=",
                0.02,
                source="meterez2026",
            ),
            Claim(
                "G8-gain",
                "What the best average takes off the last iterate, nats",
                v["last"] - v["best average"],
                ">=",
                0.05,
                source="this project",
            ),
            Claim(
                "G8-free",
                "Schedule-free minus the best average of a constant-rate run, upper end of the 95% "
                "interval, nats",
                v["schedule-free against it"] + v["half-width"],
                "<=",
                0,
                source="this project",
                known_failure="It is .029 below in the mean, but three seeds leave an interval "
                "that holds 0.",
            ),
        ]
