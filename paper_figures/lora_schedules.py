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
    steps on tiny Shakespeare. Left: validation loss at the end against the peak; right: along the
    steps, each at its best peak. Schedule-free is read at x, merged. Grey: all weights trained,
    with linear decay at its best of three peaks. Means of three seeds; bars and bands reach from
    the least to the largest.
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
            "all weights, linear": ("last", {"block": "all weights"}),
        }
        curves, found = list[Curve](), dict[str, Tuned]()
        for name, (average, settings) in asked.items():
            found[name] = one = runs.tuned(end, average, **settings)
            each = [runs.seeds(end, average, optimizer__lr=p, **settings) for p in one.peaks]
            curves.append(_spread("peaks", name, one.peaks, each))
            at = {**settings, "optimizer__lr": one.peak}
            steps = np.arange(0, STEPS + 1, 40)
            each = [runs.seeds(BASE + t, average, **at) for t in steps]
            curves.append(_spread("along", name, steps, each))
        free, tuned = found["schedule-free"], [found[name] for name in self.SCHEDULES]
        best = min(tuned[1:], key=lambda one: one.means.min())
        against, width = paired(free.seeds, best.seeds)
        decay, decay_width = paired(found["constant"].seeds, best.seeds)
        start = runs.seeds(BASE, block="adapters", schedule__name="constant")
        values = {
            "free": against,
            "free, half-width": width,
            "decay": decay,
            "decay, half-width": decay_width,
            "interior": sum(one.interior for one in (free, *tuned)),
            "all interior": float(found["all weights, linear"].interior),
            "share": (start.mean() - best.seeds.mean())
            / (start.mean() - found["all weights, linear"].seeds.mean()),
            "tolerance": best.off_by_two() - free.off_by_two(),
        }
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.0), sharey=False)
        for name, curve in data.panel("peaks").items():
            if name not in MARKS:
                right.axhline(np.min(curve.y), color="0.5", linestyle=":", lw=1)
                left.axhline(np.min(curve.y), color="0.5", linestyle=":", lw=1, label=name)
                continue
            bars = np.abs(np.array([curve.low, curve.high]) - np.asarray(curve.y))
            look: Any = {"color": COLOURS[name], "marker": MARKS[name], "ms": 4, "capsize": 2}
            left.errorbar(curve.x, curve.y, bars, label=name, **look)
        left.set_xscale("log", base=2)
        left.set_xticks([4e-3, 8e-3, 1.6e-2, 3.2e-2], ["4", "8", "16", "32"])
        left.set(xlabel="peak learning rate, 1e-3", ylabel="validation loss, nats per byte")
        for name, curve in data.panel("along").items():
            if name in MARKS:
                look = {"color": COLOURS[name], "marker": MARKS[name], "ms": 4}
                x, y, low, high = (
                    np.asarray(v)[1:] for v in (curve.x, curve.y, curve.low, curve.high)
                )
                right.plot(x, y, label=name, **look)
                right.fill_between(x, low, high, color=COLOURS[name], alpha=0.2, lw=0)
        right.set_xticks([40, 80, 120])
        right.set(xlabel="steps of fine-tuning", ylabel="validation loss, nats per byte")
        left.legend(fontsize=7)
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
                "G10-decay",
                "A constant rate minus the better decay, each at its best peak, nats",
                v["decay"],
                ">=",
                0.01,
                source="this project",
            ),
            Claim(
                "G10-interior",
                "Tuned peaks with a smaller and a larger one tried, of four",
                v["interior"],
                "==",
                4,
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


MARKS = {"schedule-free": "o", "constant": "D", "linear": "^", "cosine": "s"}
COLOURS = {"schedule-free": "C1", "constant": "C3", "linear": "C0", "cosine": "C4"}


def _spread(panel: str, series: str, x: Any, each: list[np.ndarray]) -> Curve:
    """Means over seeds, and from the least to the largest."""
    y, low, high = (np.array([of(one) for one in each]) for of in (np.mean, np.min, np.max))
    return Curve(panel, series, x, y, low, high)
