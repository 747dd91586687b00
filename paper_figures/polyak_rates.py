"""Learning rates that follow from the loss, on a network: after Pun et al. and Defazio."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from paper_figures.digits_network import Digits, one_thread
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
SGD, PLUS = "Polyak schedule-free SGD", "ScheduleFree+"
GRIDS = {
    SGD: (0.125, 0.25, 0.5, 1.0, 2.0, 4.0),
    PLUS: (0.001, 0.003, 0.01, 0.03, 0.1),
}
TUNED = {SGD: "schedule-free SGD, fixed rate", PLUS: "schedule-free AdamW, fixed rate"}
COLORS = {SGD: "C1", PLUS: "C2"}
WINDOW = 25  # steps of the running mean that is drawn


@FIGURES.register("O04", ref="pun2025", seed="0..3", seconds=15)
class PolyakRatesOfANetwork(Figure):
    """Polyak's step finds a falling learning rate by itself, a cautious one.

    300 steps of batches of 64 on scikit-learn's digits, a 64-32-32-10 tanh network, cross entropy,
    f* = 0, β = 0.9 at which ScheduleFree+ stays; mean and range of 4 seeds that share starts and
    batches. Left and middle: the rate that the loss, the gradient and z - y give, running mean over
    25 steps; gray is the best fixed rate of a grid for the same method without Polyak's step.
    Right: loss on all training images at x for the fixed rates, and, level, without any.
    """

    STEPS, SEEDS = 300, 4

    def data(self, quick: bool = False) -> Data:
        seeds = 3 if quick else self.SEEDS
        curves: list[Curve] = []
        values: dict[str, float] = {}
        with one_thread():
            for name, grid in GRIDS.items():
                runs = [self._polyak(name, seed) for seed in range(seeds)]
                rate, clipped, loss, held_out = (np.array(part) for part in zip(*runs, strict=True))
                fixed, fixed_held_out = self._fixed(name, grid, seeds)
                best = int(np.nanargmin(fixed.mean(1)))
                smooth = np.lib.stride_tricks.sliding_window_view(rate, WINDOW, axis=1).mean(2)
                t = np.arange(smooth.shape[1]) + (WINDOW + 1) / 2
                curves += [
                    Curve(name, name, t, smooth.mean(0), smooth.min(0), smooth.max(0)),
                    Curve(name, "best fixed rate", [1, self.STEPS], [grid[best]] * 2),
                    Curve("loss", TUNED[name], grid, fixed.mean(1), fixed.min(1), fixed.max(1)),
                    Curve("loss", name, grid, *([found] * len(grid) for found in _range(loss))),
                ]
                last = np.median(rate[:, -self.STEPS // 4 :], axis=1)
                values |= {
                    f"{name} fall": (last / np.median(rate[:, :20], axis=1)).max(),
                    f"{name} clipped": clipped.max() / self.STEPS,
                    f"{name} best": grid[best],
                    f"{name} over best": (loss / fixed[best]).max(),
                    f"{name} over best, held out": (held_out / fixed_held_out[best]).max(),
                    f"{name} over least rate": (loss / fixed[0]).max(),
                    f"{name} largest rate": fixed[-1].min() / loss.max(),
                }
        return Data(curves, values)

    def _polyak(self, name: str, seed: int) -> tuple[Array, float, float, float]:
        """Rates, how many steps were clipped to 0, and the losses at x."""
        import torch

        from sftheory.optim import PolyakScheduleFreeSGD, ScheduleFreePlus

        digits = Digits([seed])
        layers = digits.start()
        make = PolyakScheduleFreeSGD if name == SGD else ScheduleFreePlus
        optimizer = make(layers)
        rates = []
        for _ in range(self.STEPS):
            optimizer.zero_grad()
            loss = digits.losses(layers, digits.batch()).sum()
            loss.backward()
            optimizer.step(loss=loss)
            rates.append(optimizer.param_groups[0]["scheduled_lr"])
        losses = _losses_at_x(digits, layers, optimizer)
        return torch.stack(rates).numpy(), float(optimizer.clipped), losses[0][0], losses[1][0]

    def _fixed(self, name: str, grid: tuple[float, ...], seeds: int) -> tuple[Array, Array]:
        """Losses at x on the training images and on held-out ones, (rates, seeds) each."""
        from sftheory.optim import ScheduleFreeAdamW, ScheduleFreeSGD

        found = []
        for lr in grid:
            digits = Digits(range(seeds))
            layers = digits.start()
            if name == SGD:
                optimizer: Any = ScheduleFreeSGD(layers, lr=lr)
            else:
                optimizer = ScheduleFreeAdamW(layers, lr=lr, betas=(0.9, 0.95), inner_momentum=0.9)
            for _ in range(self.STEPS):
                optimizer.zero_grad()
                digits.losses(layers, digits.batch()).sum().backward()
                optimizer.step()
            found.append(_losses_at_x(digits, layers, optimizer))
        training, held_out = zip(*found, strict=True)
        return np.array(training), np.array(held_out)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, axes = panels(3, height=2.9, width=7.4)
        for axis, name in zip(axes, GRIDS, strict=False):
            curve, best = data.panel(name).values()
            axis.plot(curve.x, curve.y, color=COLORS[name])
            axis.fill_between(
                curve.x, curve.low, curve.high, color=COLORS[name], alpha=0.18, linewidth=0
            )
            axis.plot(best.x, best.y, color="C5", linestyle="--", label="best fixed rate")
            axis.set_yscale("log")
            label(axis, "step t", "rate" if name == SGD else "", name)
            axis.legend(loc="lower left")
        axes[0].set_yticks((0.2, 0.5, 1, 2), ("0.2", "0.5", "1", "2"))
        axes[0].set_yticks([], minor=True)
        for series, curve in data.panel("loss").items():
            fixed = "fixed" in series
            color = COLORS[next(n for n in GRIDS if series in (n, TUNED[n]))]
            mark: Any = {"marker": "o", "markersize": 3} if fixed else {"linestyle": "--"}
            axes[2].plot(curve.x, curve.y, color=color, label=_short(series), **mark)
            if not fixed:
                axes[2].fill_between(
                    curve.x, curve.low, curve.high, color=color, alpha=0.18, linewidth=0
                )
        axes[2].set_xscale("log")
        axes[2].set_yscale("log")
        label(axes[2], "fixed rate", "training loss at x", "after 300 steps")
        figure.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        found = []
        for name, key, source in ((SGD, "sgd", "pun2025"), (PLUS, "plus", "defazio2026")):
            ours = f"this project, the method of {source}"
            found += [
                Claim(
                    f"O04-{key}-falls",
                    f"{name}: the rate falls by itself: median of the last quarter over that of "
                    "the first 20 steps, largest of all seeds",
                    v[f"{name} fall"],
                    "<=",
                    0.5,
                    source=ours,
                ),
                Claim(
                    f"O04-{key}-held-out",
                    f"{name}: without a rate to tune, the held-out loss over that of the best "
                    "fixed rate, largest of all seeds",
                    v[f"{name} over best, held out"],
                    "<=",
                    3,
                    source=ours,
                ),
                Claim(
                    f"O04-{key}-tuned",
                    f"{name}: the training loss is no worse than that of the best fixed rate: "
                    "largest ratio",
                    v[f"{name} over best"],
                    "<=",
                    1,
                    source=source,
                    known_failure="The certificate allows no more than a convex loss could bear, "
                    "and a batch with a small loss and a large gradient stops the step; on this "
                    "network, which fits every image, a fixed rate several times larger is better.",
                ),
                Claim(
                    f"O04-{key}-clipped",
                    f"{name}: share of steps whose numerator was negative, so that nothing moved: "
                    "largest of all seeds",
                    v[f"{name} clipped"],
                    "<=",
                    0.4,
                    source=ours,
                ),
            ]
        return [
            *found,
            Claim(
                "O04-too-small",
                "Polyak schedule-free SGD over a fixed rate of 1/8, training loss: largest ratio",
                v[f"{SGD} over least rate"],
                "<=",
                0.6,
                source="this project",
            ),
            Claim(
                "O04-too-large",
                "A fixed rate of 4, twice the best, over Polyak schedule-free SGD: smallest ratio",
                v[f"{SGD} largest rate"],
                ">=",
                1.5,
                source="this project",
            ),
        ]


def _losses_at_x(digits: Digits, layers: Any, optimizer: Any) -> list[Array]:
    """On the training images and on those held out, (seeds,) each."""
    import torch

    with optimizer.averaged(), torch.no_grad():
        return [digits.losses(layers, digits.part(held)).numpy() for held in (False, True)]


def _range(values: Array) -> tuple[float, float, float]:
    return float(values.mean()), float(values.min()), float(values.max())


def _short(series: str) -> str:
    return series.replace("schedule-free", "SF").replace("ScheduleFree", "SF")
