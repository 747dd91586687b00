"""The one pass of `one_pass` with the inner products of `tally`, while each entry is at hand.

The arithmetic of the step is that of a step that nobody looks at, bit for bit: only the sums may be
reordered. Within a block they are in the parameters' precision, over blocks in float64.
"""
# pyright: reportPrivateImportUsage=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import numba

from sftheory.optim.one_pass import advance, compiled, opened

BLOCK = 4096
loose: Any = {"reassoc", "nsz", "contract"}  # sums may be taken in any order; NaN stays NaN


@numba.njit(nogil=True, cache=True, fastmath=loose)
def _plus(total, a, b):
    return total + a * b


@compiled
def _norms(y, z, g, v, m, numbers, k, out):
    """Of y, its change, z, x = y + k (z - y) and g."""
    yy = dd = zz = xx = gg = y.dtype.type(0)
    for i in range(len(y)):
        yi, zi, gi, after, _ = advance(y, z, g, v, m, i, numbers)
        d, x = after - yi, yi + k * (zi - yi)
        yy, dd, zz = _plus(yy, yi, yi), _plus(dd, d, d), _plus(zz, zi, zi)
        xx, gg = _plus(xx, x, x), _plus(gg, gi, gi)
    for place, value in ((0, yy), (2, dd), (3, zz), (6, xx), (9, gg)):
        out[place] += value


@compiled
def _products(y, z, g, v, m, start, numbers, k, k1, out):
    """All of them; distances where there is a start."""
    yy = yd = dd = zz = ze = ee = xx = xf = ff = gg = gd = gb = bb = y.dtype.type(0)
    pp = qq = rr = y.dtype.type(0)
    for i in range(len(y)):
        yi, zi, gi, after, further = advance(y, z, g, v, m, i, numbers)
        d, e, back = after - yi, further - zi, zi - yi
        x = yi + k * back
        f = d + k1 * (e - d) + (k1 - k) * back  # of the next x, where another beta made y
        yy, yd, dd = _plus(yy, yi, yi), _plus(yd, yi, d), _plus(dd, d, d)
        zz, ze, ee = _plus(zz, zi, zi), _plus(ze, zi, e), _plus(ee, e, e)
        xx, xf, ff = _plus(xx, x, x), _plus(xf, x, f), _plus(ff, f, f)
        gg, gd, gb = _plus(gg, gi, gi), _plus(gd, gi, d), _plus(gb, gi, back)
        bb = _plus(bb, back, back)
        if start is not None:
            p, q, r = yi - start[i], zi - start[i], x - start[i]
            pp, qq, rr = _plus(pp, p, p), _plus(qq, q, q), _plus(rr, r, r)
    sums = (yy, yd, dd, zz, ze, ee, xx, xf, ff, gg, gd, gb, bb, pp, qq, rr)
    for place, value in enumerate(sums):
        out[place] += (1 - k) * (1 - k) * value if place == 12 else value


@compiled
def summed_rows(table, out, v, m, start, few, numbers, k, k1):
    """Move the rows of a table of addresses, and add to the rows of `out` in the order of PAIRS.

    v, m and start are columns, or None; with `few`, which is True or None, only FEW are summed.
    """
    for r in range(len(table)):
        row, sums = table[r], out[r]
        for low in range(0, row[-1], BLOCK):
            high, like = min(low + BLOCK, row[-1]), numbers[0]
            y, z = opened(row, 0, low, high, like), opened(row, 1, low, high, like)
            g, w = opened(row, 2, low, high, like), opened(row, start, low, high, like)
            second, first = opened(row, v, low, high, like), opened(row, m, low, high, like)
            if few is not None:
                _norms(y, z, g, second, first, numbers, k, sums)
            else:
                _products(y, z, g, second, first, w, numbers, k, k1, sums)
