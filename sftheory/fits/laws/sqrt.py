"""The square-root law."""

from __future__ import annotations

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Axis
from sftheory.fits.laws.shifted import ShiftedPower


@LAWS.register(tex=r"\frac{a}{\sqrt{t + b}} + c")
class Sqrt(ShiftedPower):
    """a/sqrt(t + b) + c: the shape of the tuned rate D G / sqrt(t) with a floor and an offset.

    The default: of the laws here it has the lightest tails when it is extrapolated.
    """

    exponent = 0.5
    axes = (Axis("s", 240, (1e-4, 50.0), (1e-6, 1e3), "b"),)
