"""The power law without an offset."""

from __future__ import annotations

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Axis
from sftheory.fits.laws.shifted import ShiftedPower


@LAWS.register(tex=r"\frac{a}{t^p} + c")
class PowerFromZero(ShiftedPower):
    """a/t^p + c: the baseline; poor where a warm-up shifts the origin."""

    shifted = False
    axes = (Axis("p", 60, (0.02, 5.0), (0.01, 10.0)),)
