"""The one pass of `one_pass` with the inner products of `tally`, block by block in the cache.

Each block is copied, moved by the very loops of a step that nobody looks at, and summed while it is
still in the cache: the trajectory is the same, bit for bit, and memory is read once. Sums within a
block are in the parameters' precision, over blocks in float64.
"""
# pyright: reportPrivateImportUsage=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sftheory.optim.one_pass import _at, adaptive_pass, momentum_pass, plain_pass
from sftheory.optim.one_pass_norms import BLOCK as LONG
from sftheory.optim.one_pass_norms import (
    LANES,
    adaptive_norms,
    collect,
    momentum_norms,
    plain_norms,
)
from sftheory.optim.tally import PAIRS

BLOCK = 256
Y, Z, G, V, M, START = range(6)  # columns of addresses; the last column is the length
loose: Any = {"reassoc", "nsz", "contract"}  # sums may be taken in any order; NaN stays NaN


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=loose)
def _norms(y, z, y1, z1, g, k, k1, zero, out):
    """Of y, z, x and g before the step, and of what the step changed."""
    yy = yd = dd = zz = ze = ee = xx = xf = ff = gg = gd = gb = bb = zero
    for i in range(y.size):
        yi, zi, gi = y[i], z[i], g[i]
        d, e, back = y1[i] - yi, z1[i] - zi, zi - yi
        x = yi + k * back
        f = d + k1 * (e - d) + (k1 - k) * back  # of the next x, where another beta made y
        yy += yi * yi
        yd += yi * d
        dd += d * d
        zz += zi * zi
        ze += zi * e
        ee += e * e
        xx += x * x
        xf += x * f
        ff += f * f
        gg += gi * gi
        gd += gi * d
        gb += gi * back
        bb += back * back
    for j, value in enumerate((yy, yd, dd, zz, ze, ee, xx, xf, ff, gg, gd, gb)):
        out[j] += value
    out[12] += (1 - k) * (1 - k) * bb


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath=loose)
def _distances(y, z, start, k, zero, out):
    """Of y, z and x from the start."""
    a = b = c = zero
    for i in range(y.size):
        yi, zi, wi = y[i], z[i], start[i]
        p, q = yi - wi, zi - wi
        r = p + k * (q - p)
        a += p * p
        b += q * q
        c += r * r
    out[13] += a
    out[14] += b
    out[15] += c


@numba.njit(nogil=True, cache=True, error_model="numpy")
def summed_rows(
    table,
    out,
    kind,
    starts,
    few,
    rest,
    beta2,
    rest2,
    eps,
    decay_y,
    decay_z,
    toward,
    along_y,
    along_z,
    k,
    k1,
    zero,
):
    """A step of the rows of a table; `kind` is 0 for the plain pass, 1 with v, 2 with v and m.

    With `few` only norms are summed, in the loops of `one_pass_norms`.
    """
    for r in range(table.shape[0]):
        n = table[r, -1]
        y = numba.carray(_at(table[r, Y], along_z), n)
        z = numba.carray(_at(table[r, Z], along_z), n)
        g = numba.carray(_at(table[r, G], along_z), n)
        v = numba.carray(_at(table[r, V], along_z), n)
        m = numba.carray(_at(table[r, M], along_z), n)
        start = numba.carray(_at(table[r, START], along_z), n)
        y0, z0 = np.empty(BLOCK, y.dtype), np.empty(BLOCK, y.dtype)
        first = 0
        if few:  # all but what does not fill the lanes
            first = n - n % LANES
            lanes = np.zeros(5 * LANES, y.dtype)
            for low in range(0, first, LONG):
                high = min(low + LONG, first)
                yb, zb, gb, vb = y[low:high], z[low:high], g[low:high], v[low:high]
                if kind == 0:
                    plain_norms(yb, zb, gb, lanes, k, decay_y, decay_z, toward, along_y, along_z)
                elif kind == 1:
                    adaptive_norms(
                        yb,
                        zb,
                        gb,
                        vb,
                        lanes,
                        k,
                        beta2,
                        rest2,
                        eps,
                        decay_y,
                        decay_z,
                        toward,
                        along_y,
                        along_z,
                    )
                else:
                    momentum_norms(
                        yb,
                        zb,
                        gb,
                        vb,
                        m[low:high],
                        lanes,
                        k,
                        rest,
                        beta2,
                        rest2,
                        eps,
                        decay_y,
                        decay_z,
                        toward,
                        along_y,
                        along_z,
                    )
                collect(lanes, out[r])
        for low in range(first, n, BLOCK):
            high = min(low + BLOCK, n)
            yb, zb, gb = y[low:high], z[low:high], g[low:high]
            yk, zk = y0[: high - low], z0[: high - low]
            for i in range(high - low):
                yk[i] = yb[i]
                zk[i] = zb[i]
            if kind == 0:
                plain_pass(yb, zb, gb, decay_y, decay_z, toward, along_y, along_z)
            elif kind == 1:
                adaptive_pass(
                    yb,
                    zb,
                    gb,
                    v[low:high],
                    beta2,
                    rest2,
                    eps,
                    decay_y,
                    decay_z,
                    toward,
                    along_y,
                    along_z,
                )
            else:
                momentum_pass(
                    yb,
                    zb,
                    gb,
                    v[low:high],
                    m[low:high],
                    rest,
                    beta2,
                    rest2,
                    eps,
                    decay_y,
                    decay_z,
                    toward,
                    along_y,
                    along_z,
                )
            _norms(yk, zk, yb, zb, gb, k, k1, zero, out[r])
            if starts:
                _distances(yk, zk, start[low:high], k, zero, out[r])


WIDTH = len(PAIRS)
