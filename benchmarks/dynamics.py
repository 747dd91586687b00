"""Exact moments against sampling, and few Gauss nodes against every mode, in one process.

Three questions: what a mode and a step cost (d = 1,000, N = 100,000); what `moments` costs next to
`run` averaged to a standard error of 1% on the hill of HillAndRiver (d = 1, N = 4,000); and what
grouping 100,000 modes saves and changes. Sides run in turn, medians of the repeats; compiling is
not timed, the first line says what it took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from sftheory import methods, problems, schedules
from sftheory.exact_moments import moments
from sftheory.simulation import run

REPEATS = 5
LIMIT = 2.0  # seconds for 1,000 modes and 100,000 steps
RATIO = 1000  # how much cheaper than sampling the hill has to be
ERROR = 0.01  # standard error of E f over E f
FRACTION = 4  # of the samples that ERROR needs, one in so many is timed
ARRAYS = 8  # numbers that the loop holds for a mode: λ, noise, weight, two means, three moments
FLOPS = 65  # additions and multiplications of a mode and a step without momentum, counted by hand
ONE_STEP = methods.LastIterate().tableau([0.9])


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time and the result."""
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def median(call: Callable[[], Any]) -> tuple[float, Any]:
    """Median wall time of REPEATS calls, and the last result."""
    spent, result = [], None
    for _ in range(REPEATS):
        once, result = seconds(call)
        spent.append(once)
    return float(np.median(spent)), result


def per_mode_and_step(d: int, N: int) -> None:
    """A full run of schedule-free, and the same with momentum inside."""
    problem = problems.NoisyQuadratic(1 / np.arange(1.0, d + 1), noise=0.1)
    tableau = methods.ScheduleFree(0.9).tableau(np.full(N, 0.5))
    for label, momentum in (("", 0.0), (", momentum", 0.9)):
        spent, _ = median(lambda mu=momentum: moments(problem, tableau, momentum=mu))
        verdict = (
            "" if momentum else f"   limit {LIMIT:g} s: {'met' if spent < LIMIT else 'MISSED'}"
        )
        print(f"d={d} N={N}{label:12} {spent:7.3f} s  {spent / d / N * 1e9:5.2f} ns{verdict}")
        if not momentum:
            held, speed = ARRAYS * 8 * d / 1024, FLOPS * d * N / spent / 1e9
            print(
                f"  {held:.0f} KiB held: in cache, no memory traffic; {speed:.0f} Gflop/s, one core"
            )


def against_sampling() -> None:
    """`moments` on the hill, and `run` on as many seeds as a standard error of 1% needs."""
    valley, N = problems.HillAndRiver(), 4000
    hill = problems.NoisyQuadratic([valley.a], noise=valley.sigma, x1=0.0)
    gamma = 0.05 * schedules.WSD(0.2)(N)
    for name, method in (("SGD", methods.LastIterate()), ("schedule-free", methods.ScheduleFree())):
        tableau = method.tableau(gamma)
        pilot = run(hill, tableau, seeds=2000, losses="x").loss_x[:, -1]
        needed = int(np.ceil((pilot.std(ddof=1) / pilot.mean() / ERROR) ** 2))
        seeds = needed // FRACTION
        exact, sampling, found, traj = [], [], moments(hill, tableau), None
        for _ in range(2):  # in turn
            for _ in range(4 * REPEATS):
                spent, found = seconds(lambda t=tableau: moments(hill, t))
                exact.append(spent)
            spent, traj = seconds(
                lambda t=tableau, n=seeds: run(hill, t, seeds=n, losses="x", record=[N])
            )
            sampling.append(spent * needed / seeds)
        assert traj is not None
        here, there = float(np.median(exact)), float(np.median(sampling))
        sample = traj.loss_x[:, -1]
        off = (sample.mean() - found.loss_x[-1]) / (sample.std(ddof=1) / np.sqrt(len(sample)))
        print(
            f"hill, N={N}, {name:14} moments {here * 1e6:7.0f} µs   run {there:6.2f} s for "
            f"{needed} seeds ({seeds} timed)   ratio {there / here:6.0f}, "
            f"{'met' if there / here >= RATIO else 'MISSED'}   {off:+.1f} standard errors"
        )


def grouped(d: int, N: int) -> None:
    """Every mode of a power law against 6 Gauss nodes for each group."""
    i = np.arange(1.0, d + 1)
    problem = problems.NoisyQuadratic(i**-1.1, noise=0.1 * i**-0.55, x1=1.0)
    tableau = methods.ScheduleFree(0.9).tableau(np.full(N, 0.9))
    all_of_them, exact = seconds(lambda: moments(problem, tableau, keep=[0]))
    for nodes in (3, 6):
        spent, found = median(lambda n=nodes: moments(problem, tableau, group=n))
        off = np.abs(found.loss_x / exact.loss_x - 1).max()
        print(
            f"d={d} N={N}, {nodes} nodes {spent:6.3f} s, every mode {all_of_them:6.2f} s   ratio "
            f"{all_of_them / spent:5.0f}   off by {off:.0e}, reported {float(found.error):.0e}"
        )
    alone, _ = median(lambda: moments(problem, ONE_STEP, group=6))
    print(f"  of which making the groups takes {alone:.3f} s")


def main(N: int) -> None:
    """Print every time and ratio."""
    compiling, _ = seconds(lambda: moments(problems.NoisyQuadratic(), ONE_STEP))
    print(f"first call, numba imported and code compiled or read from its cache: {compiling:.1f} s")
    per_mode_and_step(1000, N)
    against_sampling()
    grouped(100_000, N // 100)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
