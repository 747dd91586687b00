r"""The step of `arithmetic` in one pass over memory, compiled for processors.

The list form reads each tensor several times; this loop reads y, z, v, m, g once and writes y, z,
v, m once, 28 bytes per float32 parameter for schedule-free AdamW. Parameters are cut into one share
for each thread of torch.
"""
# pyright: reportPrivateImportUsage=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch

from sftheory.core.addresses import opened, shares_of, sums_of
from sftheory.core.openmp import each
from sftheory.optim.arithmetic import Direction, Move
from sftheory.optim.pieces import Row
from sftheory.optim.tally import PAIRS

compiled: Any = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def advance(y, z, g, v, m, i, numbers):
    """The step of entry i; v and m are None where the direction has none.

    Returns y, z and g as they were, and y and z as they are now.
    """
    rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z = numbers
    yi, zi, gi = y[i], z[i], g[i]
    u = gi
    if m is not None:
        u = m[i] + rest * (gi - m[i])
        m[i] = u
    if v is not None:
        vi = beta2 * v[i] + rest2 * (gi * gi)
        v[i] = vi
        u = u / (np.sqrt(vi) + eps)
    u = u + decay_y * yi + decay_z * zi
    after, further = yi + toward * (zi - yi) + along_y * u, zi + along_z * u
    y[i], z[i] = after, further
    return yi, zi, gi, after, further


@compiled
def _move(y, z, g, v, m, numbers):
    for i in range(len(y)):
        advance(y, z, g, v, m, i, numbers)


@compiled
def _moved_rows(table, v, m, numbers):
    for row in table:
        n, like = row[-1], numbers[0]
        y, z, g = opened(row, 0, 0, n, like), opened(row, 1, 0, n, like), opened(row, 2, 0, n, like)
        _move(y, z, g, opened(row, v, 0, n, like), opened(row, m, 0, n, like), numbers)


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
    keys = ["y", "z", "g"] + ["v"] * (how.beta2 is not None) + ["m"] * (how.mu is not None)
    columns = [[row[k].data_ptr() for row in rows] for k in keys]
    v, m = (keys.index(k) if k in keys else None for k in ("v", "m"))
    start = None
    if starts and not few and all(t is not None for t in starts):
        start = len(columns)
        columns.append([t.data_ptr() for t in starts if t is not None])
    columns.append([row["y"].numel() for row in rows])
    table = np.array(columns, dtype=np.int64).T.copy()
    like = np.float32 if rows[0]["y"].dtype == torch.float32 else np.float64
    mu, beta2 = how.mu or 0.0, how.beta2 or 0.0
    ends = (how.decay_y, how.decay_z, move.toward, move.along_y, move.along_z)
    numbers = tuple(like(float(a)) for a in (1 - mu, beta2, 1 - beta2, how.eps, *ends))
    shares = shares_of(table, torch.get_num_threads(), like().itemsize)
    if starts is None:
        each(shares, lambda share: _moved_rows(share[1], v, m, numbers))
        return None
    from sftheory.optim.one_pass_sums import summed_rows

    back = tuple(like(1 - 1 / beta) for beta in (move.built_with, move.beta))
    return sums_of(
        shares,
        len(rows),
        len(PAIRS),
        lambda share, out: summed_rows(share, out, v, m, start, few or None, numbers, *back),
    )
