"""What a short decay gains after schedule-free and after a constant rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from paper_figures.recorded_runs import SCALE, Recorded, paired
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure


@FIGURES.register("G2", ref="song2025", seconds=1)
class ShortDecay(Figure):
    """A short decay gains little after schedule-free: its average is near the river already.

    What 30 steps of AdamW with a rate that falls linearly to zero take off the validation loss:
    from schedule-free's x (peak 1e-3, fresh moments), from the last iterate of a constant rate with
    the same peak, and with that run's own rate 4e-3. Means of three seeds; bars are 95% intervals.
    """

    def data(self, quick: bool = False) -> Data:
        runs = Recorded("g2_short_decay")
        curves, values = [], dict[str, float]()
        for name, trunk, average, peak in (
            ("schedule-free", "schedule-free", "x", 1e-3),
            ("constant, small peak", "constant", "last", 1e-3),
            ("constant, own peak", "constant", "last", 4e-3),
        ):
            gains, widths = [], []
            for step in (300, 600):
                before = runs.seeds(step, average, block=trunk)
                decay = {"block": f"decay of {trunk}", "at": step, "optimizer__lr": peak}
                gain, width = paired(before, runs.seeds(step + 30, **decay))
                gains.append(gain)
                widths.append(width)
                values[f"{name}, {step}"] = gain
            y, w = np.array(gains), np.array(widths)
            curves.append(Curve("gain", name, [300, 600], y, y - w, y + w))
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(4.2, 2.8))
        for k, (name, curve) in enumerate(data.panel("gain").items()):
            at = np.arange(2) + 0.26 * (k - 1)
            bars = np.abs(np.array([curve.low, curve.high]) - np.asarray(curve.y))
            colour = ("C1", "C3", "C0")[k]
            axes.bar(
                at, curve.y, 0.24, yerr=bars, color=colour, label=name, ecolor="0.5", capsize=2
            )
        axes.axhline(0, color="0.5", lw=0.8)
        axes.set_xticks([0, 1], ["after 300 steps", "after 600 steps"])
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("loss that the decay takes off, nats")
        axes.legend(fontsize=7)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        share = [v[f"schedule-free, {t}"] / v[f"constant, own peak, {t}"] for t in (300, 600)]
        return [
            Claim(
                "G2-share",
                "Gain of a short decay after schedule-free over its gain after a constant rate, "
                f"the larger of two times ({SCALE})",
                max(share),
                "<=",
                0.25,
                source="song2025",
            ),
            Claim(
                "G2-hill",
                "Gain of the same small decay after a constant rate, nats, the lesser of two times",
                min(v[f"constant, small peak, {t}"] for t in (300, 600)),
                ">=",
                0.03,
                source="this project",
            ),
        ]
