"""The descent for one curve and one column: inner products are plain numbers, no batch axes."""

from __future__ import annotations

from math import inf

import numpy as np

from sftheory.fits.centring import Centred
from sftheory.fits.laws.base import Array, Law, Rows

Numbers = tuple[float, float, list[float], list[list[float]]]  # factor, SSE, gradient, curvature


def descend_one(
    law: Law, centred: Centred, i: int, theta: Array, limits: tuple[float, float, float, int]
) -> tuple[Array, bool]:
    """Levenberg-Marquardt on the projected residual of curve i, from theta (m,), m = 1 or 2.

    Args:
        law: a law of one column.
        centred: the curves.
        i: which of them.
        theta: where to start.
        limits: when to stop, see `projection`: SETTLED, ROUNDING, SLOW, ROUNDS.

    Returns:
        theta, and whether the last steps were slow or lost in rounding.
    """
    settled, rounding, slow, rounds = limits
    rows, y, square = centred.of(np.array([i])), centred.y[i], float(centred.square[i])
    offset = rows.offset if rows.offset.ndim == 1 else rows.offset[0]
    rows = Rows(offset, float(np.ravel(rows.first)[0]), 1.0)
    n = len(offset)
    share = np.full(n, 1 / n) if centred.share is None else centred.share[i]
    root = None if centred.root is None else centred.root[i]

    def at(theta: list[float]) -> Numbers:
        vectors = law.stacked(np.array([theta]), rows)[0]
        vectors -= (vectors @ share)[:, None]
        if root is not None:
            vectors *= root
        gram, side = (vectors @ vectors.T).tolist(), (vectors @ y).tolist()
        own = gram[0][0] or 1.0
        f = side[0] / own
        sse = max(square - f * side[0], 0.0)
        m = range(1, len(gram))
        gradient = [f * f * gram[a][0] - f * side[a] for a in m]
        curvature = [[f * f * (gram[a][b] - gram[a][0] * gram[b][0] / own) for b in m] for a in m]
        return f, sse, gradient, curvature

    low, high = law.limits.tolist()
    here = [min(max(float(v), a), b) for v, a, b in zip(theta, low, high, strict=True)]
    lost, damping, before = rounding * square, 1e-6, inf
    _, sse, gradient, curvature = at(here)
    for _ in range(rounds):
        free = [
            not ((v <= a and g > 0) or (v >= b and g < 0))
            for v, a, b, g in zip(here, low, high, gradient, strict=True)
        ]
        step = _step(gradient, curvature, damping, free)
        promised = -sum(s * g for s, g in zip(step, gradient, strict=True))
        if promised <= settled * sse + rounding * lost or damping >= 1e12:
            return np.array(here), promised > slow * before or sse < 1e4 * lost
        moved = [
            min(max(v + min(max(s, -2.0), 2.0), a), b)
            for v, s, a, b in zip(here, step, low, high, strict=True)
        ]
        trial = at(moved)
        if trial[1] <= sse + lost:
            here, damping, before = moved, max(damping / 10, 1e-12), promised
            _, sse, gradient, curvature = trial
        else:
            damping = max(damping * 10, 1e-4)
    return np.array(here), True


def _step(
    gradient: list[float], curvature: list[list[float]], damping: float, free: list[bool]
) -> list[float]:
    """The damped Gauss-Newton step of one or two coordinates; those that are not free stay."""
    sizes = [max(curvature[a][a], 1e-300) * (1 + damping) for a in range(len(gradient))]
    if len(gradient) == 2 and all(free):
        across = curvature[0][1]
        # in units of the columns, so that the determinant neither over- nor underflows
        rest = 1 - (across / sizes[0]) * (across / sizes[1])
        one = (gradient[1] * across / sizes[1] - gradient[0]) / sizes[0] / rest
        return [one, -(gradient[1] + across * one) / sizes[1]]
    return [
        -g / size if open_ else 0.0 for g, size, open_ in zip(gradient, sizes, free, strict=True)
    ]
