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

    def stacked(self, theta: Array, rows: Rows) -> Array:
        s = np.exp(theta[:, :1])
        u = rows.offset + (s if self.shifted else rows.first)
        found = np.empty((len(theta), theta.shape[1] + 1, u.shape[-1]))
        x = found[:, 0]
        if self.exponent is None:
            p = np.exp(theta[:, -1:])
            power = -p * np.log(u)
            np.exp(power, out=x)
            np.multiply(x, power, out=found[:, -1])
        else:
            p = self.exponent
            x[:] = self._power(u, p)
        if self.shifted:
            np.divide(x, u, out=found[:, 1])
            found[:, 1] *= -p * s
        return found

    def first_columns(self, rows: Rows) -> Array:
        if self.exponent is not None or not self.shifted:
            return super().first_columns(rows)
        s, p = (axis.values for axis in self.axes)
        log = np.log(rows.offset + np.exp(s)[:, None])
        return np.exp(-np.exp(p)[:, None] * log[:, None]).reshape(len(s) * len(p), 1, -1)

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        p = np.exp(theta[-1]) if self.exponent is None else self.exponent + 0 * floor
        b = (np.exp(theta[0]) - rows.first) * rows.unit if self.shifted else 0 * floor
        return {"a": factors[0] * np.exp(p * np.log(rows.unit)), "b": b, "c": floor, "p": p}

    def sizes(self, parameters: dict[str, float], rows: Rows) -> dict[str, float]:
        return super().sizes(parameters, rows) | {"b": parameters["b"] + rows.first * rows.unit}

    def _parts(self, theta: Array, rows: Rows) -> tuple[Array, Any]:
        """u/T of shape (B, n), and p as a number or (B, 1)."""
        start = np.exp(theta[:, :1]) if self.shifted else rows.first
        u = np.broadcast_to(rows.offset + start, (len(theta), rows.offset.shape[-1]))
        return u, np.exp(theta[:, -1:]) if self.exponent is None else self.exponent

    def _power(self, u: Array, p: Any) -> Array:
        if self.exponent == 0.5:
            return 1 / np.sqrt(u)
        return 1 / u if self.exponent == 1 else np.exp(-p * np.log(u))
