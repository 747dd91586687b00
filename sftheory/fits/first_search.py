"""The grid that finds the basin of the least SSE, so that no start is needed."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.centring import Centred
from sftheory.fits.laws.base import Array, Law, Rows

BLOCKS = 48
TINY = 1e-300


def start_of(law: Law, centred: Centred) -> Array:
    """The point of the grid with the least SSE, for each curve; (B, m)."""
    points = law.starts
    if len(law.factors) > 1:
        return points[np.argmax(_by_many(law, centred), axis=0)]
    groups = [centred.every] if centred.alike else list(centred.every[:, None])
    best = np.empty((len(centred.y), points.shape[1]))
    for group in groups:
        explained = _by_one(law, *_blocks(centred, group))
        top = np.argmax(explained, axis=0)
        best[group] = points[top]
        if len(law.axes) == 1:
            best[group, 0] += _parabola(explained, top) * (points[1, 0] - points[0, 0])
    return best


def _by_many(law: Law, centred: Centred) -> Array:
    """Sum of squares that each point of the grid explains of each curve, (points, B)."""
    columns = law.first_columns(centred.rows)
    columns = centred.centre(columns, np.zeros(len(columns), int))
    basis = np.linalg.qr(np.swapaxes(columns, 1, 2))[0]
    return ((centred.y @ basis) ** 2).sum(axis=-1)


def _by_one(law: Law, rows: Rows, y: Array, mass: Array) -> Array:
    """The same for one column."""
    columns = law.first_columns(rows)[:, 0]
    columns = columns - (columns @ (mass / mass.sum()))[:, None]
    weighted = columns * mass
    size = np.einsum("pn,pn->p", weighted, columns)
    return (weighted @ (y - y[:, :1]).T) ** 2 / np.maximum(size, TINY)[:, None]


def _blocks(centred: Centred, which: NDArray[np.int_]) -> tuple[Rows, Array, Array]:
    """Curves that are alike as means over few blocks, wider to the right, and their weights."""
    rows, y = centred.of(which), centred.losses[which]
    offset = rows.offset if rows.offset.ndim == 1 else rows.offset[0]
    first, unit = (float(np.ravel(v)[0]) for v in (rows.first, rows.unit))
    starts, width = _edges(len(offset))
    if centred.weights is None:
        at = np.add.reduceat(offset, starts) / width
        return Rows(at, first, unit), np.add.reduceat(y, starts, axis=1) / width, width
    w = centred.weights[which[0]]
    mass = np.add.reduceat(w, starts)
    kept = mass > 0
    share = 1 / mass[kept]
    at = np.add.reduceat(offset * w, starts)[kept] * share
    means = np.add.reduceat(y * w, starts, axis=1)[:, kept] * share
    return Rows(at, first, unit), means, mass[kept]


@lru_cache
def _edges(n: int) -> tuple[NDArray[np.int_], Array]:
    """First row and number of rows of each block of n rows."""
    starts = np.unique(np.geomspace(1, n + 1, BLOCKS + 1).astype(int))[:-1] - 1
    return starts, np.diff(np.append(starts, n)).astype(np.float64)


def _parabola(values: Array, top: NDArray[np.int_]) -> Array:
    """Where the parabola through the largest value and its neighbours peaks, in grid steps."""
    inner = np.clip(top, 1, len(values) - 2)
    left, middle, right = (values[inner + k, np.arange(len(top))] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where((bend < 0) & (inner == top), (left - right) / (2 * bend), 0.0)
    return np.clip(shift, -1.0, 1.0)
