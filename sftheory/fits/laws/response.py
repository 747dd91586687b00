"""L0 + A S_1^-alpha - B Σ_k (eta_{k-1} - eta_k) K_k(t): what each fall of the rate gains."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from sftheory.fits.laws.base import Array, Law, Rows
from sftheory.fits.laws.schedule import Seen


class Response(Law):
    r"""A power of the summed rate, and a kernel that says how a fall of the rate takes effect.

    The first coordinate is alpha; the others bend the kernel. Sums are in units of the run.
    """

    needs_rate = True

    @abstractmethod
    def kernel(self, theta: Array, run: Seen) -> tuple[Array, list[Array]]:
        """K (n, m) and its derivatives by the coordinates `theta` of the kernel."""

    def columns(self, theta: Array, rows: Rows) -> Array:
        power = np.exp(-np.exp(theta[:, :1]) * np.log(_total(rows)))
        bends, which = np.unique(theta[:, 1:], axis=0, return_inverse=True)
        gains = np.stack([self._gain(bend, rows)[0] for bend in bends])
        return np.stack([power, -gains[which.ravel()]], axis=1)

    def slopes(self, theta: Array, rows: Rows, columns: Array) -> Array:
        found = np.zeros((len(theta), theta.shape[1], *columns.shape[1:]))
        found[:, 0, 0] = -np.exp(theta[:, :1]) * np.log(_total(rows)) * columns[:, 0]
        for one, bend in zip(found, theta[:, 1:], strict=True):
            one[1:, 1] = -self._gain(bend, rows)[1]
        return found

    def _gain(self, bend: Array, rows: Rows) -> tuple[Array, Array]:
        """Σ_k gap_k K_k(t) at all rows, (n,), and its derivatives, (m - 1, n)."""
        values, slopes = [], []
        for run in rows.runs[1:]:
            kernel, bent = self.kernel(bend, run)
            values.append(kernel @ run.gap)
            slopes.append(np.stack([k @ run.gap for k in bent]))
        return np.concatenate(values), np.concatenate(slopes, axis=1)


def _total(rows: Rows) -> Array:
    return np.concatenate([run.total for run in rows.runs[1:]])
