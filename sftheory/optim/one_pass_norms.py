"""The loops of `one_pass` that also sum squares: norms at the price of the step alone.

A partial sum for each lane of a vector unit, so that no sum has to be reordered: the arithmetic of
the step is that of a step that nobody looks at, bit for bit. The sums, LANES entries each, are of
y, of its change, of z, of x = y + k (z - y) and of g.
"""
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import numba
import numpy as np

LANES = 16
BLOCK = 4096  # entries that are summed in the parameters' precision before float64 takes over


@numba.njit(nogil=True, cache=True, error_model="numpy", inline="always")
def _add(sums, j, k, y, after, z, g):
    d, x = after - y, y + k * (z - y)
    sums[j] += y * y
    sums[LANES + j] += d * d
    sums[2 * LANES + j] += z * z
    sums[3 * LANES + j] += x * x
    sums[4 * LANES + j] += g * g


@numba.njit(nogil=True, cache=True, error_model="numpy")
def plain_norms(y, z, g, sums, k, decay_y, decay_z, toward, along_y, along_z):
    """The gradient itself as u; the length is a multiple of LANES."""
    for c in range(y.size // LANES):
        for j in range(LANES):
            i = c * LANES + j
            yi, zi, gi = y[i], z[i], g[i]
            u = gi + decay_y * yi + decay_z * zi
            after = yi + toward * (zi - yi) + along_y * u
            y[i] = after
            z[i] = zi + along_z * u
            _add(sums, j, k, yi, after, zi, gi)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def adaptive_norms(
    y, z, g, v, sums, k, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z
):
    """With v."""
    for c in range(y.size // LANES):
        for j in range(LANES):
            i = c * LANES + j
            yi, zi, gi = y[i], z[i], g[i]
            vi = beta2 * v[i] + rest2 * (gi * gi)
            v[i] = vi
            u = gi / (np.sqrt(vi) + eps) + decay_y * yi + decay_z * zi
            after = yi + toward * (zi - yi) + along_y * u
            y[i] = after
            z[i] = zi + along_z * u
            _add(sums, j, k, yi, after, zi, gi)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def momentum_norms(
    y, z, g, v, m, sums, k, rest, beta2, rest2, eps, decay_y, decay_z, toward, along_y, along_z
):
    """With v and m."""
    for c in range(y.size // LANES):
        for j in range(LANES):
            i = c * LANES + j
            yi, zi, gi = y[i], z[i], g[i]
            vi = beta2 * v[i] + rest2 * (gi * gi)
            v[i] = vi
            mi = m[i] + rest * (gi - m[i])
            m[i] = mi
            u = mi / (np.sqrt(vi) + eps) + decay_y * yi + decay_z * zi
            after = yi + toward * (zi - yi) + along_y * u
            y[i] = after
            z[i] = zi + along_z * u
            _add(sums, j, k, yi, after, zi, gi)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def collect(sums, out):
    """Add the lanes to the places of `tally.PAIRS`, and begin anew."""
    for s, place in enumerate((0, 2, 3, 6, 9)):
        for j in range(LANES):
            out[place] += sums[s * LANES + j]
            sums[s * LANES + j] = 0
