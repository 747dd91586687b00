r"""The exact worst case of the last iterate where every gradient has a bound of its own.

For |g_t| <= G_t, t = 1, ..., N + 1, the worst case is the least of

    J = ½ [D²/P_1 + Σ_k (c_k + h_k²/P_{k+1}) G_k² + P_{N+1} G_{N+1}²],
    P_k = P_{k+1} + 2 h_k + h_k²/P_{k+1} + c_k,   c_k >= 0,  P_{N+1} > 0,

and the greatest, over 0 <= A_1 <= ... <= A_{N+1} with A_k <= G_k², of

    D sqrt(A_1) + Σ_k h_k [sqrt((A_{k+1} - A_k)(G_k² - A_k)) - A_k].

So any c and P_{N+1} give an upper bound and any A a lower one, with an explicit function. Optimal
pairs have A_1 = D²/P_1², A_{k+1} = A_k + (h_k/P_{k+1})² (G_k² - A_k), and c_k (G_k² - A_k) = 0. An
interior-point method solves these: in the order P_1, A_1, P_2, A_2, ... Newton's equations are
tridiagonal, so that an iteration is O(N).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import solve_banded

from sftheory.worst_cases.double_double import (
    add,
    divide,
    down,
    multiply,
    negative,
    product_exactly,
    up,
)
from sftheory.worst_cases.hard_functions import MaxOfLinear

Array = NDArray[np.float64]
ITERATIONS = 100
ENOUGH = 1e-12  # upper - lower over upper, with which the first attempt is the last
GAP = 1e-17  # of D G: the complementarity at which Newton's method stops
JUMP = 1e-11  # of G_k²: where G_k² - A_k is less, it counts as zero


@dataclass(frozen=True, eq=False)
class Saddle:
    """A feasible pair with what it proves: lower <= W <= upper.

    c: (N,), slack of the chain.  P: (N + 1,).  A: (N + 1,).
    """

    lower: float
    upper: float
    c: Array
    P: Array
    A: Array

    def gradient(self, h: Array, G: Array) -> Array:
        """∂W/∂h_k = sqrt((A_{k+1} - A_k)(G_k² - A_k)) - A_k, (N,)."""
        return np.sqrt(np.diff(self.A) * (G[:-1] ** 2 - self.A[:-1])) - self.A[:-1]

    def function(self, h: Array, D: float, G: Array) -> MaxOfLinear:
        """A function that attains `lower`.

        Where A_k = G_k² and c_k > 0, piece k has no direction of its own and ties at x_{k+1} too:
        it may be returned only above the mean of f(x_k) and f(x_{k+1}). Where norms range over
        six decades or more, rounding may hide a tie, and less than `lower` is attained.
        """
        G0 = float(G.max())
        rho2 = G[:-1] ** 2 - self.A[:-1]
        share = rho2 / G[:-1] ** 2
        jumps = (share <= JUMP) | (share < self.c / self.P[:-1])
        rho2[jumps] = 0
        fall = np.diff(self.A) * rho2  # (q_k rho_k²)²
        q = np.sqrt(np.divide(np.diff(self.A), rho2, out=np.zeros(len(h)), where=~jumps))
        falls = h * (self.A[:-1] - np.sqrt(fall))
        values = np.sqrt(self.A[0]) * D - np.cumsum(falls)
        floor = np.where(jumps, values + falls / 2, -np.inf)
        return MaxOfLinear(
            float(np.sqrt(self.A[0])) / G0, q, np.sqrt(rho2) / G0, D, G0, floor=floor
        )


def solve(h: Array, D: float, G: Array) -> Saddle:
    """The optimal pair for steps h > 0, (N,), and norms G > 0, (N + 1,), and its proof.

    Whatever the iteration ends with is made feasible, and both ends are rounded outwards.
    """
    unit = float(G.max())  # in units of D and max G
    h_, G_ = h * (unit / D), G / unit
    tops: list[tuple[float, Array, Array]] = []
    bottoms: list[tuple[float, Array]] = []
    for centring in (None, 0.3, 0.5, 0.7):  # short steps near the central path where long ones jam
        P, c, alpha = _interior_point(h_, G_ * G_, centring)
        P, c = P * (D / unit), np.maximum(c, 0) * (D / unit)
        jumps = c / P[:-1] > alpha / G_[:-1] ** 2  # of each pair c_k, G_k² - A_k one is zero
        for slack in (c, np.where(jumps, c, 0.0)):
            upper, chain = _upper(h, D, G, slack, float(P[-1]))
            tops.append((upper, slack, chain))
        kept = np.append((G_[:-1] ** 2 - alpha) * unit**2, G[-1] ** 2)
        bottoms += [_lower(h, D, G, P), _lower_from(h, D, G, kept)]
        upper, c, P = min(tops, key=lambda end: end[0])
        lower, A = max(bottoms, key=lambda end: end[0])
        if upper - lower <= ENOUGH * upper:
            break
    return Saddle(float(lower), float(upper), c, P, A)


def _interior_point(h: Array, g2: Array, centring: float | None) -> tuple[Array, Array, Array]:
    """P, c and α_k = G_k² - A_k (N,), in units of D = max G = 1.

    Mehrotra's predictor-corrector, or steps with a fixed centring.
    """
    N = len(h)
    P = _loose_chain(h)
    c = np.maximum(P[:-1] - P[1:] - 2 * h - h * h / P[1:], 1e-3 * P[:-1])
    alpha = 0.5 * g2[:-1]
    for _ in range(ITERATIONS):
        q2 = (h / P[1:]) ** 2
        chain = P[:-1] - P[1:] - 2 * h - h * h / P[1:] - c
        A = g2[:-1] - alpha
        still = np.concatenate([A, g2[-1:]])
        still[0] -= 1 / P[0] ** 2
        still[1:] -= A + q2 * alpha
        pairs = c * alpha
        mu = pairs.mean()
        if mu < GAP and max(np.abs(chain / P[:-1]).max(), np.abs(still).max()) < 1e-13:
            break
        bands = np.zeros((3, 2 * N + 1))
        bands[0, 1::2], bands[0, 2::2] = 1, q2 - 1
        bands[1, 0], bands[1, 2::2] = 2 / P[0] ** 3, 2 * q2 * alpha / P[1:]
        bands[1, 1::2] = -c / alpha
        bands[2, 0:-1:2], bands[2, 1::2] = 1, q2 - 1

        def newton(
            target: Array | float,
            bands: Array = bands,
            still: Array = still,
            chain: Array = chain,
            pairs: Array = pairs,
            c: Array = c,
            alpha: Array = alpha,
        ) -> tuple[Array, Array, Array]:
            right = np.empty(2 * N + 1)
            right[0::2] = -still
            right[1::2] = (target - pairs) / alpha - chain
            found = solve_banded((1, 1), bands, right, check_finite=False)
            d_alpha = -found[1::2]
            return found[0::2], (target - pairs - c * d_alpha) / alpha, d_alpha

        if centring is None:
            dP, dc, da = newton(0.0)
            t = min(1.0, _room(P, dP), _room(c, dc), _room(alpha, da))
            after = ((c + t * dc) * (alpha + t * da)).mean()
            dP, dc, da = newton(min(1.0, after / mu) ** 3 * mu - (dc * da if t > 0.1 else 0.0))
        else:
            dP, dc, da = newton(centring * mu)
        if not np.isfinite(dP).all():
            break
        most = min(_room(P, dP), _room(c, dc), _room(alpha, da))
        if centring is None:
            t = min(1.0, min(max(0.9, 1 - 10 * mu), 0.9995) * most)
        else:
            t = min(1.0, 0.8 * most)
        P, c, alpha = P + t * dP, c + t * dc, alpha + t * da
    return P, c, alpha


def _room(value: Array, move: Array) -> float:
    """The largest t for which value + t move >= 0."""
    falls = move < 0
    return float((value[falls] / -move[falls]).min()) if falls.any() else np.inf


def _loose_chain(h: Array) -> Array:
    """The least chain, and a tenth more."""
    least = np.empty(len(h) + 1)
    _least_chain(h, least)
    share = np.arange(len(h) + 1, 0, -1) / (len(h) + 1)
    return 1.1 * least + 0.1 * least[0] * share


@njit(cache=True)
def _least_chain(h: Array, P: Array) -> None:
    """P_{k+1} = max(M_{k+1}, h_k)."""
    P[-1] = h[-1]
    for k in range(len(h) - 1, -1, -1):
        P[k + 1] = max(P[k + 1], h[k])
        P[k] = P[k + 1] + 2 * h[k] + h[k] * h[k] / P[k + 1]


@njit(cache=True)
def _upper(h: Array, D: float, G: Array, c: Array, last: float) -> tuple[float, Array]:
    """J of the chain that c and P_{N+1} = last make, rounded up, and the chain."""
    N = len(h)
    P = np.empty(N + 1)
    P[N] = last
    low = high = (last, 0.0)
    J = up(multiply(high, product_exactly(G[N], G[N])))
    for k in range(N - 1, -1, -1):
        square = product_exactly(h[k], h[k])
        own = up(add((c[k], 0.0), up(divide(square, low))))
        J = up(add(J, up(multiply(own, product_exactly(G[k], G[k])))))
        whole = (c[k], 0.0), (2 * h[k], 0.0)
        more = down(add(down(add(low, whole[0])), whole[1]))
        less = up(add(up(add(high, whole[0])), whole[1]))
        low, high = (
            down(add(more, down(divide(square, high)))),
            up(add(less, up(divide(square, low)))),
        )
        P[k] = high[0]
    J = up(add(J, up(divide(product_exactly(D, D), low))))
    return np.nextafter((J[0] + J[1]) / 2, np.inf), P


@njit(cache=True)
def _lower(h: Array, D: float, G: Array, P: Array) -> tuple[float, Array]:
    """The value of the A that the chain makes, kept feasible, rounded down; and A."""
    A = np.empty(len(h) + 1)
    A[0] = (D / P[0]) ** 2
    for k in range(len(h)):
        A[k + 1] = A[k] + (h[k] / P[k + 1]) ** 2 * max(G[k] * G[k] - A[k], 0.0)
    A[-1] = G[-1] * G[-1]
    return _lower_from(h, D, G, A)


@njit(cache=True)
def _lower_from(h: Array, D: float, G: Array, A: Array) -> tuple[float, Array]:
    """The value of A, made nondecreasing and at most G_j² from each k <= j on; rounded down."""
    N = len(h)
    A = A.copy()
    limit = np.inf
    for k in range(N, -1, -1):
        limit = min(limit, np.nextafter(G[k] * G[k], 0.0))
        A[k] = min(max(A[k], 0.0), limit)
    for k in range(N):
        A[k + 1] = max(A[k], A[k + 1])
    total = product_exactly(D, np.nextafter(np.sqrt(A[0]), 0.0))
    for k in range(N):
        rise = down(add((A[k + 1], 0.0), (-A[k], 0.0)))
        room = down(add(product_exactly(G[k], G[k]), (-A[k], 0.0)))
        inside = np.nextafter(np.nextafter(rise[0], 0.0) * np.nextafter(room[0], 0.0), 0.0)
        root = np.nextafter(np.sqrt(inside), 0.0) if inside > 0 else 0.0
        gain = add(product_exactly(h[k], root), negative(product_exactly(h[k], A[k])))
        total = down(add(total, down(gain)))
    return np.nextafter(total[0] + total[1], -np.inf), A
