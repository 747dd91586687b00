"""Sums of two doubles with 106 bits, compiled, and rounded outwards.

A number is a pair (high, low) with |low| <= ulp(high) / 2. The sum, product and quotient below have
relative errors of at most 3, 7 and 15 times 2^-106 (joldes2017, algorithms 6, 10 and 17) as long as
nothing over- or underflows; `down` and `up` move a result by 64 times 2^-106 of itself, so that an
operation followed by one of them is a rigorous bound.
"""

from __future__ import annotations

from typing import TypeAlias

from numba import njit

Pair: TypeAlias = tuple[float, float]
SLACK = 2.0**-100
SPLIT = 134217729.0  # 2^27 + 1
SMALLEST = 2.0**-400  # of numbers near 1: their products, and the errors of these, do not underflow


@njit(cache=True)
def sum_exactly(a: float, b: float) -> Pair:
    """a + b."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@njit(cache=True)
def renormalised(a: float, b: float) -> Pair:
    """a + b exactly, for |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


@njit(cache=True)
def product_exactly(a: float, b: float) -> Pair:
    """a b, by Dekker's splitting."""
    p = a * b
    t = SPLIT * a
    ah = t - (t - a)
    al = a - ah
    t = SPLIT * b
    bh = t - (t - b)
    bl = b - bh
    return p, ((ah * bh - p) + ah * bl + al * bh) + al * bl


@njit(cache=True)
def add(a: Pair, b: Pair) -> Pair:
    """a + b."""
    sh, sl = sum_exactly(a[0], b[0])
    th, tl = sum_exactly(a[1], b[1])
    vh, vl = renormalised(sh, sl + th)
    return renormalised(vh, tl + vl)


@njit(cache=True)
def multiply(a: Pair, b: Pair) -> Pair:
    """a b."""
    ph, pl = product_exactly(a[0], b[0])
    return renormalised(ph, pl + (a[0] * b[1] + a[1] * b[0]))


@njit(cache=True)
def divide(a: Pair, b: Pair) -> Pair:
    """a / b."""
    t = a[0] / b[0]
    ph, pl = product_exactly(b[0], t)
    rh, rl = renormalised(ph, pl + b[1] * t)
    return renormalised(t, ((a[0] - rh) + (a[1] - rl)) / b[0])


@njit(cache=True)
def negative(a: Pair) -> Pair:
    """-a."""
    return -a[0], -a[1]


@njit(cache=True)
def times(power: float, a: Pair) -> Pair:
    """power a exactly, for a power of two."""
    return power * a[0], power * a[1]


@njit(cache=True)
def down(a: Pair) -> Pair:
    """A number below a by more than an operation's error."""
    return renormalised(a[0], a[1] - abs(a[0]) * SLACK)


@njit(cache=True)
def up(a: Pair) -> Pair:
    """A number above a by more than an operation's error."""
    return renormalised(a[0], a[1] + abs(a[0]) * SLACK)
