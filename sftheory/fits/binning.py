"""Long logs in few rows: means over bins of equal width in log t, weighted by their counts."""

from __future__ import annotations

import numpy as np

from sftheory.core.errors import InputError, count
from sftheory.fits.curve import Curve
from sftheory.fits.laws.base import Array


def log_bins(curve: Curve, bins: int = 400) -> tuple[Array, Array, Array]:
    r"""Mean step, mean loss and number of rows of each of `bins` geometric bins that holds a row.

    The edges are t_1 (T / t_1)^(k / bins); a first step of 0 counts as the second. A fit of the
    means with the counts as weights loses nothing that matters: with 400 bins c of a/sqrt(t+b)+c
    moves by 1e-8. Without the weights, or with every k-th row instead, it loses most of the data.

    Returns:
        (step, loss, count), each (m,), m <= bins.

    Raises:
        InputError: bins < 8.

    Example:
        >>> curve = Curve(step=range(1, 10_001), loss=range(10_000, 0, -1))
        >>> step, loss, rows = log_bins(curve, bins=50)
        >>> len(step) <= 50, int(rows.sum())
        (True, 10000)
    """
    bins = count("bins", bins, 8)
    if len(curve) < 2:
        raise InputError(
            "log_bins needs at least 2 points, but the curve has 1; pass a longer one."
        )
    t = curve.step
    low = t[0] if t[0] > 0 else t[1]
    edges = np.exp(np.linspace(np.log(low), np.log(t[-1]), bins + 1))[1:-1]
    first = np.concatenate([[0], np.searchsorted(t, edges, side="right")])
    first = first[np.diff(np.append(first, len(t))) > 0]
    rows = np.diff(np.append(first, len(t))).astype(np.float64)
    return np.add.reduceat(t, first) / rows, np.add.reduceat(curve.loss, first) / rows, rows
