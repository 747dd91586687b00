"""Curves with their weighted means removed: what is left of a fit once the floor is eliminated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.laws.base import Array, Rows


class Centred:
    """Rows and losses without their weighted means, multiplied by the roots of the weights.

    Args:
        rows: where the losses were measured; shared, or one row for each curve.
        y: (B, n), the losses.
        weights: (B, n) or (n,), >= 0; None is 1 for all.
    """

    def __init__(self, rows: Rows, y: Array, weights: Array | None) -> None:
        self.rows, self.losses = rows, y
        self.weights = None if weights is None else np.broadcast_to(weights, y.shape)
        self.root = None if self.weights is None else np.sqrt(self.weights)
        if self.weights is None:
            self.share = None
        else:
            self.share = self.weights / self.weights.sum(axis=-1, keepdims=True)
        self.every = np.arange(len(y))
        self.y = self.centre(y[:, None].copy(), self.every)[:, 0]
        self.square = np.einsum("bn,bn->b", self.y, self.y)

    def centre(self, v: Array, which: NDArray[np.int_]) -> Array:
        """v (B, k, n) of the curves `which`, centred and weighted; v itself is changed."""
        if self.share is None or self.root is None:
            v -= v.mean(axis=-1, keepdims=True)
            return v
        v -= np.einsum("bkn,bn->bk", v, self.share[which])[..., None]
        v *= self.root[which][:, None]
        return v

    def floor(self, columns: Array, factors: Array) -> Array:
        """c: the weighted mean of what the columns leave."""
        rest = self.losses - np.einsum("bk,bkn->bn", factors, columns)
        return rest.mean(axis=-1) if self.share is None else (rest * self.share).sum(axis=-1)

    def of(self, which: NDArray[np.int_]) -> Rows:
        """The rows of the curves `which`."""
        rows = self.rows
        if rows.offset.ndim == 1 or len(which) == len(self.every):
            return rows
        first, unit = (
            v[which] if np.ndim(v) and len(v) > 1 else v for v in (rows.first, rows.unit)
        )
        return Rows(rows.offset[which], first, unit, rows.runs)

    @property
    def alike(self) -> bool:
        """Whether all curves have the same steps and weights."""
        if len(self.losses) == 1:
            return True
        same = self.weights is None or not np.ptp(self.weights, axis=0).any()
        return self.rows.offset.ndim == 1 and same
