"""A rigorous enclosure of the exact worst case: 106-bit arithmetic, every operation outwards.

The update a -> max over q of {x q + a (1 - q²) - t q²} grows with a and shrinks with the tail t;
its unclipped formula is an upper bound and its clipped one a lower bound whatever the branch, so a
wrong branch can only widen. The loop is compiled; the last line, with D and G, is exact rationals.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numba import njit
from numpy.typing import NDArray

from sftheory.worst_cases.double_double import (
    add,
    divide,
    down,
    negative,
    product_exactly,
    times,
    up,
)

Array = NDArray[np.float64]


def enclose(h: Array, D: float, G: float) -> tuple[Fraction, Fraction]:
    """lower <= W(h; D, G) <= upper for steps h > 0, in O(N); relative width about N 2^-98.

    Args:
        h: (N,), > 0, none below 2^-400 of the largest; taken exactly.
        D: > 0.
        G: > 0.
    """
    _, exponent = np.frexp(h.max())
    unit = Fraction(2) ** int(exponent)
    ends = _sums(np.ldexp(h, -exponent))
    al, ah, tl, th = (unit * (Fraction(high) + Fraction(low)) for high, low in ends)
    D_, G_ = Fraction(D), Fraction(G)
    if 2 * G_ * (al + tl) >= D_:
        lower = G_ * G_ * al + D_ * D_ / (4 * (al + th))
    else:
        lower = D_ * G_ - G_ * G_ * th
    if 2 * G_ * (ah + th) >= D_:
        upper = G_ * G_ * ah + D_ * D_ / (4 * (ah + tl))
    else:
        upper = D_ * G_ - G_ * G_ * tl
    return lower, upper


def outward(lower: Fraction, upper: Fraction) -> tuple[float, float]:
    """Doubles around an interval of rationals."""
    low, high = float(lower), float(upper)
    return (
        low if Fraction(low) <= lower else float(np.nextafter(low, -np.inf)),
        high if Fraction(high) >= upper else float(np.nextafter(high, np.inf)),
    )


@njit(cache=True)
def _sums(h: Array) -> tuple:  # pyright: ignore[reportMissingTypeArgument]
    """a and the tail t = Σ h, below and above, each as two doubles."""
    step = (h[-1], 0.0)
    al, ah, tl, th = step, step, step, step
    for k in range(len(h) - 2, -1, -1):
        step = (h[k], 0.0)
        square = product_exactly(h[k], h[k])
        if h[k] < 2 * down(add(al, tl))[0]:
            al = down(add(al, down(divide(square, times(4.0, up(add(al, th)))))))
        else:
            al = down(add(step, negative(th)))
        if h[k] < 2 * up(add(ah, th))[0]:
            ah = up(add(ah, up(divide(square, times(4.0, down(add(ah, tl)))))))
        else:
            ah = up(add(step, negative(tl)))
        tl, th = down(add(tl, step)), up(add(th, step))
    return al, ah, tl, th
