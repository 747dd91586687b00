r"""Norms and gates in one pass over memory, forward and back, for processors.

    RMS norm of a sum    s = x + a,  y = r gain s,  r = 1 / sqrt(mean s² + eps)
                         ds += r gain dy - s r³ mean(gain dy s),   dgain = Σ r s dy
    SwiGLU               y = a σ(a) b,   da = dy b σ(a) (1 + a (1 - σ(a))),   db = dy a σ(a)

torch's own versions read and write each tensor several times.
"""
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from sftheory.lm.team import compiled, floats, given, loop

EPS = np.float32(1e-6)
LOG2E = np.float32(1.4426950408889634)


@loop
def norm_rows(table, share, first, last):
    """Of x, a, s, y (rows, d), gain (d,) and r (rows,), then d; no a where its address is 0."""
    d = given(table, 6)
    x, a, s = floats(table, 0, (last, d)), floats(table, 1, (last, d)), floats(table, 2, (last, d))
    y, gain, scale = floats(table, 3, (last, d)), floats(table, 4, (d,)), floats(table, 5, (last,))
    sums = given(table, 1) != 0
    for i in range(first, last):
        total = np.float32(0)
        if sums:
            for j in range(d):
                value = x[i, j] + a[i, j]
                s[i, j] = value
                total += value * value
        else:
            for j in range(d):
                total += x[i, j] * x[i, j]
        row = s[i] if sums else x[i]
        r = np.float32(1) / np.sqrt(total / np.float32(d) + EPS)
        scale[i] = r
        for j in range(d):
            y[i, j] = row[j] * r * gain[j]


@loop
def norm_back_rows(table, share, first, last):
    """Of dy, ds, s, dx (rows, d), gain (d,), r (rows,), dgain (shares, d), then d; ds may be 0."""
    d = given(table, 7)
    dy, ds, s = (
        floats(table, 0, (last, d)),
        floats(table, 1, (last, d)),
        floats(table, 2, (last, d)),
    )
    dx, gain = floats(table, 3, (last, d)), floats(table, 4, (d,))
    scale, dgain = floats(table, 5, (last,)), floats(table, 6, (share + 1, d))[share]
    dgain[:] = 0
    adds = given(table, 1) != 0
    for i in range(first, last):
        r, total = scale[i], np.float32(0)
        for j in range(d):
            total += gain[j] * dy[i, j] * s[i, j]
        m = total * r * r * r / np.float32(d)
        if adds:
            for j in range(d):
                dx[i, j] = ds[i, j] + r * gain[j] * dy[i, j] - s[i, j] * m
                dgain[j] += r * s[i, j] * dy[i, j]
        else:
            for j in range(d):
                dx[i, j] = r * gain[j] * dy[i, j] - s[i, j] * m
                dgain[j] += r * s[i, j] * dy[i, j]


@compiled
def power(x):
    """2^x for |x| <= 126, to 2e-7 of it."""
    whole = np.floor(x + np.float32(0.5))
    f = x - whole
    p = np.float32(1.534581242594868e-04) * f + np.float32(1.3399930903688073e-03)
    p = p * f + np.float32(9.618489071726799e-03)
    p = p * f + np.float32(5.550328642129898e-02)
    p = p * f + np.float32(2.4022646248340607e-01)
    p = p * f + np.float32(6.931471824645996e-01)
    p = p * f + np.float32(1)
    return p * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled
def sigmoid(a):
    """1 / (1 + exp(-a))."""
    x = min(max(-LOG2E * a, np.float32(-126)), np.float32(126))
    return np.float32(1) / (np.float32(1) + power(x))


@loop
def gate_rows(table, share, first, last):
    """Of (rows, 2h) with a in front of b, and y = silu(a) b (rows, h), then h."""
    h = given(table, 2)
    both, y = floats(table, 0, (last, 2 * h)), floats(table, 1, (last, h))
    for i in range(first, last):
        for j in range(h):
            a = both[i, j]
            y[i, j] = a * sigmoid(a) * both[i, h + j]


@loop
def gate_back_rows(table, share, first, last):
    """Of dy (rows, h), the pair (rows, 2h) and its gradient, then h."""
    h = given(table, 3)
    dy, both = floats(table, 0, (last, h)), floats(table, 1, (last, 2 * h))
    out = floats(table, 2, (last, 2 * h))
    for i in range(first, last):
        for j in range(h):
            a, b, g = both[i, j], both[i, h + j], dy[i, j]
            s = sigmoid(a)
            out[i, j] = g * b * s * (np.float32(1) + a * (np.float32(1) - s))
            out[i, h + j] = g * a * s
