"""What a law that knows the rate sees of a run: rates summed, and where the rate fell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.laws.base import Array, Rows

EVENTS = 400  # changes of the rate that are kept apart; neighbours are merged beyond that


@dataclass(frozen=True)
class Schedule:
    """The rate at every step of a run.

    Attributes:
        rates: (T + 1,), entry i the rate at step i `spacing`.
        spacing: steps from one entry to the next; 1 but for runs counted in tokens.
    """

    rates: Array
    spacing: float = 1.0

    @property
    def flat(self) -> Schedule:
        """The same with the warm-up at the peak."""
        rates = self.rates.copy()
        rates[: np.argmax(rates)] = rates.max()
        return Schedule(rates, self.spacing)

    def entries(self, step: Array) -> NDArray[np.int_]:
        """The last entry at or before each step."""
        return np.floor(step / self.spacing * (1 + 1e-12) + 1e-9).astype(int)


@dataclass(frozen=True)
class Units:
    """What a run is measured in, so that numbers are near 1: steps, rate, and their sum."""

    steps: float
    rate: float
    travel: float


@dataclass(frozen=True)
class Seen:
    r"""A schedule at n measured steps, with m changes of the rate, in `Units`.

    Attributes:
        total: (n,), S_1(t) = Σ_{i<=t} eta_i.
        gap: (m,), eta_{k-1} - eta_k, positive where the rate falls.
        rate: (m,), eta_k.
        lag: (n, m), steps k, ..., t; 0 where t < k.
        travel: (n, m), S_k(t) = Σ_{i=k..t} eta_i; 0 where t < k.
        schedule, step: what this was made from, in the caller's units.
    """

    total: Array
    gap: Array
    rate: Array
    lag: Array
    travel: Array
    schedule: Schedule
    step: Array


def units_of(schedules: Sequence[Schedule]) -> Units:
    """The longest run, the largest rate, and the largest sum of rates."""
    steps = max((len(s.rates) - 1) * s.spacing for s in schedules)
    rate = max(float(s.rates.max()) for s in schedules)
    return Units(steps, rate, max(float(s.rates.sum()) * s.spacing for s in schedules))


def schedule_rows(
    schedules: Sequence[Schedule], steps: Sequence[Array], units: Units, flat: bool
) -> Rows:
    """Rows of several runs, one after another.

    Args:
        schedules: one for each run.
        steps: the measured steps of each.
        units: of the fit.
        flat: count the warm-up as if it were at the peak.
    """
    seen = [
        _seen(s.flat if flat else s, np.asarray(t, np.float64), units)
        for s, t in zip(schedules, steps, strict=True)
    ]
    return Rows(np.concatenate(steps) / units.steps, 0.0, units.steps, (units, *seen))


def _seen(schedule: Schedule, step: Array, units: Units) -> Seen:
    eta, spacing = schedule.rates, schedule.spacing
    summed = np.cumsum(eta) * spacing
    gap = eta[:-1] - eta[1:]
    place = np.flatnonzero(gap) + 1
    gap, rate, before = gap[place - 1], eta[place], summed[place - 1]
    at = place.astype(np.float64)
    first = _merged(gap, place, len(eta))
    if len(first) < len(place):
        size = np.add.reduceat(np.abs(gap), first)
        rate, before, at = (
            np.add.reduceat(v * np.abs(gap), first) / size for v in (rate, before, at)
        )
        gap = np.add.reduceat(gap, first)
    index = schedule.entries(step)
    total = summed[index]
    lag = np.maximum(index[:, None] - at + 1, 0) * spacing
    travel = np.where(lag > 0, np.maximum(total[:, None] - before, 0), 0)
    return Seen(
        total / units.travel,
        gap / units.rate,
        rate / units.rate,
        lag / units.steps,
        travel / units.travel,
        schedule,
        step,
    )


def _merged(gap: Array, place: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Where groups of changes begin: neighbours of one sign, each group a small part of them."""
    size = np.abs(gap)
    part = np.floor((np.cumsum(size) - size / 2) / size.sum() * EVENTS)
    apart = np.diff(part) > 0
    apart |= (gap[1:] > 0) != (gap[:-1] > 0)
    apart |= np.diff(place) > max(length / EVENTS, 1)
    return np.concatenate([[0], np.flatnonzero(apart) + 1]) if len(place) else place
