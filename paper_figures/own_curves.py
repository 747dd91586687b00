"""Square-root laws on the loss curves of this project's own transformers."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from paper_figures.recorded_runs import TOKENS, Recorded
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

STEPS = 1200
WARMUP = 60  # steps that no law is asked to fit: three times the warm-up of the rate
SCALE = "0.3M parameters, 1,200 steps, three seeds"


@FIGURES.register("G11", ref="defazio2026", seconds=3)
class OwnCurves(Figure):
    """a / sqrt(t + b) + c fitted to validation losses of our own runs, and asked for their end.

    A transformer of 0.3M parameters on bytes: schedule-free at x, AdamW at a constant rate,
    and a cosine. Left: seed 0, every fourth point, and
    the law fitted to the first half of the run (after warm-up), continued to its end. Right:
    predicted minus measured loss over the last tenth, from the first half, all seeds, with the 95%
    interval; hollow where `fits` declines to forecast, since the rate seems to have changed.
    """

    KINDS: ClassVar = {
        "schedule-free": ("schedule-free", "x"),
        "constant": ("constant", "last"),
        "cosine": ("cosine", "last"),
    }

    def data(self, quick: bool = False) -> Data:
        from sftheory.fits import Curve as LossCurve
        from sftheory.fits import fit

        runs = Recorded("g11_laws")
        curves, values = [], dict[str, float]()
        for kind, (block, point) in self.KINDS.items():
            errors, shares, held, refused = [], [], 0, 0
            for seed in range(3):
                rows = runs.where(point, block=block, run__seed=seed).sort("step")
                rows = rows.filter(rows["step"] >= WARMUP)
                t, loss = rows["step"].to_numpy(), rows["loss"].to_numpy()
                whole = fit(LossCurve(t, loss), "sqrt")
                residual = loss - whole.solution.value(t)
                shares.append(1 - residual.var() / loss.var())
                half = fit(LossCurve(t, loss).cut(stop=STEPS / 2), "sqrt")
                end = t > 0.9 * STEPS
                told = half.solution.value(t)
                error, width = float((told - loss)[end].mean()), np.nan
                if half.parameters is None:
                    refused += 1
                else:
                    _, low, high = (np.asarray(v) for v in half.at(t))
                    width = float(((high - low) / 2)[end].mean())
                    held += abs(error) <= width
                errors.append(error)
                curves.append(
                    Curve(
                        "error", f"{kind}, {seed}", [error], [0], [error - width], [error + width]
                    )
                )
                if seed == 0:
                    curves.append(Curve("loss", kind, t * TOKENS, loss))
                    curves.append(Curve("law", kind, t * TOKENS, told))
            values |= {
                f"{kind}, error": float(np.mean(np.abs(errors))),
                f"{kind}, held": held,
                f"{kind}, refused": refused,
                f"{kind}, R2": float(min(shares)),
            }
        return Data(curves, values)

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.0), width_ratios=(1.3, 1))
        looks = dict(zip(self.KINDS, (("C1", "o"), ("C3", "^"), ("C4", "s")), strict=True))
        for kind, (colour, mark) in looks.items():
            seen, law = data.panel("loss")[kind], data.panel("law")[kind]
            x = np.asarray(seen.x) / 1000
            left.plot(x[::4], np.asarray(seen.y)[::4], mark, ms=3, color=colour, label=kind)
            left.plot(x, law.y, color=colour, lw=1)
        left.axvline(STEPS / 2 * TOKENS / 1000, color="0.5", lw=0.8, ls=":")
        left.set_ylim(1.4, 2.6)
        left.set(xlabel="1000 tokens", ylabel="validation loss, nats per byte")
        left.legend()
        kinds = list(self.KINDS)
        for name, curve in data.panel("error").items():
            kind, seed = name.rsplit(", ", 1)
            x, at = np.asarray(curve.x), -kinds.index(kind) - 0.2 * (int(seed) - 1)
            bars = np.abs(np.array([curve.low, curve.high]) - x)
            colour, mark = looks[kind]
            if np.isfinite(bars).all():
                right.errorbar(x, [at], xerr=bars, fmt=mark, ms=4, color=colour, capsize=2)
            else:
                right.plot(x, [at], mark, ms=4, color=colour, mfc="none")
        right.axvline(0, color="0.5", lw=0.8)
        right.set_yticks([-k for k in range(len(kinds))], kinds)
        right.set_xlabel("predicted minus measured end loss, nats")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        return [
            Claim(
                "G11-fits",
                f"Least share of the variance that the law explains, schedule-free ({SCALE})",
                v["schedule-free, R2"],
                ">=",
                0.99,
                source="defazio2026: a/sqrt(t+b)+c fits schedule-free curves",
            ),
            Claim(
                "G11-forecast",
                "Mean error of the end loss forecast from half of a schedule-free run, nats",
                v["schedule-free, error"],
                "<=",
                0.02,
                source="this project",
                known_failure="0.027: all runs without a decay end above the law of their first "
                "half; they slow down more than 1/sqrt(t) does.",
            ),
            Claim(
                "G11-cosine",
                "Mean error of such forecasts of cosine runs, over that of schedule-free runs",
                v["cosine, error"] / v["schedule-free, error"],
                ">=",
                2,
                source="defazio2026: curves of schedules look nothing like 1/sqrt(t)",
                known_failure="1.0: cosine ends as far below its law as schedule-free ends above "
                "its own; what the decay gives is small against the fall of so short a run.",
            ),
            Claim(
                "G11-intervals",
                "Intervals that hold the end, of six: schedule-free and the constant rate",
                v["schedule-free, held"] + v["constant, held"],
                ">=",
                5,
                source="this project",
                known_failure="4: one forecast is declined, one at a constant rate is off by 0.034 "
                "where its half-width is 0.013.",
            ),
        ]
