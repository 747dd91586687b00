"""The edge of stability of schedule-free on a network: after Song et al. 2025."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_figures.digits_network import Digits, one_thread
from sftheory.core.claim import Claim
from sftheory.exact_moments.stability import critical_step
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
EDGE = 6.4  # the sharpness at which each of the three large steps becomes unstable, for c -> 0
RUNS = {
    "gradient descent": (None, 2 / EDGE),
    "schedule-free, β = 0.5": (0.5, float(critical_step(0.5)) / EDGE),
    "schedule-free, β = 0.9": (0.9, float(critical_step(0.9)) / EDGE),
    "β = 0.9, half the step": (0.9, float(critical_step(0.9)) / EDGE / 2),
}
LOOKS = dict(zip(RUNS, [("C5", "-."), ("C2", "--"), ("C1", "-"), ("C0", ":")], strict=True))


@FIGURES.register("O03", ref="song2025", seed="0..3", seconds=12)
class EdgeOfStabilityOfANetwork(Figure):
    """Sharpness at y rises until the step γ is just stable, at the threshold of a quadratic.

    Full batches of 200 digits, mean squared error, a 64-32-32-10 tanh network, 50 steps of warm-up,
    1600 steps; mean and range of 4 seeds. Three runs have steps whose threshold on a quadratic,
    γ λ < 2 (2 - c) / (2 (1 - β) + c (2 β - 1)), is the same λ = 6.4 once c is small: 2/γ for
    gradient descent, 4/γ and 20/γ for schedule-free. The fourth has half the step of the third.
    Left: sharpness at y, where gradients are taken. Right: the same over the threshold at the
    current β and c.
    """

    STEPS, EVERY, WARMUP = 1600, 80, 50

    def data(self, quick: bool = False) -> Data:
        curves, values = [], {}
        t = np.arange(0, self.STEPS + 1, self.EVERY)
        for name, (beta, gamma) in RUNS.items():
            sharpness, threshold = self._run(beta, gamma, 3 if quick else 4)
            of_edge = sharpness / threshold
            for panel, found in (("sharpness", sharpness), ("ratio", of_edge)):
                kept = found[:, 2:]  # from the end of the warm-up on
                curves.append(Curve(panel, name, t[2:], kept.mean(0), kept.min(0), kept.max(0)))
            late = of_edge[:, 2 * len(t) // 3 :].mean(1)
            values |= {f"{name} low": late.min(), f"{name} high": late.max()}
            values[f"{name} sharpest"] = sharpness.max(1).min()
            values[f"{name} top"] = of_edge[:, len(t) // 2 :].max()
        return Data(curves, values)

    def _run(self, beta: float | None, gamma: float, seeds: int) -> tuple[Array, Array]:
        """Sharpness (seeds, moments), and the threshold at these moments."""
        from sftheory.optim import ScheduleFreeSGD

        sharpness, thresholds = [], []
        with one_thread() as torch:
            digits = Digits(range(seeds), batch=None, full=200, squared=True)
            layers, batch = digits.start(), digits.batch()
            if beta is None:
                optimizer: Any = torch.optim.SGD(layers, lr=gamma)
            else:
                optimizer = ScheduleFreeSGD(
                    layers, lr=gamma, momentum=beta, warmup_steps=self.WARMUP
                )
            (group,) = optimizer.param_groups
            for t in range(self.STEPS + 1):
                if t % self.EVERY == 0:
                    sharpness.append(digits.sharpness(layers, batch, 10))
                    stable = 2.0 if beta is None else critical_step(beta, group["c"] or 1.0)
                    thresholds.append(float(stable) / gamma)
                if beta is None:
                    group["lr"] = gamma * min(1, (t + 1) / self.WARMUP)
                optimizer.zero_grad()
                digits.losses(layers, batch).sum().backward()
                optimizer.step()
        return np.array(sharpness).T, np.array(thresholds)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, axes = panels(2, width=7.0)
        for axis, panel in zip(axes, ("sharpness", "ratio"), strict=True):
            for name, curve in data.panel(panel).items():
                color, dash = LOOKS[name]
                axis.plot(curve.x, curve.y, color=color, linestyle=dash, label=name)
                axis.fill_between(
                    curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0
                )
            axis.axhline(EDGE if panel == "sharpness" else 1, color="C5", linewidth=0.8)
            axis.set_xlim(0, self.STEPS)
        label(axes[0], "step t", "sharpness at y")
        label(axes[1], "step t", "sharpness over the threshold")
        axes[0].set_ylim(3.8, 9)
        axes[0].legend(loc="lower right")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        found = []
        for name, key in zip(RUNS, ("gd", "half", "nine"), strict=False):
            found += [
                Claim(
                    f"O03-{key}-{end}",
                    f"{name}: sharpness over the threshold, mean over the last third, "
                    f"{'least' if end == 'low' else 'largest'} of all seeds",
                    v[f"{name} {end}"],
                    "in",
                    (0.9, 1.1),
                    source="song2025" if key != "gd" else "this project, gradient descent",
                )
                for end in ("low", "high")
            ]
        small = list(RUNS)[3]
        return [
            *found,
            Claim(
                "O03-top",
                "No run strays far above its threshold in the second half: largest ratio at any "
                "moment",
                max(v[f"{name} top"] for name in RUNS),
                "<=",
                1.15,
                source="song2025",
            ),
            Claim(
                "O03-small-step",
                "It is the step that holds sharpness down: with half of it the sharpness passes "
                "6.4 for every seed: least maximum over 6.4",
                v[f"{small} sharpest"] / EDGE,
                ">=",
                1.1,
                source="song2025",
            ),
        ]
