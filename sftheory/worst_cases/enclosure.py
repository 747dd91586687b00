"""A rigorous enclosure of the exact worst case, in decimal arithmetic with directed rounding.

The floats that come in are exact decimals, and every operation is rounded down for the lower end
and up for the upper end, so the true value lies between. The update a -> max over q of
{x q + a (1 - q²) - t q²} grows with a and shrinks with the tail t; its unclipped formula is an
upper bound and its clipped one a lower bound whatever the branch, so a wrong branch can only widen.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

DIGITS = 34


def enclose(
    h: Sequence[float], D: float, G: float, digits: int = DIGITS
) -> tuple[Decimal, Decimal]:
    """lower <= W(h; D, G) <= upper for steps h > 0, in O(N).

    The relative width is about N 10^-digits.

    Args:
        h: (N,), > 0; floats are taken exactly.
        D: > 0.
        G: > 0.
        digits: of the arithmetic.
    """
    floor, ceiling = Context(digits, ROUND_FLOOR), Context(digits, ROUND_CEILING)
    # a float has up to 767 significant digits; it must be taken as it is, not rounded
    steps = [Decimal(float(x)) for x in reversed(h)]
    add_f, sub_f, mul_f, div_f = floor.add, floor.subtract, floor.multiply, floor.divide
    add_c, sub_c, mul_c, div_c = ceiling.add, ceiling.subtract, ceiling.multiply, ceiling.divide
    four = Decimal(4)
    two = Decimal(2)
    al = tl = floor.plus(steps[0])
    ah = th = ceiling.plus(steps[0])
    for x in steps[1:]:
        if x < mul_f(two, add_f(al, tl)):
            al = add_f(al, div_f(mul_f(x, x), mul_c(four, add_c(al, th))))
        else:
            al = sub_f(x, th)
        if x < mul_c(two, add_c(ah, th)):
            ah = add_c(ah, div_c(mul_c(x, x), mul_f(four, add_f(ah, tl))))
        else:
            ah = sub_c(x, tl)
        tl, th = add_f(tl, x), add_c(th, x)
    D_, G_ = Decimal(float(D)), Decimal(float(G))
    if mul_f(mul_f(two, G_), add_f(al, tl)) >= D_:
        last = div_f(mul_f(D_, D_), mul_c(four, add_c(al, th)))
        low = add_f(mul_f(mul_f(G_, G_), al), last)
    else:
        low = sub_f(mul_f(D_, G_), mul_c(mul_c(G_, G_), th))
    if mul_c(mul_c(two, G_), add_c(ah, th)) >= D_:
        last = div_c(mul_c(D_, D_), mul_f(four, add_f(ah, tl)))
        high = add_c(mul_c(mul_c(G_, G_), ah), last)
    else:
        high = sub_c(mul_c(D_, G_), mul_f(mul_f(G_, G_), tl))
    return low, high
