r"""Norms, rotations and gates in one pass over memory, forward and back, for processors.

    RMS norm    y = r gain x,  r = 1 / sqrt(mean x² + eps)
                dx = r gain dy - x r³ mean(gain dy x),   dgain = Σ r x dy
    queries and keys    n = r x without a gain, then the pairs (i, i + w/2) turned by (cos, sin)
    SwiGLU      y = a σ(a) b,   da = dy b σ(a) (1 + a (1 - σ(a))),   db = dy a σ(a)

torch's own versions read and write each tensor several times. Rows are shared among as many threads
as torch has, always in the same way, so that results do not depend on chance.
"""
# pyright: reportCallIssue=false

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numba
import numpy as np
import torch

_compiled = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@_compiled
def norm_rows(x, gain, eps, y, scale, first, last):
    """Rows of y and r, from x (rows, d)."""
    d = x.shape[1]
    for i in range(first, last):
        total = np.float32(0)
        for j in range(d):
            total += x[i, j] * x[i, j]
        r = np.float32(1) / np.sqrt(total / np.float32(d) + eps)
        scale[i] = r
        for j in range(d):
            y[i, j] = x[i, j] * r * gain[j]


@_compiled
def norm_back_rows(dy, x, gain, scale, dx, dgain, first, last):
    """Rows of dx, and what they add to dgain."""
    d = x.shape[1]
    for i in range(first, last):
        r, total = scale[i], np.float32(0)
        for j in range(d):
            total += gain[j] * dy[i, j] * x[i, j]
        m = total * r * r * r / np.float32(d)
        for j in range(d):
            dx[i, j] = r * gain[j] * dy[i, j] - x[i, j] * m
            dgain[j] += r * x[i, j] * dy[i, j]


@_compiled
def turn_rows(qkv, cos, sin, eps, q, k, v, scale, first, last):
    """Rows of q, k, v (rows, heads, w), from qkv (rows, 3, heads, w); row i is of time i mod T."""
    heads, w = qkv.shape[2], qkv.shape[3]
    T, half = cos.shape[0], w // 2
    for i in range(first, last):
        t = i % T
        for h in range(heads):
            for part in range(2):
                out = q if part == 0 else k
                total = np.float32(0)
                for j in range(w):
                    total += qkv[i, part, h, j] * qkv[i, part, h, j]
                r = np.float32(1) / np.sqrt(total / np.float32(w) + eps)
                scale[i, part, h] = r
                for j in range(half):
                    a, b = r * qkv[i, part, h, j], r * qkv[i, part, h, half + j]
                    out[i, h, j] = a * cos[t, j] - b * sin[t, j]
                    out[i, h, half + j] = b * cos[t, j] + a * sin[t, j]
            for j in range(w):
                v[i, h, j] = qkv[i, 2, h, j]


@_compiled
def turn_back_rows(dq, dk, dv, qkv, cos, sin, scale, out, first, last):
    """Rows of the gradient of qkv."""
    heads, w = qkv.shape[2], qkv.shape[3]
    T, half = cos.shape[0], w // 2
    for i in range(first, last):
        t = i % T
        for h in range(heads):
            for part in range(2):
                given = dq if part == 0 else dk
                r, total = scale[i, part, h], np.float32(0)
                for j in range(half):
                    a, b = given[i, h, j], given[i, h, half + j]
                    da, db = a * cos[t, j] + b * sin[t, j], b * cos[t, j] - a * sin[t, j]
                    out[i, part, h, j], out[i, part, h, half + j] = da, db
                    total += da * qkv[i, part, h, j] + db * qkv[i, part, h, half + j]
                m = total * r * r * r / np.float32(w)
                for j in range(w):
                    out[i, part, h, j] = r * out[i, part, h, j] - m * qkv[i, part, h, j]
            for j in range(w):
                out[i, 2, h, j] = dv[i, h, j]


@_compiled
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


@_compiled
def gate_rows(both, y, first, last):
    """Rows of y = silu(a) b, from (rows, 2h) with a in front of b."""
    h = y.shape[1]
    for i in range(first, last):
        for j in range(h):
            a = both[i, j]
            y[i, j] = a * sigmoid(a) * both[i, h + j]


@_compiled
def gate_back_rows(dy, both, out, first, last):
    """Rows of the gradient of (a, b)."""
    h = dy.shape[1]
    for i in range(first, last):
        for j in range(h):
            a, b, g = both[i, j], both[i, h + j], dy[i, j]
            s = sigmoid(a)
            out[i, j] = g * b * s * (np.float32(1) + a * (np.float32(1) - s))
            out[i, h + j] = g * a * s


def shared(work: Callable[[int, int, int], Any], rows: int, entries: int) -> None:
    """Calls work(share, first, last) for one share of the rows per thread of torch."""
    shares = shares_of(entries)
    if shares == 1:
        work(0, 0, rows)
        return
    cuts = np.linspace(0, rows, shares + 1).astype(int).tolist()
    jobs = [(i, a, b) for i, (a, b) in enumerate(pairwise(cuts))]
    list(_pool(shares).map(lambda job: work(*job), jobs))


def shares_of(entries: int) -> int:
    """In how many shares so many entries are cut."""
    return torch.get_num_threads() if entries >= 2**15 else 1


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sftheory-lm")
