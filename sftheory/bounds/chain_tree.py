r"""Backward chains from every horizon at once, O(N log N), compiled.

What a bound says of the point after t steps is a chain that runs from P = 2 start_t back over the
steps t, ..., 1, and a sum along it:

    P = 2 S + V (curved) or 2 S (straight),   V += w_k² / P,   S += h_k,   for k = t, ..., 1.

The curved chain with w = h is the recursion of the exact last iterate, clipped to V = 2 (h_k - S)
where h_k >= P; the straight one has the sums of Ω, Σ w_k² / (2 (start + h_{k+1} + ... + h_t)).

A block of steps with sum T that is entered at P >= T clips nowhere, and adds to V a function
r(P) = Σ w_k² / P_{k+1} whose singularities lie in [-2T, 0]: in s = sqrt(P) a step of the curved
chain is s + h/s, which keeps Re s > 0; and |P| falls by less than 2h, so that |P| > 2T never
reaches 0. With x = 2 sqrt(3) T / (P + c) - 1 and c = (sqrt(3) - 1) T, which maps P >= T to
-1 < x <= 1, r(P) / (1 + x) is therefore analytic off the real x with |x| >= 2 + sqrt(3), and 20
Chebyshev coefficients hold it. They are found from the leaves of 32 steps up, a node's through its
two children. A horizon walks back over the largest blocks that it may enter; where P < T it goes
down, and a leaf is done step by step. That at least doubles P, so it happens no more often than
Σh / P has doublings.

Error: every number added is positive and no prefix sums are subtracted, so rounding stays relative,
about log2 N units, and what is wrong in P enters later sums with a factor in [0, 1]. Interpolation
adds, relative to r: straight, 1 / T_20(2 + sqrt(3)) = 1e-17 for each pole, thus for their sum;
curved, 1e-15, from |P_{k+1}| >= max(|P| - 2T, (|P| + Re P) / 2) on the Bernstein ellipse 7 and
P_{k+1} <= P + 3T on the line. A node interpolates its children's errors again; over 15 levels of
random trees that made them at most 5 times larger. The tests find 1e-14 where 1e-12 is promised.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAF = 32  # steps; least time between 16 and 64
ORDER = 20
ROOT3 = np.sqrt(3.0)
_ANGLES = np.pi * (np.arange(ORDER) + 0.5) / ORDER
NODES = np.cos(_ANGLES)
TO_COEFFICIENTS = 2 / ORDER * np.cos(np.outer(np.arange(ORDER), _ANGLES))
TO_COEFFICIENTS[0] /= 2


def every_horizon(h: Array, w: Array, start: Array, curved: bool) -> tuple[Array, Array]:
    """S = start_t + h_1 + ... + h_t and V at the ends of the N chains.

    Args:
        h: (..., N), steps >= 0.
        w: (..., N), >= 0, the roots of the weights; the curved chain needs w = h.
        start: (..., N), >= 0, half of P where the chain of t steps begins.
        curved: whether V is part of P.

    Returns:
        (S, V), each (..., N); V of a straight chain with start 0 is inf or nan.

    Example:
        >>> h = np.array([1.0, 1.0])
        >>> S, V = every_horizon(h, h, np.zeros(2), curved=True)
        >>> (2 * S + V).tolist()  # P = 4 after one step, 4 + 2 + 1/4 after two
        [4.0, 6.25]
    """
    shape = np.broadcast_shapes(h.shape, w.shape, start.shape)
    rows = np.stack([np.broadcast_to(a, shape).reshape(-1, shape[-1]) for a in (h, w, start)])
    ends = [_walks(rows[0, i], rows[1, i], rows[2, i], curved) for i in range(rows.shape[1])]
    S, V = np.array(ends).swapaxes(0, 1)
    return S.reshape(shape), V.reshape(shape)


@njit(cache=True, error_model="numpy")
def _step(h: float, w: float, S: Array, V: Array, curved: bool) -> None:
    if curved:
        for i in range(len(S)):
            P = 2 * S[i] + V[i]
            V[i] = V[i] + w * (w / P) if h < P else 2 * (h - S[i])
            S[i] += h
    else:
        for i in range(len(S)):
            V[i] += w * (w / (2 * S[i]))
            S[i] += h


@njit(cache=True, error_model="numpy")
def _block(T: float, coefficients: Array, S: Array, V: Array, curved: bool, work: Array) -> None:
    """All steps of a block at once, for P >= T: V += (1 + x) Σ_m c_m T_m(x) by Clenshaw."""
    n = len(S)
    y, x2, b1, b2 = work[0], work[1], work[2], work[3]
    for i in range(n):
        P = 2 * S[i] + V[i] if curved else 2 * S[i]
        y[i] = 2 * ROOT3 * (T / (P + (ROOT3 - 1) * T))
        x2[i] = 2 * y[i] - 2
        b1[i] = b2[i] = 0.0
    for m in range(ORDER - 1, 0, -1):
        for i in range(n):
            b = coefficients[m] + (x2[i] * b1[i] - b2[i])
            b2[i] = b1[i]
            b1[i] = b
    for i in range(n):
        V[i] += y[i] * (coefficients[0] + (0.5 * x2[i] * b1[i] - b2[i]))
        S[i] += T


@njit(cache=True, error_model="numpy")
def _tree(h: Array, w: Array, curved: bool) -> tuple[Array, Array]:
    """T and the coefficients of every node: 1 is the root, 2i and 2i + 1 are the children of i."""
    leaves = 1
    while leaves * LEAF < len(h):
        leaves *= 2
    T, coefficients = np.zeros(2 * leaves), np.zeros((2 * leaves, ORDER))
    S, V, work = np.empty(ORDER), np.empty(ORDER), np.empty((4, ORDER))
    for i in range(2 * leaves - 1, 0, -1):
        first = (i - leaves) * LEAF
        end = min(first + LEAF, len(h))
        if i < leaves:
            T[i] = T[2 * i + 1] + T[2 * i]
        else:
            for k in range(end - 1, first - 1, -1):
                T[i] += h[k]
        if T[i] == 0:
            continue
        for j in range(ORDER):
            S[j] = T[i] / 2 * (2 * ROOT3 / (1 + NODES[j]) - (ROOT3 - 1))
            V[j] = 0.0
        if i < leaves:
            for child in (2 * i + 1, 2 * i):
                if T[child] > 0:
                    _block(T[child], coefficients[child], S, V, curved, work)
        else:
            for k in range(end - 1, first - 1, -1):
                _step(h[k], w[k], S, V, curved)
        for m in range(ORDER):
            for j in range(ORDER):
                coefficients[i, m] += TO_COEFFICIENTS[m, j] * (V[j] / (1 + NODES[j]))
    return T, coefficients


@njit(cache=True, error_model="numpy")
def _walks(h: Array, w: Array, start: Array, curved: bool) -> tuple[Array, Array]:
    """The chains, a leaf's in step with each other."""
    T, coefficients = _tree(h, w, curved)
    leaves = len(T) // 2
    all_S, all_V = start.copy(), np.zeros(len(h))
    work, stack = np.empty((4, LEAF)), np.empty(64, np.int64)
    for first in range(0, len(h), LEAF):
        end = min(first + LEAF, len(h))
        S, V = all_S[first:end], all_V[first:end]
        for k in range(end - 1, first - 1, -1):
            _step(h[k], w[k], S[k - first :], V[k - first :], curved)
        node = leaves + first // LEAF
        while node > 1:
            stack[0], waiting = node - 1, node % 2  # the left sibling of a right child comes next
            while waiting > 0:
                waiting -= 1
                i = int(stack[waiting])
                if T[i] == 0:
                    continue
                least = np.inf
                for j in range(len(S)):
                    least = min(least, 2 * S[j] + V[j] if curved else 2 * S[j])
                if least >= T[i]:
                    _block(T[i], coefficients[i], S, V, curved, work)
                elif i < leaves:
                    stack[waiting], stack[waiting + 1] = 2 * i, 2 * i + 1
                    waiting += 2
                else:
                    for k in range((i - leaves + 1) * LEAF - 1, (i - leaves) * LEAF - 1, -1):
                        _step(h[k], w[k], S, V, curved)
            node //= 2
    return all_S, all_V
