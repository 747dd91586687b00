"""Defazio 2025: why gradients grow near the end of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory import methods, problems, schedules
from sftheory.core.claim import Claim
from sftheory.core.tableau import Tableau, iterate
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
STEPS, PEAK, DECAY = 20_000, 0.1, 0.05
RUNS = ("plain", "AdamC", "constant")
LOOKS = {"plain": ("C1", "-"), "AdamC": ("C2", "-"), "constant": ("C3", "-.")}


def norms(seed: int) -> tuple[Array, Array]:
    """|g| and |x| before each step of the three runs, (3, T) each.

    A layer of 100 weights with noise alone, x <- x - γ_t (g + λ_t x). Plain and AdamC decay γ
    linearly; AdamC has λ_t = λ γ_t / γ_max.
    """
    layer = problems.ScaleInvariantSphere(signal=0.0, seed=seed)
    noise = iter(layer.draw(np.random.default_rng(seed), STEPS))
    linear, flat = PEAK * schedules.Linear()(STEPS), np.full(STEPS, PEAK)
    tableau = Tableau.stack([methods.LastIterate().tableau(g) for g in (linear, linear, flat)])
    corrected = np.array([[0.0], [1.0], [0.0]])

    def base_step(gamma: Any, x: Any, y: Any, z: Any, g: Any) -> Any:
        return gamma * (g + DECAY * (1 - corrected + corrected * gamma / PEAK) * z)

    x = np.tile(layer.x1, (3, 1))
    of_g, of_x = np.empty((STEPS, 3)), np.empty((STEPS, 3))
    walk = iterate(tableau, x, lambda y: layer.subgradient(y, next(noise)), base_step)
    for t, (x_next, _, _, g) in enumerate(walk):
        of_g[t], of_x[t] = np.linalg.norm(g, axis=1), np.linalg.norm(x, axis=1)
        x = x_next
    return of_g.T, of_x.T


def windows(values: Array, length: int = 200) -> Array:
    """Means over successive windows, (..., T) -> (..., T / length)."""
    return values.reshape(*values.shape[:-1], -1, length).mean(axis=-1)


@FIGURES.register("F19", ref="defazio2025", seed=0)
class GradientsRiseAtTheEnd(Figure):
    """Weight decay makes gradients of normalised layers grow as the step falls; AdamC mends it.

    A scale-invariant layer of 100 weights driven by noise alone, weight decay λ = 0.05, peak step
    γ = 0.1, T = 20000, means over 200 steps. With γ falling linearly
    |g|/|x| follows sqrt(2 λ/γ_t) until, near the end, the weights can no longer shrink in time.
    AdamC multiplies λ by γ_t/γ_max and keeps the ratio at 1. Constant settings have the exact
    stationary value sqrt(2 λ/γ - λ²). The toy is ours.
    """

    AT = (0.25, 0.5, 0.75, 0.95, 0.99)  # of the run; the growth is read at the last

    def data(self, quick: bool = False) -> Data:
        of_g, of_x = norms(seed=0)
        ratio, size = windows(of_g / of_x), windows(of_g)
        t = (np.arange(ratio.shape[1]) + 0.5) / ratio.shape[1]
        quasi_static = np.sqrt(2 * DECAY / PEAK / (1 - t))
        curves = [Curve("ratio", name, t, ratio[i]) for i, name in enumerate(RUNS)]
        curves += [Curve("norm", name, t, size[i]) for i, name in enumerate(RUNS)]
        curves.append(Curve("ratio", "quasi-static", t, quasi_static))
        values = {
            "quasi-static": np.abs(ratio[0] / quasi_static - 1)[t < 0.75].max(),
            "AdamC off": np.abs(ratio[1] - 1).max(),
            "stationary": (of_g[2, 2000:] ** 2).mean() / (of_x[2, 2000:] ** 2).mean(),
        }
        for f in self.AT:
            end = round(f * len(t)) - 1  # the window that ends there
            values[f"plain ratio {f:g}"], values[f"plain norm {f:g}"] = ratio[0, end], size[0, end]
        last = round(self.AT[-1] * len(t)) - 1
        values["growth"] = size[0, last] / size[1, last]
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (left, right) = panels(2)
        for axes, panel in ((left, "ratio"), (right, "norm")):
            for name, curve in data.panel(panel).items():
                if name in LOOKS:
                    color, dash = LOOKS[name]
                    axes.plot(curve.x, curve.y, color=color, linestyle=dash, label=name)
                else:
                    label_ = "$\\sqrt{2\\lambda/\\gamma_t}$"
                    axes.plot(curve.x, curve.y, color="C5", linestyle=":", label=label_)
        left.set_ylim(0.8, 5)
        right.set_ylim(0.8, 2.2)
        label(left, "t / T", "$\\|g\\| / \\|x\\|$")
        label(right, "t / T", "$\\|g\\|$")
        left.legend()
        right.legend()
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        source = "defazio2025"
        plain = {0.25: 1.146, 0.5: 1.399, 0.75: 1.943, 0.95: 3.392, 0.99: 3.909}
        return [
            Claim(
                "F19-quasi-static",
                "Under linear decay the ratio |g|/|x| follows sqrt(2 λ/γ_t) for the first 75%: "
                "largest relative distance",
                v["quasi-static"],
                "<=",
                0.05,
                source=source,
            ),
            Claim(
                "F19-adamc",
                "With AdamC the ratio stays at 1: largest distance throughout",
                v["AdamC off"],
                "<=",
                0.03,
                source=source,
            ),
            Claim(
                "F19-growth",
                "At 99% of the run the plain gradient norm is almost twice that of AdamC: ratio",
                v["growth"],
                ">=",
                1.8,
                source=source,
            ),
            *(
                Claim(
                    f"F19-plain-{f:g}",
                    f"Plain ratio |g|/|x| at {f:.0%} of the run",
                    v[f"plain ratio {f:g}"],
                    "==",
                    expected,
                    atol=4 * error,
                    source="this project, four standard deviations of one seed",
                )
                for (f, expected), error in zip(
                    plain.items(), (0.004, 0.004, 0.004, 0.015, 0.022), strict=True
                )
            ),
            Claim(
                "F19-lag",
                "At 99% the plain ratio lags its quasi-static value 10: the weights cannot shrink "
                "in time",
                v["plain ratio 0.99"],
                "<=",
                5,
                source="this project",
            ),
            Claim(
                "F19-stationary",
                "Constant settings: mean |g|² over mean |x|² is 2 λ/γ - λ²",
                v["stationary"],
                "==",
                2 * DECAY / PEAK - DECAY**2,
                rtol=0.01,
                source="this project",
            ),
        ]
