r"""The backward recursion behind the exact worst case of the last iterate, compiled.

With P_{N+1} = 0 and P_k = ψ(max(P_{k+1}, h_k)), ψ(P) = P + 2 h_k + h_k² / P, the worst case of
f(x_{N+1}) - f* over convex f with subgradients |g| <= G and |x_1 - x_*| <= D is

    W = ½ [D²/P_1 + G² (P_1 - 2 Σ h)]  if G P_1 >= D,    D G - G² Σ h  otherwise.

The values are computed in w = P/2 and a = w - Σ_{i>=k} h_i, where every term is positive. Zero
steps change nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True)
def values(h: Array, D: float, G: float) -> Array:
    """W of each row of h, (rows, N) -> (rows,), in O(N) and without cancellation."""
    out = np.empty(h.shape[0])
    for i in range(h.shape[0]):
        a = S = w = 0.0
        for k in range(h.shape[1] - 1, -1, -1):
            x = h[i, k]
            a = a + x * x / (4 * w) if x < 2 * w else x - S
            S += x
            w = a + S
        out[i] = G * G * a + D * D / (4 * w) if 2 * G * w >= D and w > 0 else D * G - G * G * S
    return out


@njit(cache=True)
def chain(h: Array) -> Array:
    """M_1, ..., M_{N+1} of the steps h > 0, (N,) -> (N + 1,)."""
    N = len(h)
    M = np.zeros(N + 1)
    for k in range(N - 1, -1, -1):
        P = max(M[k + 1], h[k])
        M[k] = P + 2 * h[k] + h[k] * h[k] / P
    return M


@njit(cache=True)
def worst_parameters(h: Array, D: float, G: float) -> tuple[float, Array, Array]:
    """p, q_k and U_k of the explicit worst function for steps h > 0; q and U are (N,).

    p = min(1, D / (G M_1)), U_1 = 1 - p², q_k = min(1, h_k / M_{k+1}), U_{k+1} = U_k (1 - q_k²).
    """
    M = chain(h)
    N = len(h)
    q, U = np.empty(N), np.empty(N)
    p = min(1.0, D / (G * M[0]))
    u = 1 - p * p
    for k in range(N):
        q[k] = h[k] / M[k + 1] if h[k] < M[k + 1] else 1.0
        U[k] = u
        u *= 1 - q[k] * q[k]
    return p, q, U


@njit(cache=True)
def directed(h: Array, D: float, G: float) -> tuple[float, float]:
    """lower <= W <= upper for steps h > 0, by rounding every operation outwards.

    An operation of round-to-nearest is within one neighbour of the exact result. A wrong branch
    only widens: the unclipped update is an upper and the clipped one a lower bound of the exact
    maximum over q, which grows with a and shrinks with the tail.
    """
    up, down = np.inf, -np.inf
    al = ah = tl = th = 0.0
    first = True
    for k in range(len(h) - 1, -1, -1):
        x = h[k]
        if first:
            al = ah = tl = th = x
            first = False
            continue
        low_w, high_w = np.nextafter(al + tl, down), np.nextafter(ah + th, up)
        square_low, square_high = np.nextafter(x * x, down), np.nextafter(x * x, up)
        if x < 2 * low_w:
            quarter = 4 * np.nextafter(al + th, up)
            al = np.nextafter(al + np.nextafter(square_low / quarter, down), down)
        else:
            al = np.nextafter(x - th, down)
        if x < 2 * high_w:
            quarter = 4 * np.nextafter(ah + tl, down)
            ah = np.nextafter(ah + np.nextafter(square_high / quarter, up), up)
        else:
            ah = np.nextafter(x - tl, up)
        tl, th = np.nextafter(tl + x, down), np.nextafter(th + x, up)
    g_low, g_high = np.nextafter(G * G, down), np.nextafter(G * G, up)
    d_low, d_high = np.nextafter(D * D, down), np.nextafter(D * D, up)
    if np.nextafter(2 * G * np.nextafter(al + tl, down), down) >= D:
        quarter = 4 * np.nextafter(al + th, up)
        low = np.nextafter(
            np.nextafter(g_low * al, down) + np.nextafter(d_low / quarter, down), down
        )
    else:
        low = np.nextafter(np.nextafter(D * G, down) - np.nextafter(g_high * th, up), down)
    if np.nextafter(2 * G * np.nextafter(ah + th, up), up) >= D:
        quarter = 4 * np.nextafter(ah + tl, down)
        high = np.nextafter(np.nextafter(g_high * ah, up) + np.nextafter(d_high / quarter, up), up)
    else:
        high = np.nextafter(np.nextafter(D * G, up) - np.nextafter(g_low * tl, down), up)
    return low, high
