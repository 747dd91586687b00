r"""Causal attention of normed and turned queries and keys, some rows of scores at a time.

    n = r x,  r = 1 / sqrt(mean x² + eps);  pairs (i, i + w/2) turned by (cos, sin), for q and k
    P = exp(q k' / sqrt w) up to the diagonal,  y = (P v) / Σ P
    dP = dy v',  dS = P (dP - Σ P dP) / sqrt w,  dv = P' dy,  dq = dS k,  dk = dS' q
    dx = r (dn - n mean(n dn)), turned back

Most scores above the diagonal are not computed, and no more than ROWS T of them are held by a
thread. Normed queries and keys have scores of at most sqrt w, so no maximum is taken off before
the exponential.
"""
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from sftheory.lm.kernels import EPS, LOG2E, power
from sftheory.lm.products import product
from sftheory.lm.team import compiled, floats, given, loop

ROWS = 64  # queries at once
ONE, NONE = np.float32(1), np.float32(0)


@compiled
def turn(qkv, r, cos, sin, b, h):
    """Queries and keys of a head (b, h), normed and turned in place; r (2, T) is set."""
    T, half = cos.shape
    for part in range(2):
        for t in range(T):
            total = NONE
            for j in range(2 * half):  # slices instead of places would not be vectorised
                total += qkv[b, t, part, h, j] * qkv[b, t, part, h, j]
            s = ONE / np.sqrt(total / np.float32(2 * half) + EPS)
            r[part, t] = s
            for j in range(half):
                x, y = s * qkv[b, t, part, h, j], s * qkv[b, t, part, h, half + j]
                qkv[b, t, part, h, j] = x * cos[t, j] - y * sin[t, j]
                qkv[b, t, part, h, half + j] = y * cos[t, j] + x * sin[t, j]


@compiled
def turn_back(qkv, grad, r, cos, sin, b, h):
    """Gradients of turned queries and keys of a head become those of what they were before."""
    T, half = cos.shape
    for part in range(2):
        for t in range(T):
            total = NONE
            for j in range(2 * half):  # a turn keeps inner products
                total += qkv[b, t, part, h, j] * grad[b, t, part, h, j]
            m, s = total / np.float32(2 * half), r[part, t]
            for j in range(half):
                x = s * (grad[b, t, part, h, j] - m * qkv[b, t, part, h, j])
                y = s * (grad[b, t, part, h, half + j] - m * qkv[b, t, part, h, half + j])
                grad[b, t, part, h, j] = x * cos[t, j] + y * sin[t, j]
                grad[b, t, part, h, half + j] = y * cos[t, j] - x * sin[t, j]


@loop
def attend(table, share, first, last):
    """Of qkv (B, T, 3, H, w), cos, sin (T, w/2), r (B H, 2, T), 1 / Σ P (B H, T), y (B, T, H, w).

    Then of room (shares, ROWS, T), sgemm, T, H and w. A row is one of the B H heads.
    """
    blas, T, H, w = given(table, 7), given(table, 8), given(table, 9), given(table, 10)
    step, c = 3 * H * w, np.float32(LOG2E / np.sqrt(w))
    qkv, r = floats(table, 0, (last, T, 3, H, w)), floats(table, 3, (last, 2, T))
    cos, sin = floats(table, 1, (T, w // 2)), floats(table, 2, (T, w // 2))
    inverse, y = floats(table, 4, (last, T)), floats(table, 5, (last, T, H, w))
    scores = floats(table, 6, (share + 1, ROWS, T))[share]
    p = scores.ctypes.data
    for i in range(first, last):
        b, h = i // H, i % H
        turn(qkv, r[i], cos, sin, b, h)
        k, v = qkv[b, 0, 1, h].ctypes.data, qkv[b, 0, 2, h].ctypes.data
        for t in range(0, T, ROWS):
            n = min(t + ROWS, T)
            q, out = qkv[b, t, 0, h].ctypes.data, y[b, t, h].ctypes.data
            product(blas, (n - t, n, w, step, 0, step, 1, T), q, k, p, ONE, NONE)
            for s in range(n - t):
                total = NONE
                for j in range(t + s + 1):
                    e = power(c * scores[s, j])
                    total += e
                    scores[s, j] = e
                scores[s, t + s + 1 : n] = NONE
                inverse[i, t + s] = ONE / total
            product(blas, (n - t, w, n, T, 0, step, 0, H * w), p, v, out, ONE, NONE)
            for s in range(t, n):
                for j in range(w):
                    y[b, s, h, j] *= inverse[i, s]


@loop
def attend_back(table, share, first, last):
    """Of dy (B, T, H, w), qkv as turned, cos, sin, r, 1 / Σ P, and the gradient of qkv.

    Then of room (shares, 2, ROWS, T), sgemm, T, H and w. A row is one of the B H heads.
    """
    blas, T, H, w = given(table, 8), given(table, 9), given(table, 10), given(table, 11)
    step, scale = 3 * H * w, np.float32(1 / np.sqrt(w))
    c = np.float32(LOG2E / np.sqrt(w))
    dy, qkv = floats(table, 0, (last, T, H, w)), floats(table, 1, (last, T, 3, H, w))
    cos, sin = floats(table, 2, (T, w // 2)), floats(table, 3, (T, w // 2))
    r, inverse = floats(table, 4, (last, 2, T)), floats(table, 5, (last, T))
    grad, room = floats(table, 6, (last, T, 3, H, w)), floats(table, 7, (share + 1, 2, ROWS, T))
    scores, slopes = room[share, 0], room[share, 1]
    p, d = scores.ctypes.data, slopes.ctypes.data
    for i in range(first, last):
        b, h = i // H, i % H
        k, v = qkv[b, 0, 1, h].ctypes.data, qkv[b, 0, 2, h].ctypes.data
        dk, dv = grad[b, 0, 1, h].ctypes.data, grad[b, 0, 2, h].ctypes.data
        for t in range((T - 1) // ROWS * ROWS, -1, -ROWS):  # the last ones see all keys
            n = min(t + ROWS, T)
            q, dq = qkv[b, t, 0, h].ctypes.data, grad[b, t, 0, h].ctypes.data
            of_y = dy[b, t, h].ctypes.data
            product(blas, (n - t, n, w, step, 0, step, 1, T), q, k, p, ONE, NONE)
            product(blas, (n - t, n, w, H * w, 0, step, 1, T), of_y, v, d, ONE, NONE)
            for s in range(n - t):
                total, over = NONE, inverse[i, t + s]
                for j in range(t + s + 1):
                    e = over * power(c * scores[s, j])
                    total += e * slopes[s, j]
                    scores[s, j] = e
                for j in range(t + s + 1):
                    slopes[s, j] = scale * scores[s, j] * (slopes[s, j] - total)
                scores[s, t + s + 1 : n] = NONE
                slopes[s, t + s + 1 : n] = NONE
            before = NONE if n == T else ONE
            product(blas, (n, w, n - t, T, 1, H * w, 0, step), p, of_y, dv, ONE, before)
            product(blas, (n, w, n - t, T, 1, step, 0, step), d, q, dk, ONE, before)
            product(blas, (n - t, w, n, T, 0, step, 0, step), d, k, dq, ONE, NONE)
        turn_back(qkv, grad, r[i], cos, sin, b, h)
