"""Rows in the order of a log become a curve: sorted, merged, in one unit, each loss fresh."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.curve import Array

JUMP = 100  # a gap in the steps, as a factor, at which a change of their unit is suspected


class Merged(NamedTuple):
    """Which rows stay, in the order of their steps, and what happened to the others."""

    rows: NDArray[np.int64]
    merged: int = 0  # rows at the step of a later row
    conflicts: int = 0  # those of them with another loss


def merged(step: Array, loss: Array) -> Merged | None:
    """Sorts by step; of rows at one step the last stays, since a resumed run writes it again.

    None if the steps increase already.
    """
    if (step[1:] > step[:-1]).all():
        return None
    order = np.argsort(step, kind="stable")
    last = np.append(np.diff(step[order]) > 0, True)
    group = np.cumsum(last) - last
    kept = order[last]
    conflicts = int((loss[order] != loss[kept][group]).sum())
    return Merged(kept, len(order) - len(kept), conflicts)


def change_of_unit(step: Array) -> tuple[int, float] | None:
    """Where increasing steps go on in another unit, as 3000, 4000, 5000 k, 6000 k, and k.

    Suspicious is one gap by a factor of at least JUMP after which the spacing is larger by about
    the same factor: a log that is merely written more rarely has no such gap.
    """
    gaps = np.flatnonzero(step[1:] >= JUMP * step[:-1]) + 1
    for i in gaps[(gaps >= 3) & (gaps <= len(step) - 3)].tolist():
        before, after = np.median(np.diff(step[:i])), np.median(np.diff(step[i:]))
        factor = step[i] / step[i - 1]  # gaps >= 3, so the step before is positive
        if 0.5 * factor <= after / before <= 2 * factor:
            return i, float(after / before)
    return None


def interval_of_measurement(step: Array, loss: Array) -> float | None:
    """K if the loss was measured every K steps but logged more often, so that values repeat.

    The loss of a weight average that is made every K steps is repeated in the rows between: a row
    at step t shows the value of step K ⌊t/K⌋. K is returned only if a third of the rows are
    repeats, no value changes within an interval, and nearly all intervals bring a new value.
    """
    new = np.append(True, loss[1:] != loss[:-1])
    changes = step[new]
    intervals = len(changes) - 2
    if intervals < 6 or 3 * (len(step) - len(changes)) < len(step):
        return None
    spacing = float(np.median(np.diff(step)))
    span = changes[-1] - changes[1]
    low = max(1, np.ceil((span - spacing) / intervals))
    high = min(low + 1000, np.floor((span + spacing) / (0.95 * intervals)))
    repeats = ~new[1:]
    best = (np.inf, 0.0, 0.0)
    for K in np.arange(low, high + 1).tolist():
        together = np.floor(step[1:] / K) == np.floor(step[:-1] / K)
        if together[repeats].all():
            stale = int(together[~repeats].sum())
            best = min(best, (stale, -float(np.gcd(int(K), int(spacing))), K))
    return best[2] if best[0] <= 0.05 * len(changes) else None
