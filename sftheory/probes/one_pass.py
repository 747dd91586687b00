"""Many inner products of many vectors in one pass over memory, compiled for processors."""
# pyright: reportPrivateImportUsage=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

from sftheory.core.addresses import opened, shares_of, sums_of

BLOCK = 1024  # entries: a handful of vectors stay in the innermost cache, float32 sums accurate
FLOATS: dict[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
_loose: Any = {"reassoc", "nsz", "contract"}  # sums may be taken in any order; NaN stays NaN
_compiled: Any = numba.njit(nogil=True, cache=True, fastmath=_loose)


@_compiled
def _laid_out(row, plus, minus, low, high, out, like):
    """Entries low to high of a vector, or of the difference of two where minus is a column."""
    first = opened(row, plus, low, high, like)
    if minus < 0:
        for i in range(high - low):
            out[i] = first[i]
    else:
        second = opened(row, minus, low, high, like)
        for i in range(high - low):
            out[i] = first[i] - second[i]


@_compiled
def _dot(a, b, n):
    total = a.dtype.type(0)
    for i in range(n):
        total += a[i] * b[i]
    return total


@_compiled
def _summed(table, columns, pairs, block, out):
    """Add the products of each row's vectors to a row of `out`; `block` is (vectors, BLOCK)."""
    like = block.dtype.type(0)
    for r in range(len(table)):
        row = table[r]
        for low in range(0, row[-1], BLOCK):
            high = min(low + BLOCK, row[-1])
            for k in range(len(columns)):
                _laid_out(row, columns[k, 0], columns[k, 1], low, high, block[k], like)
            for j in range(len(pairs)):
                out[r, j] += _dot(block[pairs[j, 0]], block[pairs[j, 1]], high - low)


def products(
    vectors: list[list[tuple[torch.Tensor, ...]] | None], pairs: list[tuple[int, int]]
) -> np.ndarray:
    """<a, b> for every parameter and pair of its vectors.

    Args:
        vectors: for each of n parameters the same K vectors: each a contiguous tensor, or
            two, whose difference is meant; of the same dtype in FLOATS everywhere. None stands
            for a parameter without vectors, whose products are 0.
        pairs: P pairs of vectors, by number.

    Returns:
        float64 (n, P). Sums are in the vectors' precision within a block, then in float64.
    """
    there = [own for own in vectors if own is not None]
    if not there:
        return np.zeros((len(vectors), len(pairs)))
    columns, width = [], 0
    for vector in there[0]:
        columns.append((width, width + 1 if len(vector) == 2 else -1))
        width += len(vector)
    table = np.zeros((len(vectors), width + 1), np.int64)
    table[[own is not None for own in vectors]] = [
        [*(t.data_ptr() for vector in own for t in vector), own[0][0].numel()] for own in there
    ]
    like = FLOATS[there[0][0][0].dtype]
    shares = shares_of(table, torch.get_num_threads(), like().itemsize)
    where = np.array(columns), np.array(pairs)

    def add(share: np.ndarray, out: np.ndarray) -> None:
        _summed(share, *where, np.empty((len(columns), BLOCK), like), out)

    return sums_of(shares, len(vectors), len(pairs), add)
