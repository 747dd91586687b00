"""The hyperbolic law."""

from __future__ import annotations

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Axis
from sftheory.fits.laws.shifted import ShiftedPower


@LAWS.register(tex=r"\frac{a}{t + b} + c")
class Hyperbolic(ShiftedPower):
    """a/(t + b) + c: the rate of a smooth problem with a tuned constant step; a baseline."""

    exponent = 1.0
    axes = (Axis("s", 240, (1e-4, 50.0), (1e-6, 1e3), "b"),)
