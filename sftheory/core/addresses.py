"""Tables of addresses, by which compiled loops find many arrays at once.

A row is for one tensor shape: whole numbers, of which the last is how many entries there are and
the others are where contiguous arrays of so many entries begin.
"""
# pyright: reportPrivateImportUsage=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from sftheory.core.openmp import each

Share = tuple[int, np.ndarray]


@intrinsic
def _at(typing: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the type of `like`; views of arrays would cost more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(address, like), generate


def opened(row, column, low, high, like):
    """Entries low to high of the array whose address is in a column of a row; None without one."""
    raise NotImplementedError


@overload(opened)
def _opened(row, column, low, high, like):
    if isinstance(column, types.NoneType):
        return lambda row, column, low, high, like: None
    size = like.bitwidth // 8
    return lambda row, column, low, high, like: numba.carray(
        _at(row[column] + low * size, like), high - low
    )


def shares_of(table: np.ndarray, threads: int, itemsize: int) -> list[Share]:
    """The rows, cut where needed, in `threads` tables of equal numbers of entries.

    Each comes with the number of its first row.
    """
    ends = np.cumsum(table[:, -1])
    if threads == 1 or ends[-1] < 2**16:
        return [(0, table)]
    cuts = np.linspace(0, ends[-1], threads + 1).astype(np.int64)
    shares = []
    for low, high in pairwise(cuts):
        first, last = np.searchsorted(ends, low, side="right"), np.searchsorted(ends, high)
        share = table[first : last + 1].copy()
        skipped = low - (ends[first] - table[first, -1])
        share[-1, -1] -= ends[last] - high
        share[0, :-1] += skipped * itemsize
        share[0, -1] -= skipped
        shares.append((int(first), share))
    return shares


def sums_of(
    shares: list[Share], rows: int, width: int, add: Callable[[np.ndarray, np.ndarray], None]
) -> np.ndarray:
    """What is summed over each row of a table, float64 (rows, width), a thread for each share.

    add(share, out) adds to (rows of the share, width), and should release the GIL.
    """
    parts = [np.zeros((len(share), width)) for _, share in shares]
    each(list(zip(shares, parts, strict=True)), lambda job: add(job[0][1], job[1]))
    if len(parts) == 1:
        return parts[0]
    sums = np.zeros((rows, width))
    for (first, share), part in zip(shares, parts, strict=True):
        sums[first : first + len(share)] += part
    return sums
