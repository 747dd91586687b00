"""The power law with a free exponent."""

from __future__ import annotations

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Axis
from sftheory.fits.laws.shifted import ShiftedPower


@LAWS.register(tex=r"\frac{a}{(t + b)^p} + c")
class Power(ShiftedPower):
    """a/(t + b)^p + c: the test of the exponent, and the other half of the spread of laws."""

    axes = (
        Axis("s", 40, (1e-3, 20.0), (1e-6, 1e3), "b"),
        Axis("p", 14, (0.08, 2.5), (0.01, 10.0)),
    )
