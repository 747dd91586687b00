"""How often the intervals of `fit` hold the truth, and how wide they are.

Synthetic: sqrt curves with AR(1) noise of rho 0, 0.5, 0.9; the truth is c and the loss at twice the
run. With SFTHEORY_DATA set also real curves: a fit to the first 20% to 80% of a run predicts the
mean of its last tenth. The pairs of one run are not independent. The noise of that mean is added to
the interval in quadrature, since the interval of `fit` is that of the law. Beside our interval
stands that of the textbook: 1.96 standard errors of independent noise.

`python benchmarks/fit_coverage.py [DRAWS] [OUT.md]` writes the table that the docs quote.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from visible_curves import visible_curves

from sftheory.core.errors import InputError
from sftheory.fits import Curve, fit

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
    """Coverage of c and of the loss at 2 T, ours and naive, on curves where the law holds."""
    rng = np.random.default_rng([seed, round(100 * rho)])
    t = np.linspace(FIRST, LAST, N)
    end = np.array([2 * LAST])
    truth = A / np.sqrt(end[0] + B) + C
    hits = np.zeros((draws, 4))
    refused = 0
    for i in range(draws):
        found = fit(Curve(t, A / np.sqrt(t + B) + C + SIGMA * ar1(rng, N, rho)), law="sqrt")
        if found.parameters is None:
            refused, hits[i] = refused + 1, np.nan
            continue
        low, high = found.interval("c")
        _, under, over = found.at(2 * LAST)
        s, F = found.solution, found.noise.inflation
        naive = 1.96 * s.errors["c"] / F, 1.96 * s.error_at(end)[0] / F
        hits[i] = (
            low <= C <= high,
            under <= truth <= over,
            abs(s["c"] - C) <= naive[0],
            abs(s.value(end)[0] - truth) <= naive[1],
        )
    c, later, c_naive, later_naive = 100 * np.nanmean(hits, axis=0)
    return {
        "rho": rho,
        "c": c,
        "later": later,
        "c_naive": c_naive,
        "later_naive": later_naive,
        "refused": refused,
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
            rows.append(
                row
                | {"error": value - measured, "half": half, "naive": np.hypot(naive, 1.96 * noise)}
            )
    return rows


def table(draws: int) -> str:
    """The whole table, in Markdown."""
    lines = [
        f"Coverage in percent of 95% intervals, {draws} draws a row.",
        "",
        "| rho | c | loss at 2T | c, naive | loss at 2T, naive | refused |",
        "|---|---|---|---|---|---|",
    ]
    for rho in RHOS:
        r = synthetic(rho, draws)
        lines.append(
            f"| {rho} | {r['c']:.1f} | {r['later']:.1f} | {r['c_naive']:.1f} "
            f"| {r['later_naive']:.1f} | {r['refused']} |"
        )
    if "SFTHEORY_DATA" not in os.environ:
        return "\n".join([*lines, "", "SFTHEORY_DATA is not set: no real curves."])
    rows = extrapolations(real_curves(Path(os.environ["SFTHEORY_DATA"]) / "curves"))
    lines += [
        "",
        "| real curves | pairs | refused | coverage | mean half-width | median | naive coverage |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, label in (("lm", "language models"), ("sf", "schedule-free"), ("", "all")):
        group = [row for row in rows if row["kind"].startswith(kind)]
        asked = [row for row in group if "half" in row]
        error, half, naive = (
            np.array([row[key] for row in asked]) for key in ("error", "half", "naive")
        )
        lines.append(
            f"| {label} | {len(group)} | {len(group) - len(asked)} "
            f"| {100 * np.mean(np.abs(error) <= half):.1f} | {half.mean():.4f} "
            f"| {np.median(half):.4f} | {100 * np.mean(np.abs(error) <= naive):.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it where asked."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    text = table(draws)
    print(text)
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
