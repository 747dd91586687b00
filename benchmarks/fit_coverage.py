"""How often the intervals of `fit` hold the truth, and how wide they are.

Synthetic: sqrt curves with AR(1) noise of rho 0, 0.5, 0.9; the truth is c, the loss at twice the
run, and 0 for the difference of two such runs there. With SFTHEORY_DATA set also real curves: a fit
to the first 20% to 80% of a run predicts the mean of its last tenth. The pairs of one run are not
independent. The noise of that mean is added to the interval in quadrature, since the interval of
`fit` is that of the law. Beside our interval stand that of the textbook, 1.96 standard errors of
independent noise, and the plain sum: noise with autocorrelation, law spread and backtest, all
always added. The thresholds of our rule were chosen on other draws of the noise, and on these real
curves.

`python benchmarks/fit_coverage.py [DRAWS] [OUT.md]` writes the table that the docs quote.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import new_schedules
import numpy as np
from visible_curves import visible_curves

from sftheory.core.errors import InputError
from sftheory.fits import Curve, Fit, compare, fit
from sftheory.fits.intervals import missed

A, B, C, SIGMA, N = 28.2, 60.0, 2.9766, 0.002, 250
FIRST, LAST = 1_000.0, 50_000.0
RHOS = (0.0, 0.5, 0.9)
FEWEST = 12


def ar1(rng: np.random.Generator, n: int, rho: float) -> np.ndarray:
    """Stationary noise of variance 1 with autocorrelation rho^k."""
    noise = rng.standard_normal(n)
    for i in range(1, n):
        noise[i] = rho * noise[i - 1] + np.sqrt(1 - rho**2) * noise[i]
    return noise


def synthetic(rho: float, draws: int, seed: int = 0) -> dict[str, Any]:
    """Coverage in percent and mean half-widths on curves where the law holds, ours and naive."""
    rng = np.random.default_rng([seed, round(100 * rho)])
    t = np.linspace(FIRST, LAST, N)
    end = np.array([2 * LAST])
    truth = A / np.sqrt(end[0] + B) + C
    errors, halves, naive, pairs = [], [], [], []
    fits: list[Fit] = []
    for _ in range(draws):
        found = fit(Curve(t, A / np.sqrt(t + B) + C + SIGMA * ar1(rng, N, rho)), law="sqrt")
        if found.parameters is None:
            continue
        low, high = found.interval("c")
        value, _, over = found.at(2 * LAST)
        s, F = found.solution, found.noise.inflation
        errors.append([abs(s["c"] - C), abs(value - truth)])
        halves.append([(high - low) / 2, over - value])
        naive.append([1.96 * s.errors["c"] / F, 1.96 * s.error_at(end)[0] / F])
        fits.append(found)
        if len(fits) == 2:
            gap = compare(fits).difference(2 * LAST)
            pairs.append(gap.low <= 0 <= gap.high)
            fits = []
    error, half, short = np.array(errors), np.array(halves), np.array(naive)
    return {
        "ours": 100 * np.mean(error <= half, axis=0),
        "naive": 100 * np.mean(error <= short, axis=0),
        "wider": half.mean(axis=0) / short.mean(axis=0),
        "difference": 100 * np.mean(pairs),
        "refused": draws - len(error),
    }


def real_curves(root: Path) -> dict[str, tuple[str, Curve]]:
    """Constant-rate language models ("lm") and schedule-free runs ("sf"), cut to their plateaus."""
    kinds = visible_curves(root)
    return {name: (kind, curve) for name, (kind, curve) in kinds.items() if kind in ("lm", "sf")}


def extrapolations(curves: dict[str, tuple[str, Curve]]) -> list[dict[str, Any]]:
    """One row for each curve and prefix of 20%, ..., 80%: error of the forecast and half-widths."""
    rows = []
    for name, (kind, curve) in curves.items():
        tail = max(1, round(0.1 * len(curve)))
        t, measured = curve.step[-tail:], float(curve.loss[-tail:].mean())
        for share in np.arange(2, 9) / 10:
            stop = curve.step[0] + share * (curve.step[-1] - curve.step[0]) * (1 + 1e-9)
            prefix = curve.cut(stop=stop)
            if len(prefix) < FEWEST:
                continue
            found = fit(prefix, law="sqrt")
            row = {"name": name, "kind": kind, "share": share, "verdict": str(found.verdict)}
            try:
                value, low, high = (float(np.mean(v)) for v in found.at(t))
            except InputError:
                rows.append(row)
                continue
            noise = found.noise.sigma / np.sqrt(tail)
            jitter = found.noise.quantile(0.95) * noise * found.noise.inflation
            law = found.noise.quantile(0.95) * found.solution.mean_error(t)
            half = (high - low) / 2 - law + np.hypot(law, jitter)
            naive = 1.96 * found.solution.mean_error(t) / found.noise.inflation
            plain = np.hypot(
                1.96 * found.solution.mean_error(t), 1.96 * noise * found.noise.inflation
            )
            plain += abs(float(np.mean(found.ordinary.value(t))) - value)
            plain += float(np.mean(missed(found.backtest, t, prefix.step[0], prefix.step[-1])[0]))
            rows.append(
                row
                | {
                    "error": value - measured,
                    "half": half,
                    "naive": np.hypot(naive, 1.96 * noise),
                    "plain": plain,
                }
            )
    return rows


def table(draws: int) -> str:
    """The whole table, in Markdown."""
    lines = [
        "# Coverage of the intervals of `fit`",
        "",
        "Written by `benchmarks/fit_coverage.py`, which says what is measured.",
        "",
        f"Coverage in percent of 95% intervals on {draws} curves a row where the law holds, AR(1) "
        "noise; width: mean half-width divided by the naive one.",
        "",
        "| rho | c | loss at 2T | difference of two runs at 2T | c, naive | loss at 2T, naive "
        "| width of c | width at 2T | refused |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for rho in RHOS:
        r = synthetic(rho, draws)
        cells = [*r["ours"], r["difference"], *r["naive"], *r["wider"]]
        row = " | ".join(f"{cell:.1f}" for cell in cells)
        lines.append(f"| {rho} | {row} | {r['refused']} |")
    if "SFTHEORY_DATA" not in os.environ:
        return "\n".join([*lines, "", "SFTHEORY_DATA is not set: no real curves."])
    rows = extrapolations(real_curves(Path(os.environ["SFTHEORY_DATA"]) / "curves"))
    lines += [
        "",
        "Real curves: a prefix predicts the mean of the last tenth; coverage in percent, "
        "half-widths in nats. Plain: noise with autocorrelation, law spread and backtest, all "
        "always added.",
        "",
        "| real curves | pairs | refused | coverage | mean half-width | median | naive coverage "
        "| naive mean | plain coverage | plain mean | mean / plain |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind, label in (("lm", "language models"), ("sf", "schedule-free"), ("", "all")):
        group = [row for row in rows if row["kind"].startswith(kind)]
        asked = [row for row in group if "half" in row]
        error, half, naive, plain = (
            np.array([row[key] for row in asked]) for key in ("error", "half", "naive", "plain")
        )
        held = [100 * np.mean(np.abs(error) <= width) for width in (half, naive, plain)]
        lines.append(
            f"| {label} | {len(group)} | {len(group) - len(asked)} | {held[0]:.1f} "
            f"| {half.mean():.4f} | {np.median(half):.4f} | {held[1]:.1f} | {naive.mean():.4f} "
            f"| {held[2]:.1f} | {plain.mean():.4f} | {half.mean() / plain.mean():.2f} |"
        )
    return "\n".join(
        [*lines, "", new_schedules.table(Path(os.environ["SFTHEORY_DATA"]) / "curves")]
    )


def main() -> None:
    """Print the table, and write it where asked."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    text = table(draws)
    print(text)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
