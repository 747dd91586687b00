"""A law with a logarithm."""

from __future__ import annotations

from typing import Any

import numpy as np

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array, Axis, Law, Rows


@LAWS.register(tex=r"\frac{a}{\log(e + t / b)} + c")
class InverseLog(Law):
    """a / log(e + t/b) + c: a decay that is slower than every power."""

    axes = (Axis("s", 120, (1e-4, 10.0), (1e-6, 1e3), "b"),)  # b in units of the run's end
    names = ("a", "b", "c")

    def columns(self, theta: Array, rows: Rows) -> Array:
        t = rows.offset + rows.first
        return 1 / np.log(np.e + t / np.exp(theta[:, :1]))[:, None]

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        return {"a": factors[0], "b": np.exp(theta[0]) * rows.unit, "c": floor}
