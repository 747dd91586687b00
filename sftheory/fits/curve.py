"""A loss curve is data: increasing steps, the loss at each, and the rate where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, numbers, steps

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    r"""The losses y_i that were measured at t_i, i = 1, ..., n.

    Shapes and units:
        step: (n,), >= 0 and increasing: steps, tokens or whatever the run counts.
        loss: (n,), finite, in the unit of the log (nats as a rule).
        lr: (n,) the rate at each step, >= 0, or None where it is not known.
        Stored as read-only float64.
        meta: where the curve comes from; `sftheory.fits.read` puts its account there.

    Raises:
        InputError: an array is empty, not finite, of another length than `step`, a step or a rate
            is negative, or the steps do not increase.

    Example:
        >>> curve = Curve(step=[100, 200, 300], loss=[4.0, 3.5, 3.25])
        >>> curve.cut(start=200).loss.tolist()
        [3.5, 3.25]
    """

    step: Array
    loss: Array
    lr: Array | None
    meta: dict[str, Any]

    def __init__(
        self,
        step: ArrayLike,
        loss: ArrayLike,
        lr: ArrayLike | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        parts = {"step": steps("step", step, "point"), "loss": numbers("loss", loss, "point")}
        if lr is not None:
            parts["lr"] = steps("lr", lr, "point")
        t = parts["step"]
        if t.ndim != 1:
            raise InputError(
                f"step has shape {t.shape}; a Curve is one run, pass one number per point."
            )
        for name, part in parts.items():
            if part.shape != t.shape:
                raise InputError(
                    f"{name} has shape {part.shape} but step has {len(t)} points; "
                    f"pass one entry per point."
                )
        late = np.flatnonzero(t[1:] <= t[:-1])
        if len(late):
            i = int(late[0])
            raise InputError(
                f"step goes from {t[i]:g} to {t[i + 1]:g} at point {i + 2}, but steps must "
                f"increase; sort the points and merge those of one step."
            )
        for name in ("step", "loss", "lr"):
            object.__setattr__(self, name, _read_only(parts[name]) if name in parts else None)
        object.__setattr__(self, "meta", dict(meta or {}))

    def __repr__(self) -> str:
        rate = ", with its rate" if self.lr is not None else ""
        return f"Curve({len(self)} points, steps {self.step[0]:g} to {self.step[-1]:g}{rate})"

    def __len__(self) -> int:
        return len(self.step)

    def cut(self, start: float | None = None, stop: float | None = None) -> Curve:
        """The points with start <= step <= stop; None leaves an end as it is.

        Raises:
            InputError: a bound is no number, or no point lies between them.
        """
        low = -np.inf if start is None else start
        high = np.inf if stop is None else stop
        if any(not isinstance(end, (int, float, np.number)) or end != end for end in (low, high)):
            raise InputError(f"cut got start={start!r}, stop={stop!r}; pass numbers or None.")
        first = int(np.searchsorted(self.step, low, side="left"))
        last = int(np.searchsorted(self.step, high, side="right"))
        if first >= last:
            raise InputError(
                f"No point lies between start={start} and stop={stop}; the steps of this curve "
                f"go from {self.step[0]:g} to {self.step[-1]:g}."
            )
        lr = None if self.lr is None else self.lr[first:last]
        return Curve(self.step[first:last], self.loss[first:last], lr, self.meta)


def _read_only(array: Array) -> Array:
    """`array` itself if nobody can change it, as what readers and `cut` pass; otherwise a copy."""
    owner = array if array.base is None else array.base
    if array.flags.writeable or not isinstance(owner, np.ndarray) or owner.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array
