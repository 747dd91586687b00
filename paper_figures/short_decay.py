"""What a short decay gains after schedule-free and after a constant rate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from paper_figures.recorded_runs import SCALE, Recorded, paired
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure


@FIGURES.register("G2", ref="song2025", seconds=1)
class ShortDecay(Figure):
    """A short decay gains little after schedule-free: its average is near the river already.

    What 30 steps of AdamW with a rate that falls linearly to zero take off the validation loss:
    from schedule-free's x, with fresh moments, and from the last iterate of AdamW at a constant
    rate. Three peaks of the decay; the runs' own is 4e-3. Means of three seeds; bars are 95%
    intervals.
    """

    PEAKS: ClassVar = (2.5e-4, 1e-3, 4e-3)

    def data(self, quick: bool = False) -> Data:
        runs = Recorded("g2_short_decay")
        curves, values = [], dict[str, float]()
        for trunk, average in (("schedule-free", "x"), ("constant", "last")):
            for step in (300, 600):
                before = runs.seeds(step, average, block=trunk)
                gains, widths = np.zeros((2, len(self.PEAKS)))
                for k, peak in enumerate(self.PEAKS):
                    decay = {"block": f"decay of {trunk}", "at": step, "optimizer__lr": peak}
                    gains[k], widths[k] = paired(before, runs.seeds(step + 30, **decay))
                name = f"{trunk}, after {step} steps"
                curves.append(
                    Curve("gain", name, self.PEAKS, gains, gains - widths, gains + widths)
                )
                values[f"{trunk}, {step}"] = float(gains.max())
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(4.6, 2.9))
        for k, (name, curve) in enumerate(data.panel("gain").items()):
            bars = np.abs(np.array([curve.low, curve.high]) - np.asarray(curve.y))
            look: Any = {"color": "C1" if k < 2 else "C0", "linestyle": ("-", "--")[k % 2]}
            x = np.asarray(curve.x) * 1.03 ** (k - 1.5)  # apart, so that bars can be told
            axes.errorbar(x, curve.y, bars, fmt="o", ms=4, capsize=2, label=name, **look)
        axes.axhline(0, color="0.5", lw=0.8)
        axes.set_xscale("log")
        axes.set_xticks(self.PEAKS, ["2.5e-4", "1e-3", "4e-3"])
        axes.minorticks_off()
        axes.set(xlabel="peak of the decay", ylabel="what it takes off the loss, nats")
        axes.legend(fontsize=7, handlelength=4)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        share = [v[f"schedule-free, {t}"] / v[f"constant, {t}"] for t in (300, 600)]
        return [
            Claim(
                "G2-share",
                "Gain of a short decay after schedule-free over its gain after a constant rate, "
                f"each at its best peak, the larger of two times ({SCALE})",
                max(share),
                "<=",
                0.25,
                source="song2025",
            ),
            Claim(
                "G2-hill",
                "Gain of a short decay after a constant rate, nats, the lesser of two times",
                min(v[f"constant, {t}"] for t in (300, 600)),
                ">=",
                0.03,
                source="this project",
            ),
        ]
