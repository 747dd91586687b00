"""Two claims on large batches: inner momentum, and the learning rate that goes with the batch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from paper_figures import zhang2019
from sftheory import methods, moments, problems
from sftheory.core.claim import Claim
from sftheory.exact_moments import critical_step
from sftheory.figures import FIGURES, Curve, Data, Figure

Array = NDArray[np.float64]
HERE = "this project"
INNER = "defazio2026, inner momentum"


@FIGURES.register("T01", ref="defazio2026", seconds=6)
class InnerMomentum(Figure):
    """Inner momentum helps schedule-free at large batches, by larger steps.

    60 eigenvalues from 10^-3 to 1, x_1 = 1, gradient noise of variance λ/B, 400 steps, warm-up of
    50, averaging weights γ²; exact expectations at the end. The momentum μ is
    m <- μ m + (1 - μ) g inside schedule-free; γ in 2^-4, ..., 2^8, β and μ tuned for every B.
    Heavy ball has its own μ, the same warm-up and linear decay. Middle: loss without momentum over
    loss with it; the crosses are 2000 sampled runs, for β >= 0.5. Right: the best γ; momentum
    multiplies the largest stable one by (1 + μ)/(1 - μ). Without noise heavy ball with linear decay
    wins by far.
    """

    N, WARMUP = 400, 50
    BATCHES = np.exp2(np.arange(0.0, 15.0))
    STEPS = np.exp2(np.arange(-4.0, 9.0))
    BETAS = (0.0, 0.25, 0.5, 0.8, 0.9, 0.95, 0.98)
    MOMENTA = (0.0, 0.5, 0.9, 0.95)
    SAMPLED: ClassVar = {1: 1.007, 16: 1.25, 256: 1.88, 4096: 3.04}

    def data(self, quick: bool = False) -> Data:
        k = np.arange(1, self.N + 1)
        shape = np.minimum(1, k / self.WARMUP)
        decay = shape * (1 - (k - 1) / self.N)
        ends = np.array(
            [
                [
                    _end(methods.ScheduleFree(b, start_counts=False), self.STEPS, shape, mu)
                    for b in self.BETAS
                ]
                for mu in self.MOMENTA
            ]
        )  # (μ, β, bias or variance, γ)
        momenta = (0.0, 0.5, 0.9, 0.95, 0.98)
        heavy = np.array([_end(methods.HeavyBall(mu), self.STEPS, decay, 0.0) for mu in momenta])

        def losses(found: Array, B: float) -> Array:
            return found[..., 0, :] + (found[..., 1, :] / B if np.isfinite(B) else 0)

        found: dict[str, list[float]] = {name: [] for name in SERIES}
        rates: dict[str, list[float]] = {name: [] for name in list(SERIES)[:2]}
        for B in self.BATCHES:
            for name, part in (("no momentum", ends[:1]), ("inner momentum", ends[1:])):
                loss = losses(part, B)
                found[name].append(loss.min())
                rates[name].append(self.STEPS[np.unravel_index(loss.argmin(), loss.shape)[-1]])
            found["heavy ball, linear decay"].append(losses(heavy, B).min())
        curves = [Curve("loss", name, self.BATCHES, y) for name, y in found.items()]
        curves += [Curve("rate", name, self.BATCHES, y) for name, y in rates.items()]
        gain = np.array(found["no momentum"]) / found["inner momentum"]
        curves.append(Curve("gain", "β tuned down to 0", self.BATCHES, gain))
        narrow = ends[:, self.BETAS.index(0.5) :]
        few = [losses(narrow[:1], B).min() / losses(narrow[1:], B).min() for B in self.BATCHES]
        curves.append(Curve("gain", "β >= 0.5", self.BATCHES, few))
        curves.append(
            Curve("gain", "sampled", list(self.SAMPLED), list(map(float, self.SAMPLED.values())))
        )
        without, within = (losses(part, np.inf).min() for part in (ends[:1], ends[1:]))
        values = {
            "noise-free gain": without / within,
            "noise-free heavy ball": losses(heavy, np.inf).min() / within,
        }
        limits = [critical_step(0.8, 0.0, momentum=mu) * (1 - mu) / (1 + mu) for mu in self.MOMENTA]
        values["limit"] = float(np.ptp(limits))
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        from sftheory.figures.style import label, panels

        figure, (left, middle, right) = panels(3, width=9, height=2.9)
        for axis, panel in ((left, "loss"), (right, "rate")):
            for name, curve in data.panel(panel).items():
                color, dash = SERIES[name]
                axis.plot(curve.x, curve.y, dash, color=color, label=name)
            axis.set_yscale("log")
        right.set_yscale("log", base=2)
        gain = data.panel("gain")
        middle.plot(
            gain["β tuned down to 0"].x, gain["β tuned down to 0"].y, color="C1", label="β ≥ 0"
        )
        middle.plot(gain["β >= 0.5"].x, gain["β >= 0.5"].y, "--", color="C4", label="β ≥ 0.5")
        middle.plot(gain["sampled"].x, gain["sampled"].y, "x", color="C5", label="β ≥ 0.5, sampled")
        middle.axhline(1, color="C5", linewidth=0.8, linestyle=":")
        for axis in (left, middle, right):
            axis.set_xscale("log", base=2)
            axis.set_xticks([1, 16, 256, 4096], ["1", "16", "256", "4096"])
        middle.set_ylim(0, None)
        label(left, "batch size B", "$E f(x_{N+1})$")
        label(middle, "batch size B", "loss without / with momentum")
        label(right, "batch size B", "best step γ")
        left.legend()
        middle.legend(loc="upper left")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        gain = {name: np.asarray(c.y) for name, c in data.panel("gain").items()}
        loss = {name: np.asarray(c.y) for name, c in data.panel("loss").items()}
        rate = {name: np.asarray(c.y) for name, c in data.panel("rate").items()}
        at = {int(B): i for i, B in enumerate(self.BATCHES)}
        wide = gain["β tuned down to 0"]
        return [
            Claim(
                "T01-small-batch",
                "At B = 1 momentum gives nothing: loss without over loss with it",
                wide[0],
                "==",
                1,
                atol=0.01,
                source=INNER,
            ),
            Claim(
                "T01-grows",
                "The gain grows with the batch: smallest ratio from B = 1 to 16, 16 to 256 and 256 "
                "to 4096",
                min(wide[at[16 * B]] / wide[at[B]] for B in (1, 16, 256)),
                ">=",
                1.2,
                source=INNER,
            ),
            *(
                Claim(
                    f"T01-gain-{B}",
                    f"B = {B}: the exact gain is that of 2000 sampled runs, β >= 0.5",
                    gain["β >= 0.5"][at[B]],
                    "==",
                    sampled,
                    rtol=0.03,  # twice the standard error of a sampled ratio, and rounding
                    source=HERE,
                )
                for B, sampled in self.SAMPLED.items()
            ),
            Claim(
                "T01-larger-steps",
                "From B = 16 on momentum takes larger steps: smallest ratio of the best γ",
                (rate["inner momentum"] / rate["no momentum"])[at[16] :].min(),
                ">=",
                2,
                source=INNER,
            ),
            Claim(
                "T01-limit",
                "The largest stable step grows by (1 + μ)/(1 - μ), c -> 0: spread of the limits "
                "divided by that",
                data.values["limit"],
                "<=",
                1e-9,
                source=HERE,
            ),
            Claim(
                "T01-heavy-ball",
                "With noise, schedule-free without momentum beats heavy ball with linear decay at "
                "every B: smallest ratio",
                (loss["heavy ball, linear decay"] / loss["no momentum"]).min(),
                ">=",
                1,
                source=HERE,
            ),
            Claim(
                "T01-noise-free-heavy-ball",
                "Without noise heavy ball with linear decay beats schedule-free with momentum: "
                "ratio of their losses",
                data.values["noise-free heavy ball"],
                "<=",
                1e-3,
                source=HERE,
            ),
            Claim(
                "T01-noise-free",
                "Without noise momentum gains a factor of 2400",
                data.values["noise-free gain"],
                "==",
                2400,
                rtol=0.05,
                source=HERE,
                known_failure=MISSED,
            ),
        ]


SERIES = {
    "no momentum": ("C3", "-."),
    "inner momentum": ("C1", "-"),
    "heavy ball, linear decay": ("C0", "--"),
}
MISSED = (
    "An earlier search of this project took γ = 32, β = 0.95 as the best setting without momentum "
    "(2.0e-6); on its own grid γ = 64, β = 0.98, below the threshold of 100, ends at 5.8e-7, and "
    "the gain is 700."
)


def _end(method: Any, steps: Array, shape: Array, momentum: float) -> Array:
    """The final loss at B = 1 for every step, in the parts bias and variance, (2, steps).

    The noise is additive, so that batch B has the same bias and 1/B of the variance.
    """
    lam = np.logspace(-3, 0, 60)
    problem = problems.NoisyQuadratic(lam, noise=np.sqrt(lam), x1=1.0)
    found = moments(problem, method.tableau(np.outer(steps, shape)), momentum=momentum, keep=[0])
    loss, bias = found.loss_x[:, -1], found.bias_x[:, -1]
    finite = np.isfinite(loss) & np.isfinite(bias)
    variance = np.subtract(loss, bias, out=np.full(len(steps), np.inf), where=finite)
    return np.array([np.where(finite, bias, np.inf), variance])


@FIGURES.register("T02", ref="defazio2026", seed=0, seconds=6)
class RateWithBatch(Figure):
    """Whether the learning rate should grow with the batch depends on the budget.

    Adam (0.9, 0.99) with linear decay on the noisy quadratic model of F18, 200 modes, four
    replicas. Left and middle: final loss against the peak rate, batches 1 to 1024 and 4096, at
    2^15 samples and at 1000 steps. Right: what a rule loses against the best rate:
    rates that grow like sqrt(B) from B = 4 at fixed samples and from B = 1 at fixed steps, and one
    rate for all. The square root is right at fixed samples and wrong at fixed steps.
    """

    ANCHOR: ClassVar = {"fixed samples": 1, "fixed steps": 0}  # index of B
    RULES: ClassVar = {"one rate": 0, "√B": 2, "B": 4}  # steps of the grid for each factor 4 in B

    def data(self, quick: bool = False) -> Data:
        rates = zhang2019.RATES["Adam"]
        curves, values = [], {}
        for budget, anchor in self.ANCHOR.items():
            batches = np.array(zhang2019.BATCHES[budget], dtype=float)
            losses = zhang2019.rate_by_batch("Adam", budget)
            for B, loss in zip(batches, losses, strict=True):
                curves.append(Curve(budget, f"B = {B:g}", rates, loss))
            best = losses.argmin(axis=1)
            for rule, slope in self.RULES.items():
                at = best[anchor] + slope * (np.arange(len(batches)) - anchor)
                inside = (at >= 0) & (at < len(rates))
                rows = np.flatnonzero(inside)
                cost = losses[rows, at[rows]] / losses[rows].min(axis=1)
                curves.append(Curve("cost", f"{rule}, {budget}", batches[inside], cost))
                for B, c in zip(batches[inside], cost, strict=True):
                    values[f"{rule}, {budget}, {B:g}"] = c
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        from sftheory.figures.style import label, panels

        figure, (left, middle, right) = panels(3, width=9, height=2.9)
        shades = plt.get_cmap("viridis")(np.linspace(0.85, 0.3, 7))  # legible on both pages
        for axis, budget in ((left, "fixed samples"), (middle, "fixed steps")):
            for shade, (name, curve) in zip(shades, data.panel(budget).items(), strict=False):
                y = np.asarray(curve.y)
                axis.plot(curve.x, y, color=shade, linewidth=1.2, label=name)
                axis.plot(np.asarray(curve.x)[y.argmin()], y.min(), "o", color=shade, markersize=4)
            axis.set_xscale("log")
            axis.set_yscale("log")
            label(axis, "peak rate", "final loss", budget)
        middle.set_ylabel("")
        middle.legend(loc="upper left", bbox_to_anchor=(1, 1.04), handlelength=1.2)
        colors = {"one rate": "C3", "√B": "C1", "B": "C0"}
        for name, curve in data.panel("cost").items():
            rule, budget = name.split(", ")
            dash = "-" if budget == "fixed samples" else "--"
            shown = {"label": f"γ ∝ {rule}" if rule != "one rate" else "one γ"}
            right.plot(
                curve.x,
                curve.y,
                dash,
                color=colors[rule],
                marker="o",
                markersize=3,
                **(shown if dash == "-" else {}),
            )
        right.plot([], [], "--", color="C5", label="at fixed steps")
        right.set_xscale("log", base=4)
        right.set_yscale("log")
        right.set_xticks([1, 16, 256, 4096], ["1", "16", "256", "4096"])
        right.set_xticks([], minor=True)
        right.set_ylim(0.9, 500)
        label(right, "batch size B", "loss / loss at the best rate", "price of a rule")
        right.legend(loc="upper left")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        source = "defazio2026 or the talk on it, γ ∝ √B [wording unverified]"
        upto = (1, 4, 16, 64, 256)
        return [
            Claim(
                "T02-root",
                "At fixed samples the rate of B = 4 times sqrt(B/4) is the best for B = 1 to 256 "
                "(128 steps): largest price",
                max(v[f"√B, fixed samples, {B}"] for B in upto),
                "<=",
                1.05,
                source=source,
            ),
            Claim(
                "T02-one-rate",
                "At fixed samples one rate for all loses at B = 64 this factor",
                v["one rate, fixed samples, 64"],
                ">=",
                10,
                source=HERE,
            ),
            Claim(
                "T02-linear",
                "At fixed samples a rate that grows like B loses at B = 256 this factor",
                v["B, fixed samples, 256"],
                ">=",
                2,
                source=HERE,
            ),
            Claim(
                "T02-root-steps",
                "At fixed steps the rate should grow like sqrt(B) too: price at B = 256",
                v["√B, fixed steps, 256"],
                "<=",
                1.05,
                source=source,
                known_failure="At fixed steps a larger batch only lowers the noise, Adam's best "
                "rate falls with B, and the square root loses a factor of 10.",
            ),
        ]
