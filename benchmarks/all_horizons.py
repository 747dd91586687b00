"""Every horizon at once against one horizon at a time, the same numbers from both sides.

Ω and B' are compared with a loop over the public function, the exact value with the same O(N²)
recursion compiled. Each loop is timed on a subset of the horizons, spread evenly, and scaled by
their number; a horizon t costs more the larger t is, so an even spread has the mean cost. Both
sides run in turn, medians of the repeats; compiling is not timed, a line says what it took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sftheory import schedules
from sftheory.bounds import OmegaStream, b_prime, last_iterate, omega
from sftheory.bounds.base import Array

Whole = NDArray[np.int64]
SUBSET, REPEATS = 100, 5  # the slow side is repeated twice
SHAPES = {
    "linear": schedules.Linear(),
    "cosine": schedules.Cosine(),
    "wsd": schedules.WSD(0.2),
    "constant": schedules.Constant(),
    "1/sqrt": schedules.InverseSqrt(),
    "warm-up": schedules.Warmup(schedules.WSD(0.2), fraction=0.05),
}


@njit
def one_by_one(h: Array, horizons: Whole, D: float, G: float) -> Array:
    """The exact value after each of the horizons, by the O(N) recursion of each."""
    values = np.empty(len(horizons))
    for i, t in enumerate(horizons):
        a = S = w = 0.0
        for k in range(t - 1, -1, -1):
            x = h[k]
            a = a + x * x / (4 * w) if x < 2 * w else x - S
            S += x
            w = a + S
        values[i] = G * G * a + D * D / (4 * w) if 2 * G * w >= D and w > 0 else D * G - G * G * S
    return values


def seconds(call: Callable[[], Array]) -> tuple[float, Array]:
    """Wall time and the values."""
    start = time.perf_counter()
    values = call()
    return time.perf_counter() - start, values


def compare(name: str, N: int, every: Callable[[], Array], some: Callable[[Whole], Array]) -> None:
    """Time both sides in turn, and print them with their largest relative difference."""
    horizons = (np.arange(SUBSET) + 1) * (N // SUBSET)
    ours, theirs, values, own = [], [], np.empty(0), np.empty(0)
    for _ in range(REPEATS):
        spent, values = seconds(every)
        ours.append(spent)
        if len(theirs) < 2:
            spent, own = seconds(lambda: some(horizons))
            theirs.append(spent * N / SUBSET)
    difference = np.abs(values[horizons - 1] / own - 1).max()
    here, there = float(np.median(ours)), float(np.median(theirs))
    print(f"{name:26} {N:8} {there:10.1f} {here:9.4f} {there / here:8.0f}   {difference:.1e}")


def main(N: int) -> None:
    """Print times, ratios and differences; then the stream."""
    compiling, _ = seconds(lambda: omega([0.1, 0.1], D=1, G=1, last=0.1, horizons="all"))
    one_by_one(np.ones(2), np.array([2]), 1.0, 1.0)
    rng = np.random.default_rng(0)
    print(f"first call, numba imported and code compiled or read from its cache: {compiling:.1f} s")
    print(f"one by one: {SUBSET} horizons spread evenly, their time times N / {SUBSET}")
    print(f"{'':26} {'N':>8} {'one by one':>10} {'all':>9} {'ratio':>8}   relative difference")
    gamma = schedules.WSD(0.2)(N) / np.sqrt(N)
    entries, norms = np.append(gamma, gamma[-1]), rng.uniform(0.5, 2, N + 1)
    for name, bound in {"Ω": omega, "B'": b_prime}.items():
        for label, G in {"one norm": np.ones(N + 1), "N + 1 norms": norms}.items():
            compare(
                f"{name}, wsd, {label}",
                N,
                lambda b=bound, G=G: b(gamma, D=1, G=G, last=entries[-1], horizons="all"),
                lambda horizons, b=bound, G=G: np.array(
                    [b(gamma[:t], D=1, G=G[: t + 1], last=entries[t]) for t in horizons]
                ),
            )
    for name, shape in SHAPES.items():
        h = shape(N) / np.sqrt(N)
        compare(
            f"exact, {name}",
            N,
            lambda h=h: last_iterate(h, D=1, G=1, horizons="all"),
            lambda horizons, h=h: one_by_one(h, horizons, 1.0, 1.0),
        )
    wild = rng.lognormal(0, 6, N)
    compare(
        "exact, lognormal, sd 6",
        N,
        lambda: last_iterate(wild, D=1, G=1, horizons="all"),
        lambda horizons: one_by_one(wild, horizons, 1.0, 1.0),
    )
    stream = OmegaStream(D=1, smallest=gamma.min(), total=entries.sum())
    spent, values = seconds(lambda: np.array([stream.step(e, 1.0) for e in entries]))
    own = omega(gamma, D=1, G=1, last=entries[-1], horizons="all")
    difference = np.abs(values[1:] / own - 1).max()
    print(f"stream, wsd: {spent / N * 1e6:.0f} µs a step, relative difference {difference:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
