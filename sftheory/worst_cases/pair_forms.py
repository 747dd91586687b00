r"""The quadratic forms of the interpolation inequalities, and the three things asked of them.

With rows g_k and p_k (k = 1..M, and * last) over the basis x_1 - x_*, g_1, ..., g_M, a pair (i, k)
has the form

    A_ik = <g_k, p_i - p_k> + α/2 |g_i - g_k|² + β/2 |p_i - p_k|² - κ <g_i - g_k, p_i - p_k>,

of rank at most three, so that no A_ik is ever stored. A sum over pairs is two products with a graph
Laplacian, all <A_ik, X> come from three Gram matrices, and <A_ik, X A_jl Z> from twelve entries of
six.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PairForms:
    """The forms of points p (M + 1, n) and gradients g (M + 1, n); bends: α, β, κ."""

    p: Array
    g: Array
    bends: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def of(cls, rows: Array, L: float | None = None, mu: float = 0.0) -> PairForms:
        """Those of p_k = x_1 - Σ_l rows[k, l] g_l and of L-smooth, mu-strongly convex functions."""
        M = len(rows)
        p = np.zeros((M + 1, M + 1))
        p[:M, 0], p[:M, 1:] = 1, -rows
        g = np.zeros((M + 1, M + 1))
        g[:M, 1:] = np.eye(M)
        if L is None:
            return cls(p, g, (0.0, mu, 0.0))
        room = 1 - mu / L
        return cls(p, g, (1 / (L * room), mu / room, mu / (L * room)))

    def total(self, weights: Array) -> Array:
        """Σ weights[i, k] A_ik, (n, n)."""
        p, g = self.p, self.g
        alpha, beta, kappa = self.bends
        into = weights.sum(axis=0)
        S = g.T @ (weights.T @ p - into[:, None] * p)
        if any(self.bends):
            laplacian = np.diag(into + weights.sum(axis=1)) - weights - weights.T
            S += (alpha / 2 * g.T - kappa * p.T) @ laplacian @ g + beta / 2 * p.T @ laplacian @ p
        return (S + S.T) / 2

    def products(self, X: Array) -> Array:
        """<A_ik, X> for every pair, (M + 1, M + 1)."""
        p, g = self.p, self.g
        alpha, beta, kappa = self.bends
        gp = g @ X @ p.T
        own = np.diag(gp)
        out = gp.T - own
        if any(self.bends):
            gg, pp = g @ X @ g.T, p @ X @ p.T
            out += alpha / 2 * _squares(gg) + beta / 2 * _squares(pp)
            out -= kappa * (own[:, None] + own - gp - gp.T)
        return out

    def between(self, X: Array, Z: Array, i: Indices, k: Indices) -> Array:
        """<A_ik, X A_jl Z>, pairs by pairs, for symmetric X and Z; the lower triangle is filled."""
        p, g = self.p - self.p[0], self.g  # differences only; near zero they lose fewer digits
        tables = np.array([v @ Y @ w.T for Y in (X, Z) for v, w in ((g, g), (g, p), (p, p))])
        return _between(tables, i, k, *self.bends)

    def against_squares(self, X: Array, Z: Array, i: Indices, k: Indices, free: Indices) -> Array:
        """<A_ik, X e_l e_l' Z> for basis vectors l in free, pairs by len(free)."""
        pX, pZ, gX, gZ = (v @ Y[:, free] for v in (self.p, self.g) for Y in (X, Z))
        dX, dZ = pX[i] - pX[k], pZ[i] - pZ[k]
        out = (gX[k] * dZ + gZ[k] * dX) / 2
        if any(self.bends):
            alpha, beta, kappa = self.bends
            eX, eZ = gX[i] - gX[k], gZ[i] - gZ[k]
            out += alpha / 2 * eX * eZ + beta / 2 * dX * dZ - kappa / 2 * (eX * dZ + eZ * dX)
        return out


def _squares(gram: Array) -> Array:
    own = np.diag(gram)
    return own[:, None] + own - 2 * gram


@njit(cache=True)
def _between(
    tables: Array, i: Indices, k: Indices, alpha: float, beta: float, kappa: float
) -> Array:
    ggX, gpX, ppX, ggZ, gpZ, ppZ = tables
    m = len(i)
    bent = alpha != 0 or beta != 0 or kappa != 0
    out = np.zeros((m, m))
    for a in range(m):
        ia, ka = i[a], k[a]
        for b in range(a + 1):
            ib, kb = i[b], k[b]
            # vectors in the order g_k, p_i - p_k (and g_i - g_k): x_uv under X, z_uv under Z
            x00, z00 = ggX[ka, kb], ggZ[ka, kb]
            x01, z01 = gpX[ka, ib] - gpX[ka, kb], gpZ[ka, ib] - gpZ[ka, kb]
            x10, z10 = gpX[kb, ia] - gpX[kb, ka], gpZ[kb, ia] - gpZ[kb, ka]
            x11 = ppX[ia, ib] - ppX[ia, kb] - ppX[ka, ib] + ppX[ka, kb]
            z11 = ppZ[ia, ib] - ppZ[ia, kb] - ppZ[ka, ib] + ppZ[ka, kb]
            if not bent:
                out[a, b] = (x00 * z11 + x11 * z00 + x01 * z10 + x10 * z01) / 4
                continue
            x02, z02 = ggX[ka, ib] - x00, ggZ[ka, ib] - z00
            x20, z20 = ggX[ia, kb] - x00, ggZ[ia, kb] - z00
            x22, z22 = ggX[ia, ib] - ggX[ia, kb] - x02, ggZ[ia, ib] - ggZ[ia, kb] - z02
            x21, z21 = gpX[ia, ib] - gpX[ia, kb] - x01, gpZ[ia, ib] - gpZ[ia, kb] - z01
            x12, z12 = gpX[ib, ia] - gpX[ib, ka] - x10, gpZ[ib, ia] - gpZ[ib, ka] - z10
            # rows of C z, C = [[0, 1, 0], [1, β, -κ], [0, -κ, α]] / 2, then times C once more
            r00, r01, r02 = z10, z11, z12
            r10 = z00 + beta * z10 - kappa * z20
            r11 = z01 + beta * z11 - kappa * z21
            r12 = z02 + beta * z12 - kappa * z22
            r20 = alpha * z20 - kappa * z10
            r21 = alpha * z21 - kappa * z11
            r22 = alpha * z22 - kappa * z12
            out[a, b] = (
                x00 * r01
                + x01 * (r00 + beta * r01 - kappa * r02)
                + x02 * (alpha * r02 - kappa * r01)
                + x10 * r11
                + x11 * (r10 + beta * r11 - kappa * r12)
                + x12 * (alpha * r12 - kappa * r11)
                + x20 * r21
                + x21 * (r20 + beta * r21 - kappa * r22)
                + x22 * (alpha * r22 - kappa * r21)
            ) / 4
    return out
