"""Where a curve first falls below zero, far beyond what is known of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sftheory.fits.laws.base import Array

FARTHEST = 1e4  # ends of the run: how far the step is looked for
POINTS = 600
ROUNDS = 7  # each narrows the bracket 64 times


def first_below(above: Callable[[Array], Array], first: float, last: float) -> float:
    """The first step from `first` on at which `above` is <= 0; inf if there is none.

    Args:
        above: of steps (k,), continuous but for jumps that are wider than a grid of equal ratios.
        first: where to start.
        last: the end of the run; the grid goes from 1e-6 to 1e4 times this, after `first`.

    Example:
        >>> round(first_below(lambda t: 3 - np.sqrt(t), 1.0, 5.0), 9)
        9.0
    """
    grid = np.concatenate([[first], first + np.geomspace(1e-6, FARTHEST, POINTS) * last])
    below = np.flatnonzero(above(grid) <= 0)
    if not len(below):
        return float(np.inf)
    k = int(below[0])
    if k == 0:
        return first
    low, high = grid[k - 1], grid[k]
    for _ in range(ROUNDS):
        inner = np.linspace(low, high, 65)
        k = max(int(np.argmax(above(inner) <= 0)), 1)
        low, high = inner[k - 1], inner[k]
    return float(high)
