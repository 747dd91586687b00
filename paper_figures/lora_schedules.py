"""Schedules for low-rank fine-tuning of a small transformer, and schedule-free without one."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from paper_figures.recorded_runs import Recorded, Tuned, paired
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

BASE, STEPS = 600, 120  # of the base run, and of the tuning
SCALE = "0.3M parameters, rank 8, 120 steps"


@FIGURES.register("G10", ref="hu2021", seconds=1)
class LoraSchedules(Figure):
    """Low-rank fine-tuning with a constant rate, two decays, and schedule-free.

    A transformer of 0.3M parameters, trained on Python's source, gets adapters of rank 8 and 120
    steps on tiny Shakespeare. Left: validation loss at the end against the peak, means of three
    seeds, bars from the least to the largest; the constant rate goes on to 2.48. Right: each at
    its best peak minus linear decay, halfway (hollow) and at the end, paired over seeds with 95%
    intervals. Schedule-free is read at x, merged; "all weights" has no adapters and linear decay.
    """

    SCHEDULES: ClassVar = ("constant", "linear", "cosine")

    def data(self, quick: bool = False) -> Data:
        runs, end = Recorded("g10_lora"), BASE + STEPS
        asked: dict[str, tuple[str, dict[str, Any]]] = {
            "schedule-free": ("x", {"block": "schedule-free"}),
            **{
                name: ("last", {"block": "adapters", "schedule__name": name})
                for name in self.SCHEDULES
            },
            ALL: ("last", {"block": ALL}),
        }
        curves, found = list[Curve](), dict[str, Tuned]()
        for name, (average, settings) in asked.items():
            found[name] = one = runs.tuned(end, average, **settings)
            each = [runs.seeds(end, average, optimizer__lr=p, **settings) for p in one.peaks]
            curves.append(_spread("peaks", name, one.peaks, each))
        free, tuned = found["schedule-free"], [found[name] for name in self.SCHEDULES]
        best = min(tuned[1:], key=lambda one: one.means.min())
        against, width = paired(free.seeds, best.seeds)
        decay, decay_width = paired(found["constant"].seeds, best.seeds)
        linear = {"block": "adapters", "schedule__name": "linear"}
        for name, (average, settings) in asked.items():
            if name == "linear":
                continue
            gaps, widths = np.zeros((2, 2))
            for k, step in enumerate((BASE + STEPS // 2, end)):
                ours = runs.seeds(step, average, optimizer__lr=found[name].peak, **settings)
                theirs = runs.seeds(step, optimizer__lr=found["linear"].peak, **linear)
                gaps[k], widths[k] = paired(ours, theirs)
            steps = (STEPS // 2, STEPS)
            curves.append(Curve("against", name, steps, gaps, gaps - widths, gaps + widths))
        start = runs.seeds(BASE, block="adapters", schedule__name="constant")
        values = {
            "free": against,
            "free, half-width": width,
            "decay": decay,
            "decay, half-width": decay_width,
            "interior": sum(one.interior for one in found.values()),
            "share": (start.mean() - best.seeds.mean()) / (start.mean() - found[ALL].seeds.mean()),
            "free, off by two": free.off_by_two(),
            "decay, off by two": best.off_by_two(),
        }
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0), width_ratios=(1.3, 1))
        for name, curve in data.panel("peaks").items():
            bars = np.abs(np.array([curve.low, curve.high]) - np.asarray(curve.y))
            look: Any = {"color": COLOURS[name], "marker": MARKS[name], "ms": 4, "capsize": 2}
            left.errorbar(curve.x, curve.y, bars, label=name, **look)
        left.set_xscale("log", base=2)
        left.set_xticks([1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2], ["1", "2", "4", "8", "16", "32"])
        left.set_ylim(top=2.34)
        left.set(xlabel="peak learning rate, 1e-3", ylabel="validation loss, nats per byte")
        left.legend(fontsize=7)
        against = data.panel("against")
        for row, (name, curve) in enumerate(against.items()):
            bars = np.abs(np.array([curve.low, curve.high]) - np.asarray(curve.y))
            for k, face in enumerate(("none", COLOURS[name])):
                look = {"color": COLOURS[name], "markerfacecolor": face, "fmt": MARKS[name]}
                place = row + (0.15, -0.15)[k]
                right.errorbar(curve.y[k], place, xerr=bars[:, k : k + 1], ms=5, capsize=2, **look)
        right.axvline(0, color="0.5", lw=0.8)
        right.set_yticks(range(len(against)), list(against))
        right.set_xticks([-0.1, -0.05, 0, 0.05])
        right.set(xlabel="loss minus linear decay of adapters, nats", ylim=(-0.6, 3.6))
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "G10-free",
                "Schedule-free minus the better of linear decay and cosine, each at its best "
                f"peak, nats ({SCALE})",
                v["free"],
                "<=",
                0.02,
                source="defazio2024",
            ),
            Claim(
                "G10-ahead",
                "The same, upper end of the 95% interval of three seeds",
                v["free"] + v["free, half-width"],
                "<=",
                0,
                source="this project",
            ),
            Claim(
                "G10-decay",
                "A constant rate minus the better decay, each at its best peak, nats",
                v["decay"],
                ">=",
                0.01,
                source="this project",
            ),
            Claim(
                "G10-interior",
                "Tuned peaks with a smaller and a larger one tried, of five",
                v["interior"],
                "==",
                5,
                source="this project",
            ),
            Claim(
                "G10-tolerance",
                "Half or twice the best peak costs the better decay more than schedule-free, nats",
                v["decay, off by two"] - v["free, off by two"],
                ">=",
                0,
                source="this project",
            ),
            Claim(
                "G10-share",
                "Part of what training all weights takes off the loss that an eighth of their "
                "number takes off",
                v["share"],
                ">=",
                0.8,
                source="hu2021",
            ),
        ]


ALL = "all weights"
MARKS = {"schedule-free": "o", "constant": "D", "linear": "^", "cosine": "s", ALL: "v"}
COLOURS = {"schedule-free": "C1", "constant": "C3", "linear": "C0", "cosine": "C4", ALL: "0.5"}


def _spread(panel: str, series: str, x: Any, each: list[np.ndarray]) -> Curve:
    """Means over seeds, and from the least to the largest."""
    y, low, high = (np.array([of(one) for one in each]) for of in (np.mean, np.min, np.max))
    return Curve(panel, series, x, y, low, high)
