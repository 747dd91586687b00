"""Exact worst cases against PEPit with Clarabel: the same problem, the values agreeing.

SGD with linear decay (a theorem: recursion and enclosure), schedule-free at constant steps (hull
condition checked, multipliers made), schedule-free with linear decay and uniform weights (the
program). PEPit states the primal over the same oracle points; each side is timed from its tableau.
The program is also timed against Clarabel called directly.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from clarabel_program import clarabel_value

from sftheory import methods, schedules
from sftheory.core.tableau import Tableau, iterate
from sftheory.worst_cases import sdp, worst_case
from sftheory.worst_cases.enclosure import enclose
from sftheory.worst_cases.points import points_of

SIZES = [10, 20, 30]


def pepit(tableau: Tableau) -> float:
    """The worst case of f(x_{N+1}) - f* by PEPit, D = G = 1."""
    from PEPit import PEP
    from PEPit.functions import ConvexLipschitzFunction

    problem = PEP()
    f = problem.declare_function(ConvexLipschitzFunction, M=1.0)
    x_star = f.stationary_point()
    x1 = problem.set_initial_point()
    problem.set_initial_condition((x1 - x_star) ** 2 <= 1)  # pyright: ignore[reportOperatorIssue]
    *_, (x, _, _, _) = iterate(tableau, x1, oracle=f.gradient)
    problem.set_performance_metric(f(x) - f(x_star))
    value: Any = problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0)
    return float(value)


def seconds(call: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Median time and the value."""
    times, value = [], np.nan
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), value


def main(sizes: list[int]) -> None:
    """Print both times, the ratio and the difference of the values."""
    print(f"{'method':34} {'N':>4} {'PEPit s':>9} {'here s':>9} {'ratio':>8}  path, difference")
    pepit(methods.LastIterate().tableau([0.5]))  # imports and compiles
    for N in sizes:
        gamma = schedules.Linear()(N) * N / (N + 1) ** 1.5
        constant = np.full(N, 1 / np.sqrt(N + 1))
        cases = {
            "SGD, linear decay": methods.LastIterate().tableau(gamma),
            "schedule-free, constant steps": methods.ScheduleFree(0.9).tableau(constant),
            "schedule-free, linear, uniform": methods.ScheduleFree(0.9, power=0).tableau(gamma),
        }
        for name, tableau in cases.items():
            found = worst_case(tableau, D=1, G=1)  # compiles, and says the path
            theirs, value = seconds(lambda t=tableau: pepit(t), 1)
            ours, _ = seconds(lambda t=tableau: worst_case(t, D=1, G=1).value, 5)
            difference = abs(value - found.value)
            print(
                f"{name:34} {N:4} {theirs:9.3f} {ours:9.5f} {theirs / ours:8.0f}  "
                f"{found.path}, {difference:.1e}"
            )
    for N in sizes:
        gamma = schedules.Linear()(N) * N / (N + 1) ** 1.5
        points = points_of(methods.ScheduleFree(0.9, power=0).tableau(gamma))
        theirs, value = seconds(lambda p=points: clarabel_value(p)[0], 3)
        functions = sdp.Class(np.ones(len(points)))
        ours, mine = seconds(lambda p=points, f=functions: sdp.solve(p, f).upper, 3)
        print(
            f"the program with Clarabel, N = {N}: {theirs:.3f} s; here, proved: {ours:.3f} s, "
            f"ratio {theirs / ours:.1f}, difference {abs(value - mine):.1e}"
        )
    for N in (100_000, 1_000_000):
        gamma = schedules.WSD()(N) / np.sqrt(N)
        plain, _ = seconds(lambda g=gamma: worst_case(g, D=1, G=1, certify=None).value, 3)
        fine, _ = seconds(lambda g=gamma: worst_case(g, D=1, G=1, certify="rational").value, 3)
        enclosed, _ = seconds(lambda g=gamma: float(enclose(g, 1.0, 1.0)[0]), 3)
        print(
            f"N = {N}: value, worst function and gradient {plain:.3f} s, enclosed in 106 bits too "
            f"{fine:.3f} s, the enclosure alone {enclosed:.3f} s"
        )
    for N in (1_000, 100_000):
        G = np.random.default_rng(0).uniform(0.3, 2, N + 1)
        gamma = schedules.Linear()(N) / np.sqrt(N)
        took, _ = seconds(lambda g=gamma, G=G: worst_case(g, D=1, G=G).value, 3)
        found = worst_case(gamma, D=1, G=G)
        width = (found.upper - found.lower) / found.value
        print(f"N = {N}, a norm for every gradient: {took:.3f} s, relative width {width:.1e}")
    gamma = schedules.Linear()(75) * 75 / 76**1.5
    tableau = methods.ScheduleFree(0.9, power=0).tableau(gamma)
    took, _ = seconds(lambda: worst_case(tableau, D=1, G=1).value, 1)
    found = worst_case(tableau, D=1, G=1)
    print(f"N = 75 by the program: {took:.1f} s, {found}")


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or SIZES)
