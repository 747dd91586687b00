"""`fit_many` against a loop of SciPy's `curve_fit`, and the power law against its bounded solver.

1,000 curves of 250 points, the law a/sqrt(t + b) + c. The loop gets what helps it: t / T, a start
from a linear fit, an analytic Jacobian. Times are processor time of one thread, the least of five.
The power law is fitted to prefixes of such curves; the bounded solver starts at the linear fit of
the best of three exponents. With SFTHEORY_DATA set both are also given every real curve and nine
prefixes of each; there the best of five random starts of the bounded solver is looked for as well.
A log of a million points is timed with its reading.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit
from visible_curves import visible_curves

from sftheory.fits import Curve, fit, fit_many, read
from sftheory.fits.laws import LAWS
from sftheory.fits.solution import solutions

CURVES, POINTS, SAMPLE = 1_000, 250, 200


def seconds(f: Callable[[], Any], times: int = 5) -> tuple[float, Any]:
    """The least processor time of some calls, and the last result."""
    best, result = np.inf, None
    for _ in range(times):
        start = time.process_time()
        result = f()
        best = min(best, time.process_time() - start)
    return best, result


def law(x: np.ndarray, a: float, b: float, c: float, p: float = 0.5) -> np.ndarray:
    """a / (x + b)^p + c."""
    return a * (x + b) ** -p + c


def slopes(x: np.ndarray, a: float, b: float, c: float, p: float | None = None) -> np.ndarray:
    """Its derivatives by a, b, c and, where p is given, p."""
    u, q = x + b, 0.5 if p is None else p
    columns = [u**-q, -q * a * u ** (-q - 1), np.ones_like(u)]
    if p is not None:
        columns.append(-a * u**-p * np.log(u))
    return np.stack(columns, axis=1)


def start(x: np.ndarray, y: np.ndarray, p: float) -> tuple[list[float], float]:
    """(a, 0, c) of the linear fit at b = 0, and its squared residuals."""
    columns = np.stack([x**-p, np.ones_like(x)], axis=1)
    (a, c), rest, *_ = np.linalg.lstsq(columns, y, rcond=None)
    return [float(a), 0.0, float(c)], float(rest[0])


def one_sqrt(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(a, b, c) by Levenberg-Marquardt."""
    found, _ = curve_fit(law, x, y, p0=start(x, y, 0.5)[0], jac=slopes)
    return found


def one_power(x: np.ndarray, y: np.ndarray, at: np.ndarray | None = None) -> np.ndarray:
    """(a, b, c, p) by the bounded trust region, from the best linear fit or from a given point."""
    if at is None:
        guess, p = min(((start(x, y, p), p) for p in (0.3, 0.5, 1.0)), key=lambda g: g[0][1])
        at = np.array([*guess[0], p])
    bounds = ([-np.inf, -x[0] + 1e-9, -np.inf, 0.01], [np.inf, np.inf, np.inf, 10])
    found, _ = curve_fit(law, x, y, p0=at, jac=slopes, bounds=bounds)
    return found


def left(x: np.ndarray, y: np.ndarray, at: np.ndarray | None = None) -> float:
    """Squared residuals that the bounded solver leaves; inf where it gives up."""
    try:
        return float(np.sum((law(x, *one_power(x, y, at)) - y) ** 2))
    except (RuntimeError, ValueError):
        return np.inf


