"""Intervals that cover: noise, plus what another law says, plus what earlier forecasts missed.

The noise part is Student's t times a standard error that knows the autocorrelation. It covers where
the law holds. No law holds exactly, so the distance to the free power law and the error of the
backtest are added where noise does not explain the two together: where the law holds they vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sftheory.fits.backtest import Backtest
from sftheory.fits.laws.base import Array, Axis
from sftheory.fits.laws.power import Power
from sftheory.fits.solution import Solution

# standard deviations up to which noise explains a deviation: of a forecast, of a parameter, of each
# of two runs that are compared; it does not explain RAMP more
EXPLAINED, ALONE, PAIR, RAMP = 1.65, 2.0, 2.3, 0.1


class _OrdinaryPower(Power):
    """The power law with 0.1 <= p <= 2: what a law of the spread may be at its wildest."""

    axes = (Power.axes[0], Axis("p", 14, (0.1, 2.0), (0.1, 2.0)))


ORDINARY = _OrdinaryPower()


def beyond_noise(z: Any, explained: float = EXPLAINED) -> Any:
    """0 where a deviation of z standard deviations is noise, 1 where it is not."""
    return np.clip((np.abs(z) - explained) / RAMP, 0.0, 1.0)


def preference(law: Solution, wider: Solution) -> float:
    r"""By how many standard deviations the data prefer a law with one parameter more.

    z = sqrt(n_eff log(SSE / SSE_wider)), with the effective number of residuals of the wider law:
    the signed root of the likelihood ratio, about |N(0, 1)| where the narrower law holds.
    """
    if wider.sse <= 0:
        return 0.0 if law.sse <= 0 else float(np.inf)
    ratio = max(law.sse / wider.sse, 1.0)
    return float(np.sqrt(wider.noise.effective * np.log(ratio)))


def missed(
    table: Sequence[Backtest], step: Array, first: float, last: float
) -> tuple[Array, Array]:
    """What earlier forecasts over the same share of the run missed, and in standard deviations.

    Both (k,), 0 within the data. Between the fractions of the table errors and their deviations are
    interpolated, to 0 at 1.
    """
    if not table:
        return np.zeros_like(step), np.zeros_like(step)
    share = np.minimum((last - first) / np.maximum(step - first, last - first), 1.0)
    fractions = [row.fraction for row in table]
    error = np.interp(share, fractions, [row.error for row in table])
    deviation = np.interp(share, fractions, [row.deviation for row in table])
    left = np.minimum((1 - share) / (1 - fractions[-1]), 1.0)
    return np.abs(error) * left, np.abs(error) / deviation * left
