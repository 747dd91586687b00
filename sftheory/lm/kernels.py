r"""Norms, rotations and gates in one pass over memory, forward and back, for processors.

    RMS norm of a sum    s = x + a,  y = r gain s,  r = 1 / sqrt(mean s² + eps)
                         ds += r gain dy - s r³ mean(gain dy s),   dgain = Σ r s dy
    queries and keys     n = r x without a gain, its pairs (i, i + w/2) turned by (cos, sin), in
                         place;  dx = r (dn - n mean(n dn)) turned back
    SwiGLU               y = a σ(a) b,   da = dy b σ(a) (1 + a (1 - σ(a))),   db = dy a σ(a)

torch's own versions read and write each tensor several times.
"""
# pyright: reportCallIssue=false

from __future__ import annotations

import numpy as np

from sftheory.lm.team import compiled, floats, given, loop

EPS = np.float32(1e-6)


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


@loop
def turn_rows(table, share, first, last):
    """Of qkv (rows, 3, heads, w), cos and sin (T, w/2), r (rows, 2, heads); row i is of i mod T."""
    T, heads, w = given(table, 4), given(table, 5), given(table, 6)
    half = w // 2
    qkv, scale = floats(table, 0, (last, 3, heads, w)), floats(table, 3, (last, 2, heads))
    cos, sin = floats(table, 1, (T, half)), floats(table, 2, (T, half))
    for i in range(first, last):
        t = i % T
        for part in range(2):
            for h in range(heads):
                x = qkv[i, part, h]
                total = np.float32(0)
                for j in range(w):
                    total += x[j] * x[j]
                r = np.float32(1) / np.sqrt(total / np.float32(w) + EPS)
                scale[i, part, h] = r
                for j in range(half):
                    a, b = r * x[j], r * x[half + j]
                    x[j] = a * cos[t, j] - b * sin[t, j]
                    x[half + j] = b * cos[t, j] + a * sin[t, j]


@loop
def turn_back_rows(table, share, first, last):
    """Of dq, dk, dv (rows, heads, w), qkv as turned, cos, sin, r, and the gradient of qkv."""
    T, heads, w = given(table, 8), given(table, 9), given(table, 10)
    half = w // 2
    dv = floats(table, 2, (last, heads, w))
    qkv, scale = floats(table, 3, (last, 3, heads, w)), floats(table, 6, (last, 2, heads))
    cos, sin = floats(table, 4, (T, half)), floats(table, 5, (T, half))
    out = floats(table, 7, (last, 3, heads, w))
    for i in range(first, last):
        t = i % T
        for part in range(2):
            dy = floats(table, part, (last, heads, w))
            for h in range(heads):
                x, g, dx = qkv[i, part, h], dy[i, h], out[i, part, h]
                r, total = scale[i, part, h], np.float32(0)
                for j in range(w):  # a turn keeps inner products
                    total += x[j] * g[j]
                m = total / np.float32(w)
                for j in range(half):
                    a, b = g[j] - m * x[j], g[half + j] - m * x[half + j]
                    dx[j] = r * (a * cos[t, j] + b * sin[t, j])
                    dx[half + j] = r * (b * cos[t, j] - a * sin[t, j])
        for h in range(heads):
            for j in range(w):
                out[i, 2, h, j] = dv[i, h, j]


@compiled
def sigmoid(a):
    """(1 + tanh(a / 2)) / 2, with tanh as a quotient of polynomials, to 2e-7."""
    half = np.float32(0.5)
    x = min(max(half * a, np.float32(-7.9)), np.float32(7.9))
    s = x * x
    top = np.float32(-2.76076847742355e-16) * s + np.float32(2.00018790482477e-13)
    top = top * s + np.float32(-8.60467152213735e-11)
    top = top * s + np.float32(5.12229709037114e-08)
    top = top * s + np.float32(1.48572235717979e-05)
    top = top * s + np.float32(6.37261928875436e-04)
    top = x * (top * s + np.float32(4.89352455891786e-03))
    low = np.float32(1.19825839466702e-06) * s + np.float32(1.18534705686654e-04)
    low = low * s + np.float32(2.26843463243900e-03)
    low = low * s + np.float32(4.89352518554385e-03)
    return half + half * (top / low)


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