def visible(root: Path) -> None:
    """Every real curve and its prefixes: who finds the best optimum, and how fast."""
    cuts = []
    for _, whole in visible_curves(root).values():
        for share in np.arange(2, 11) / 10:
            length = share * (whole.step[-1] - whole.step[0]) * (1 + 1e-9)
            part = whole.cut(stop=whole.step[0] + length)
            if len(part) >= 12:
                cuts.append((part.step, part.loss))
    power, rng = LAWS["power"].make(), np.random.default_rng(0)
    ours, fits = seconds(lambda: [solutions(power, s, y[None])[0] for s, y in cuts], 3)
    loop, sse = seconds(lambda: [left(s / s[-1], y) for s, y in cuts], 1)
    sse, best = np.array(sse), []
    for (s, y), one in zip(cuts, sse, strict=True):
        x, tries = s / s[-1], [one]
        for _ in range(5):
            p = np.exp(rng.uniform(np.log(0.1), np.log(3)))
            b = np.exp(rng.uniform(np.log(1e-3), 0)) - x[0]
            tries.append(left(x, y, np.array([np.ptp(y), b, y[-1], p])))
        best.append(min(tries))
    mine = np.array([one.sse for one in fits])
    print(f"visible      {ours:8.3f} s   power law, {len(cuts)} real curves and prefixes")
    misses, excess = np.sum(sse > mine * 1.0001), np.max(mine / np.array(best) - 1)
    print(f"bounded      {loop:8.3f} s   ratio {loop / ours:.1f}; misses {misses} optima")
    print(f"optima       {excess:8.1e}     our largest excess over the solver's best of six starts")


def main() -> None:
    """Print times and ratios."""
    rng = np.random.default_rng(0)
    t = np.linspace(1_000, 50_000, POINTS)
    losses = law(t, 28.2, 60, 2.9766) + 0.002 * rng.standard_normal((CURVES, POINTS))
    curves = [Curve(t, y) for y in losses]
    x = t / t[-1]

    ours, many = seconds(lambda: fit_many(curves))
    loop, others = seconds(lambda: [one_sqrt(x, y) for y in losses[:SAMPLE]], 3)
    loop *= CURVES / SAMPLE
    sse = [np.sum((law(x, *v) - y) ** 2) for v, y in zip(others, losses, strict=False)]
    worse = float(np.max(many.sse[:SAMPLE] / sse - 1))
    print(f"fit_many     {ours:8.3f} s   {CURVES} curves x {POINTS} points, sqrt")
    print(f"curve_fit    {loop:8.3f} s   scaled from {SAMPLE}; ratio {loop / ours:.1f}")
    print(f"optima       {worse:8.1e}     largest relative excess of our SSE")

    cuts = [(t[:k], losses[i, :k]) for i in range(10) for k in (75, 125, 250)]
    power = LAWS["power"].make()
    ours, fits = seconds(lambda: [solutions(power, s, y[None])[0] for s, y in cuts], 3)
    loop, others = seconds(lambda: [one_power(s / s[-1], y) for s, y in cuts], 3)
    sse = [np.sum((law(s / s[-1], *v) - y) ** 2) for v, (s, y) in zip(others, cuts, strict=True)]
    worse = max(f.sse / other - 1 for f, other in zip(fits, sse, strict=True))
    print(f"power, each  {ours:8.3f} s   {len(cuts)} prefixes, one at a time, with errors")
    print(f"bounded      {loop:8.3f} s   ratio {loop / ours:.1f}; our excess {worse:.1e}")
    ours, _ = seconds(lambda: fit_many(curves, "power"), 3)
    loop, _ = seconds(lambda: [one_power(x, y) for y in losses[:20]], 1)
    print(f"power, many  {ours:8.3f} s   ratio {loop * CURVES / 20 / ours:.1f}, {CURVES} curves")

    if "SFTHEORY_DATA" in os.environ:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # the solver's own
            warnings.simplefilter("ignore", RuntimeWarning)
            visible(Path(os.environ["SFTHEORY_DATA"]) / "curves")

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "long.csv"
        step = np.arange(1_000, 1_001_000)
        loss = law(step, 28.2, 60, 2.9766) + 0.1 * rng.standard_normal(len(step))
        rows = "\n".join(f"{s},{y:.5f}" for s, y in zip(step, loss, strict=True))
        log.write_text(f"step,loss\n{rows}\n", encoding="utf-8")
        took, found = seconds(lambda: fit(read(log), law="sqrt"), 2)
        print(f"long log     {took:8.3f} s   {len(step)} points read and fitted, c = {found.c:.4f}")


if __name__ == "__main__":
    main()
