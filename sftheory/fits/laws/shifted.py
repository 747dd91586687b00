"""The family a/(t + b)^p + c, of which four laws fix b or p."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from sftheory.fits.laws.base import Array, Law, Rows


class ShiftedPower(Law):
    r"""a u^-p + c with u = t + b; the coordinates are s = (t_1 + b)/T and p, unless fixed.

    u/T is computed as (t - t_1)/T + s, never as t + b, so that a shift near -t_1 loses no digits
    and a change of the unit of t changes a and b only.
    """

    exponent: ClassVar[float | None] = None  # None where p is searched
    shifted: ClassVar[bool] = True
    names = ("a", "b", "c", "p")

    def columns(self, theta: Array, rows: Rows) -> Array:
        return self._power(*self._parts(theta, rows))[:, None]

    def slopes(self, theta: Array, rows: Rows, columns: Array) -> Array:
        u, p = self._parts(theta, rows)
        x = columns[:, 0]
        rates = []
        if self.shifted:
            rates.append(x / u * (-p * np.exp(theta[:, :1])))
        if self.exponent is None:
            rates.append(x * np.log(u) * -p)
        return np.stack(rates, axis=1)[:, :, None]

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        p = np.exp(theta[-1]) if self.exponent is None else self.exponent + 0 * floor
        b = (np.exp(theta[0]) - rows.first) * rows.unit if self.shifted else 0 * floor
        return {"a": factors[0] * np.exp(p * np.log(rows.unit)), "b": b, "c": floor, "p": p}

    def _parts(self, theta: Array, rows: Rows) -> tuple[Array, Any]:
        """u/T of shape (B, n), and p as a number or (B, 1)."""
        start = np.exp(theta[:, :1]) if self.shifted else rows.first
        u = np.broadcast_to(rows.offset + start, (len(theta), rows.offset.shape[-1]))
        return u, np.exp(theta[:, -1:]) if self.exponent is None else self.exponent

    def _power(self, u: Array, p: Any) -> Array:
        if self.exponent == 0.5:
            return 1 / np.sqrt(u)
        return 1 / u if self.exponent == 1 else np.exp(-p * np.log(u))
