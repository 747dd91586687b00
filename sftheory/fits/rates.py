"""The rate of a run at every step, from an array or from the rate column of a curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, count, steps
from sftheory.fits.curve import Curve
from sftheory.fits.laws.base import Array
from sftheory.fits.laws.schedule import Schedule

ENTRIES = 1_000_000  # of a schedule: a longer run is summed at COARSE places
COARSE = 100_000


def schedule_of(rates: ArrayLike | Curve, warmup: int = 0) -> Schedule:
    """The rate at every step, from an array or from a curve's rate column.

    Between rows the rate is linear, but where it changes between two rows and not around them it
    jumps at the row that first shows it. A last row of rate 0, which some loggers write after the
    run, counts as the row before.

    Raises:
        InputError: the curve has no rate, an entry is negative, or all are zero.
    """
    warmup = count("warmup", warmup, 0)
    if not isinstance(rates, Curve):
        eta = steps("rates", rates)
        if eta.ndim != 1:
            raise InputError(f"rates has shape {eta.shape}; pass one number for each step.")
        found = Schedule(eta)
    else:
        if rates.lr is None:
            raise InputError("The curve has no rate; pass Curve(..., lr=...) or rates=[...].")
        last = float(rates.step[-1])
        whole = last <= ENTRIES and not (rates.step % 1).any()
        spacing = 1.0 if whole else last / COARSE
        grid = np.arange(round(last / spacing) + 1) * spacing
        eta = np.interp(grid, *_corners(rates.step, rates.lr))
        found = Schedule(np.where(grid < warmup, eta * grid / max(warmup, 1), eta), spacing)
    if not found.rates.any():
        raise InputError("The rates are all zero, so that nothing is learned; pass positive ones.")
    return found


def _corners(step: Array, lr: Array) -> tuple[Array, Array]:
    """Steps and rates between which the rate is linear."""
    if len(lr) > 1 and lr[-1] == 0:
        lr = np.append(lr[:-1], lr[-2])
    change = np.diff(lr) != 0
    around = np.concatenate([[False], change[:-1]]) | np.concatenate([change[1:], [False]])
    jumps = np.flatnonzero(change & ~around)
    at = np.concatenate([step, np.nextafter(step[jumps + 1], 0)])
    order = np.argsort(at, kind="stable")
    return at[order], np.concatenate([lr, lr[jumps]])[order]


def require_reach(schedule: Schedule, step: Array, what: str) -> None:
    """Check that a schedule covers some steps, and has begun at the first.

    Raises:
        InputError: it ends before, or fewer than two of its rates are positive up to the first.
    """
    end = (len(schedule.rates) - 1) * schedule.spacing
    if step.max() > end * (1 + 1e-12):
        raise InputError(f"{what} ends at step {end:g}, before step {step.max():g}; pass it all.")
    moves = np.cumsum(schedule.rates > 0)[schedule.entries(np.array([step.min()]))[0]]
    if moves < 2:
        raise InputError(
            f"{what} has fewer than two positive rates up to step {step.min():g}; start later."
        )
