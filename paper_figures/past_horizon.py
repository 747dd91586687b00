"""Going on past the horizon for which a run was made."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from paper_figures.recorded_runs import SCALE, TOKENS, Recorded, along, paired
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure


@FIGURES.register("G12", ref="hagele2024", seconds=1)
class PastHorizon(Figure):
    """Going on from 300 to 600 steps: what a run that was made for 300 pays.

    Schedule-free and WSD go on as if the horizon had always been 600; a finished cosine is
    re-warmed to its peak and decays again, or goes on at a tenth of the peak. All with peak 4e-3.
    Left: losses along the way; of WSD the two ends. Right: the loss after 600 steps minus that of
    the cosine made for 600 steps, means of three seeds with 95% intervals of paired differences.
    """

    LOOK: ClassVar = {
        "schedule-free": ("C1", "-"),
        "WSD": ("C2", "-"),
        "cosine made for 600": ("C0", "-"),
        "re-warmed": ("C3", "--"),
        "not re-warmed": ("C5", ":"),
    }

    def data(self, quick: bool = False) -> Data:
        runs = Recorded("g12_extension")
        cosine = runs.where(block="cosine")
        short = cosine.filter(cosine["run.steps"] == 300)
        paths = {
            "schedule-free": runs.where("x", block="schedule-free"),
            "cosine made for 600": cosine.filter(cosine["run.steps"] == 600),
            "cosine made for 300": short,
            "re-warmed": runs.where(block="re-warmed"),
            "not re-warmed": runs.where(block="not re-warmed"),
        }
        curves = [along("path", name, rows) for name, rows in paths.items()]
        ends = {300: runs.seeds(300, block="stopped wsd"), 600: runs.seeds(600, block="wsd")}
        mean = [seeds.mean() for seeds in ends.values()]
        curves.append(Curve("path", "WSD", [t * TOKENS for t in ends], mean))
        reference = runs.seeds(600, block="cosine", run__steps=600)
        values = dict[str, float]()
        for name in self.LOOK:
            if name == "cosine made for 600":
                continue
            found = ends[600] if name == "WSD" else _last(paths[name])
            price, width = paired(found, reference)
            values[name] = price
            curves.append(Curve("price", name, [price], [0], [price - width], [price + width]))
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 2.9), width_ratios=(1.5, 1))
        for name, curve in data.panel("path").items():
            x = np.asarray(curve.x) / 1000
            if name == "WSD":
                left.plot(x, curve.y, "D", ms=4.5, color="C2", label=f"{name}, ends")
                continue
            colour, dash = self.LOOK.get(name, ("0.5", "-"))
            left.plot(x, curve.y, color=colour, linestyle=dash, label=name)
        left.axvline(300 * TOKENS / 1000, color="0.5", lw=0.8)
        left.set(xlabel="1000 tokens", ylabel="validation loss, nats per byte")
        left.set_xlim(left=100)
        left.set_ylim(top=2.35)
        left.legend(fontsize=7)
        shown = data.panel("price")
        for k, (name, curve) in enumerate(shown.items()):
            x = np.asarray(curve.x)
            bars = np.abs(np.array([curve.low, curve.high]) - x)
            right.errorbar(x, [-k], xerr=bars, fmt="o", ms=4, color=self.LOOK[name][0], capsize=2)
        right.axvline(0, color="C0", lw=1)
        right.set_yticks([-k for k in range(len(shown))], list(shown))
        right.set_ylim(-len(shown) + 0.5, 0.5)
        right.set_xlabel("nats above the cosine made for 600")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "G12-free",
                f"Schedule-free at 600 steps minus the cosine made for 600, nats ({SCALE})",
                v["schedule-free"],
                "<=",
                0.02,
                source="defazio2024",
            ),
            Claim(
                "G12-wsd",
                "WSD from the same plateau minus the cosine made for 600, nats",
                v["WSD"],
                "<=",
                0.02,
                source="hagele2024",
            ),
            Claim(
                "G12-rewarmed",
                "A re-warmed cosine minus the cosine made for 600, nats",
                v["re-warmed"],
                ">=",
                0,
                source="hagele2024",
            ),
            Claim(
                "G12-low",
                "Going on at a tenth of the peak costs more than re-warming, nats",
                v["not re-warmed"] - v["re-warmed"],
                ">=",
                0,
                source="this project",
            ),
        ]


def _last(rows: Any) -> np.ndarray:
    return rows.filter(rows["step"] == 600).sort("run.seed")["loss"].to_numpy()
