"""Why gradients grow as the learning rate decays, on a network: after Defazio 2025."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_figures.digits_network import Digits, one_thread, seed_norms
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
LOOKS = {
    "AdamW, linear decay": ("C1", "-"),
    "AdamC, linear decay": ("C2", "-"),
    "AdamW, constant": ("C3", "-."),
}
WARMUP, WINDOW = 50, 20
MID, END = (0.36, 0.4), (0.94, 0.98)  # parts of the run that are compared


@FIGURES.register("O01", ref="defazio2025", seed="0..7", seconds=12)
class GradientsOfANetwork(Figure):
    """In a normalised network gradients grow as the learning rate decays; AdamC keeps them level.

    A 64-32-32-10 tanh network on scikit-learn's digits whose every layer, logits too, is divided by
    its RMS, so that the loss ignores the scale of each weight matrix; half of the labels are drawn
    afresh in each batch of 32, so that gradients do not vanish. Learning rate 0.01 after 50 steps
    of warm-up, weight decay 1, betas (0.9, 0.99), 800 steps; means over windows of 20 steps, mean
    and range of 8 seeds that share starts and batches. Left: the gradient's norm. Right: the norm
    of the weights, whose balance of decay and growth follows the learning rate.
    """

    STEPS, LR, DECAY, SEEDS = 800, 0.01, 1.0, 8

    def data(self, quick: bool = False) -> Data:
        curves, values = [], {}
        for name in LOOKS:
            gradient, weight, loss = self._run(name, 6 if quick else self.SEEDS)
            t = (np.arange(gradient.shape[1]) + 0.5) / gradient.shape[1]
            for panel, found in (("gradient", gradient), ("weights", weight)):
                curves.append(Curve(panel, name, t, found.mean(0), found.min(0), found.max(0)))
                ratio = _between(found, END) / _between(found, MID)
                for seed, one in enumerate(ratio):
                    values[f"{name}, {panel}, {seed}"] = one
            for seed, one in enumerate(loss):
                values[f"{name}, loss, {seed}"] = one
        return Data(curves, values)

    def _run(self, name: str, seeds: int) -> tuple[Array, Array, Array]:
        """Norms of gradients and weights (seeds, windows), and the held-out loss (seeds,)."""
        from sftheory.optim import AdamC

        with one_thread() as torch:
            digits = Digits(range(seeds), batch=32, normalised=True, noise=0.5)
            layers = digits.start()
            options: Any = dict(lr=self.LR, betas=(0.9, 0.99), weight_decay=self.DECAY)
            if name.startswith("AdamC"):
                optimizer: Any = AdamC(layers, **options)
            else:
                optimizer = torch.optim.AdamW(layers, fused=True, **options)
            of_g, of_w = [], []
            for t in range(self.STEPS):
                shape = 1.0 if "constant" in name else 1 - t / self.STEPS
                optimizer.param_groups[0]["lr"] = self.LR * shape * min(1, (t + 1) / WARMUP)
                optimizer.zero_grad()
                digits.losses(layers, digits.batch()).sum().backward()
                of_g.append(seed_norms([layer.grad for layer in layers]))
                of_w.append(seed_norms(layers))
                optimizer.step()
            with torch.no_grad():
                loss = digits.losses(layers, digits.part(held_out=True)).numpy()
            windows = [
                torch.stack(found, 1).numpy().reshape(seeds, -1, WINDOW).mean(2)
                for found in (of_g, of_w)
            ]
            return windows[0], windows[1], loss

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, axes = panels(2)
        for axis, panel in zip(axes, ("gradient", "weights"), strict=True):
            for name, curve in data.panel(panel).items():
                color, dash = LOOKS[name]
                axis.plot(curve.x, curve.y, color=color, linestyle=dash, label=name)
                axis.fill_between(
                    curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0
                )
            axis.set_xlim(0, 1)
            axis.set_ylim(0)
        label(axes[0], "t / T", "gradient norm $\\|g\\|$")
        label(axes[1], "t / T", "weight norm $\\|w\\|$")
        axes[0].legend(loc="lower right")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values

        def of(name: str, what: str) -> Array:
            key = f"{name}, {what}, "
            return np.array([value for k, value in v.items() if k.startswith(key)])

        plain, corrected, constant = LOOKS
        rise, level = of(plain, "gradient"), of(corrected, "gradient")
        gain = of(plain, "loss") - of(corrected, "loss")
        ours = "this project, on a network of its own"
        return [
            Claim(
                "O01-rise",
                "AdamW with linear decay: the gradient's norm at 94-98% of the run over that at "
                "36-40%, smallest of all seeds",
                rise.min(),
                ">=",
                1.2,
                source="defazio2025",
            ),
            Claim(
                "O01-level",
                "AdamC with linear decay: the same ratio's largest distance from 1",
                np.abs(level - 1).max(),
                "<=",
                0.2,
                source="defazio2025",
            ),
            Claim(
                "O01-paired",
                "Seed by seed, AdamW's rise over AdamC's: smallest",
                (rise / level).min(),
                ">=",
                1.25,
                source="defazio2025",
            ),
            Claim(
                "O01-constant",
                "At a constant learning rate AdamW's gradients do not rise: largest distance "
                "of the ratio from 1",
                np.abs(of(constant, "gradient") - 1).max(),
                "<=",
                0.3,
                source=ours,
            ),
            Claim(
                "O01-weights",
                "The weights of AdamW shrink with the learning rate: largest ratio of norms",
                of(plain, "weights").max(),
                "<=",
                0.85,
                source="defazio2025",
            ),
            Claim(
                "O01-weights-level",
                "Those of AdamC do not: largest distance of the ratio from 1",
                np.abs(of(corrected, "weights") - 1).max(),
                "<=",
                0.15,
                source="defazio2025",
            ),
            Claim(
                "O01-loss",
                "AdamC ends with the lower held-out loss: AdamW's minus AdamC's, mean over seeds",
                gain.mean(),
                ">=",
                0,
                source="defazio2025",
            ),
        ]


def _between(found: Array, part: tuple[float, float]) -> Array:
    low, high = (round(p * found.shape[1]) for p in part)
    return found[:, low:high].mean(1)
