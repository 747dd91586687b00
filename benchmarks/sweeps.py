"""Worst cases of random methods of ten families against Clarabel's program with all inequalities.

For every family: how many were decided by a theorem and how many by the program, how many of the
latter are closed (upper - lower <= 1e-5 D G), the widest, the worst difference between the value
and Clarabel's, and the furthest that an end lies on the wrong side of that; in units of D G, where
Clarabel reaches its tolerance. `python benchmarks/sweeps.py 1000` sweeps a thousand of each family.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from clarabel_program import clarabel_value

from sftheory import methods
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import WorstCase, worst_case
from sftheory.worst_cases.points import Points, points_of

LARGEST = 12  # steps
Family = Callable[[np.random.Generator, Any], Tableau]

FAMILIES: dict[str, Family] = {
    "last iterate": lambda rng, g: methods.LastIterate().tableau(g),
    "constant schedule-free": lambda rng, g: methods.ScheduleFree(rng.uniform()).tableau(
        np.full_like(g, g[0])
    ),
    "average": lambda rng, g: methods.PolyakAverage(
        str(rng.choice(["uniform", "gamma"]))  # pyright: ignore[reportArgumentType]
    ).tableau(np.sort(g)[::-1]),
    "matched schedule-free": lambda rng, g: methods.ScheduleFree(
        rng.uniform(size=len(g)), weights="gamma"
    ).tableau(g),
    "mismatched schedule-free": lambda rng, g: methods.ScheduleFree(
        rng.uniform(), r=rng.uniform(0, 2), power=rng.uniform(0, 2)
    ).tableau(g),
    "exponential average": lambda rng, g: methods.EMA(rng.uniform(0, 0.95)).tableau(g),
    "heavy ball": lambda rng, g: methods.HeavyBall(rng.uniform(0, 0.95)).tableau(g),
    "generalized primal average": lambda rng, g: methods.GPA(
        rng.uniform(), rng.uniform(0, 0.95)
    ).tableau(g),
    "refined schedule-free": lambda rng, g: methods.RefinedScheduleFree(
        rng.uniform(0, 0.95), np.exp(2 * rng.standard_normal() + 1)
    ).tableau(g),
    "any positive tableau": lambda rng, g: Tableau(
        g, rng.uniform(size=len(g)), 1 - rng.uniform(size=len(g))
    ),
}


@dataclass(frozen=True)
class Compared:
    """One method: what was found, and how it compares with Clarabel's value, in units of D G.

    Attributes:
        difference: |value - Clarabel's value|.
        beyond: how far an end lies on the wrong side of Clarabel's value.
        width: upper - lower.
        solved: whether Clarabel reached its tolerance.
    """

    found: WorstCase
    difference: float
    beyond: float
    width: float
    solved: bool


def instance(family: str, rng: np.random.Generator) -> tuple[Tableau, float, float]:
    """A random method of a family, N <= 12, with D and G."""
    N = int(rng.integers(1, LARGEST + 1))
    D, G = np.exp(0.5 * rng.standard_normal(2))
    steps = np.exp(rng.uniform(0.2, 1) * rng.standard_normal(N) + rng.uniform(-1.5, 1))
    return FAMILIES[family](rng, steps * D / G / np.sqrt(N)), float(D), float(G)


def compare(tableau: Tableau, D: float, G: float) -> Compared:
    """`worst_case` against Clarabel's program with all pairs."""
    found = worst_case(tableau, D=D, G=G)
    points = points_of(tableau)
    unit = Points(points.rows * (G / D), points.reported, points.best)
    value, solved = clarabel_value(unit)
    lower, upper = found.lower / (D * G), found.upper / (D * G)
    return Compared(
        found=found,
        difference=abs(found.value / (D * G) - value),
        beyond=max(lower - value, value - upper),
        width=upper - lower,
        solved=solved,
    )


def main(number: int) -> None:
    """Print a line for each family."""
    print(f"{number} methods a family, 1 <= N <= {LARGEST}, differences in units of D G")
    print(
        f"{'family':28} {'theorem':>8} {'program':>8} {'closed':>7} {'unsolved':>9} "
        f"{'width':>9} {'difference':>11} {'beyond':>9} {'s':>6}"
    )
    for place, family in enumerate(FAMILIES):
        rng = np.random.default_rng(place)
        start = time.perf_counter()
        every = [compare(*instance(family, rng)) for _ in range(number)]
        solved = [c for c in every if c.solved]
        paths = Counter(c.found.path for c in every)
        closed = sum(c.found.certified == "float" for c in every if c.found.path == "sdp")
        print(
            f"{family:28} {paths['last iterate'] + paths['hull']:8} {paths['sdp']:8} {closed:7} "
            f"{number - len(solved):9} {max(c.width for c in every):9.1e} "
            f"{max(c.difference for c in solved):11.1e} {max(c.beyond for c in solved):9.1e} "
            f"{time.perf_counter() - start:6.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 25)
