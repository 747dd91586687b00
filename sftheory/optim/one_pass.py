r"""The step of `arithmetic` in one pass over memory, compiled for processors.

The list form reads each tensor several times; these loops read y, z, v, m, g once and write y, z,
v, m once, 28 bytes per float32 parameter for schedule-free AdamW. Parameters are cut into one share
for each thread of torch.
"""
# pyright: reportPrivateImportUsage=false, reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.extending import intrinsic

from sftheory.optim.arithmetic import Direction, Move
from sftheory.optim.pieces import Row


@numba.njit(nogil=True, cache=True, error_model="numpy")
def plain_pass(y, z, g, decay_y, decay_z, toward, along_y, along_z):
    """The gradient itself as u."""
    for i in range(y.size):
        yi, zi = y[i], z[i]
        u = g[i] + decay_y * yi + decay_z * zi
        y[i] = yi + toward * (zi - yi) + along_y * u
        z[i] = zi + along_z * u


@numba.njit(nogil=True, cache=True, error_model="numpy")
def adaptive_pass(y, z, g, v, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z):
    """With v."""
    for i in range(y.size):
        yi, zi, gi = y[i], z[i], g[i]
        vi = beta2 * v[i] + rest2 * (gi * gi)
        v[i] = vi
        u = gi / (np.sqrt(vi) + eps) + decay_y * yi + decay_z * zi
        y[i] = yi + toward * (zi - yi) + along_y * u
        z[i] = zi + along_z * u


@numba.njit(nogil=True, cache=True, error_model="numpy")
def momentum_pass(
    y, z, g, v, m, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z
):
    """With v and m."""
    for i in range(y.size):
        yi, zi, gi = y[i], z[i], g[i]
        vi = beta2 * v[i] + rest2 * (gi * gi)
        v[i] = vi
        mi = m[i] + rest * (gi - m[i])
        m[i] = mi
        u = mi / (np.sqrt(vi) + eps) + decay_y * yi + decay_z * zi
        y[i] = yi + toward * (zi - yi) + along_y * u
        z[i] = zi + along_z * u


@intrinsic
def _at(typing: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the type of `like`; views of arrays would cost more."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(address, like), generate


@numba.njit(nogil=True, cache=True)
def plain_rows(table, decay_y, decay_z, toward, along_y, along_z):
    """`plain_pass` for rows of addresses of y, z, g and their length."""
    for r in range(table.shape[0]):
        n = table[r, -1]
        y = numba.carray(_at(table[r, 0], along_z), n)
        z = numba.carray(_at(table[r, 1], along_z), n)
        g = numba.carray(_at(table[r, 2], along_z), n)
        plain_pass(y, z, g, decay_y, decay_z, toward, along_y, along_z)


@numba.njit(nogil=True, cache=True)
def adaptive_rows(table, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z):
    """`adaptive_pass` for rows of addresses of y, z, g, v and their length."""
    for r in range(table.shape[0]):
        n = table[r, -1]
        y = numba.carray(_at(table[r, 0], along_z), n)
        z = numba.carray(_at(table[r, 1], along_z), n)
        g = numba.carray(_at(table[r, 2], along_z), n)
        v = numba.carray(_at(table[r, 3], along_z), n)
        adaptive_pass(y, z, g, v, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z)


@numba.njit(nogil=True, cache=True)
def momentum_rows(table, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z):
    """`momentum_pass` for rows of addresses of y, z, g, v, m and their length."""
    for r in range(table.shape[0]):
        n = table[r, -1]
        y = numba.carray(_at(table[r, 0], along_z), n)
        z = numba.carray(_at(table[r, 1], along_z), n)
        g = numba.carray(_at(table[r, 2], along_z), n)
        v = numba.carray(_at(table[r, 3], along_z), n)
        m = numba.carray(_at(table[r, 4], along_z), n)
        momentum_pass(
            y, z, g, v, m, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z
        )


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sftheory-step")


def step(
    rows: list[Row],
    how: Direction,
    move: Move,
    starts: list[torch.Tensor | None] | None = None,
    few: bool = False,
) -> np.ndarray | None:
    """One step of contiguous float rows with y, z, g and, as the direction wants them, v and m.

    With `starts`, a tensor or None for each row, it returns the sums of `tally`, (rows, 16); with
    `few` only FEW of them are made.
    """
    keys = ["y", "z", "g"]
    numbers: list[Any] = [how.decay_y, how.decay_z, move.toward, move.along_y, move.along_z]
    compiled: Any = plain_rows
    if how.beta2 is not None:
        keys, compiled = [*keys, "v"], adaptive_rows
        numbers = [how.beta2, 1 - how.beta2, how.eps, *numbers]
    if how.mu is not None:
        keys, compiled = [*keys, "m"], momentum_rows
        numbers = [1 - how.mu, *numbers]
    like = np.float32 if rows[0]["y"].dtype == torch.float32 else np.float64
    if starts is not None:
        return _summed(rows, len(keys), numbers, move, starts, few, like)
    table = np.array(
        [[*(row[k].data_ptr() for k in keys), row["y"].numel()] for row in rows], dtype=np.int64
    )
    numbers = [like(float(number)) for number in numbers]
    shares = _shares(table, torch.get_num_threads(), like().itemsize)
    _each(shares, lambda share: compiled(share[1], *numbers))
    return None


def _summed(
    rows: list[Row],
    keys: int,
    numbers: list[Any],
    move: Move,
    starts: list[torch.Tensor | None],
    few: bool,
    like: Any,
) -> np.ndarray:
    from sftheory.optim import one_pass_sums as summing

    measured = all(start is not None for start in starts)
    lines = []
    for row, start in zip(rows, starts, strict=True):
        # what is missing is never read, but every column is an address
        held = [row.get(k, row["g"]) for k in ("y", "z", "g", "v", "m")]
        held.append(row["g"] if start is None else start)
        lines.append([*(t.data_ptr() for t in held), row["y"].numel()])
    table = np.array(lines, dtype=np.int64)
    padded = [0.0] * (9 - len(numbers)) + numbers
    recover = [1 - 1 / move.built_with, 1 - 1 / move.beta, 0.0]
    padded = [like(float(number)) for number in (*padded, *recover)]
    sums = np.zeros((len(rows), summing.WIDTH))
    shares = _shares(table, torch.get_num_threads(), like().itemsize)
    parts = [np.zeros((len(share), summing.WIDTH)) for _, share in shares]
    _each(
        list(zip(shares, parts, strict=True)),
        lambda job: summing.summed_rows(job[0][1], job[1], keys - 3, measured, few, *padded),
    )
    for (first, share), part in zip(shares, parts, strict=True):
        sums[first : first + len(share)] += part
    return sums


def _each(jobs: list[Any], do: Callable[[Any], None]) -> None:
    if len(jobs) == 1:
        do(jobs[0])
    else:
        list(_pool(len(jobs)).map(do, jobs))


def _shares(table: np.ndarray, threads: int, itemsize: int) -> list[tuple[int, np.ndarray]]:
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
