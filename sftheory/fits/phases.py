"""Warm-up, plateau and cooldown: to which part of a curve a law of a constant rate applies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.fits.curve import Curve
from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array
from sftheory.fits.solution import Solution, solutions

SAME_RATE = 1e-3
BURN_IN = 2.0  # warm-ups that are left out after the warm-up
EARLY = 0.05  # of the run: where the start is looked at
SHORTEST = 8  # points of a part that is fitted alone
DEVIATIONS, MATERIAL = 5.0, 0.1  # standard deviations, and share of the later fall
STEEPER = 1.5
FALLS = 4.0  # the factor by which a break must reduce the squared residuals
HINT = 1.5  # the factor at one of six places below which no break is looked for
BREAKS = 24
FLAT, LINKED = 0.2, 0.7  # exponent and autocorrelation of a rate that decays all along
SUSPECT = 0.4  # autocorrelation from which on a break is looked for
LONG = 4000  # rows above which neighbours are averaged before the shape is looked at


@dataclass(frozen=True)
class Phases:
    """The plateau of a curve and why it ends where it does.

    Attributes:
        start, stop: the first and last step to fit; None where nothing can be.
        warmup, cooldown: whether the curve has rows before and after.
        reason: one sentence; empty where the whole curve is a plateau.
        from_rate: whether the rate column says so, or the shape of the loss.
    """

    start: float | None
    stop: float | None
    warmup: bool
    cooldown: bool
    reason: str
    from_rate: bool

    @property
    def whole(self) -> bool:
        """Whether the curve is all plateau."""
        return not (self.warmup or self.cooldown)

    def plateau(self, curve: Curve) -> Curve:
        """The part of the curve to fit.

        Raises:
            InputError: there is none.
        """
        if self.start is None:
            raise InputError(f"{self.reason}; fit a law that knows the rate, such as 'tissue'.")
        return curve.cut(self.start, self.stop)


def find_phases(curve: Curve) -> Phases:
    r"""Where the plateau of a curve lies: from its rate, and else from its shape.

    With a rate: the longest stretch within 0.1% of the largest rate; a last row of rate 0, which
    some loggers write after the run, is none. The start of the fit is two warm-ups later.
    Without: the first 5% of the run are cut where the sqrt and the power law of the rest, continued
    backwards, miss a point by 5 standard deviations and 10% of the later fall; the end is cut where
    two laws with a break fit four times as well and the loss falls 1.5 times as fast after it; a
    curve with p < 0.2 and correlated residuals decays all along.

    Example:
        >>> import numpy as np
        >>> t = np.arange(100, 10_001, 100)
        >>> rate = np.where(t > 8000, 1e-3 * (10_100 - t) / 2_100, 1e-3)
        >>> find_phases(Curve(t, 3 + 20 / np.sqrt(t), rate)).stop
        8000.0
    """
    if curve.lr is not None and np.ptp(curve.lr) > 0:
        found = _by_rate(curve)
        if not found.whole:
            return found
    if len(curve) > LONG:
        return _of_averages(curve)
    start = _by_start(curve)
    if curve.lr is not None or len(curve) < 2 * SHORTEST:
        return start
    end = _by_end(curve.cut(start=EARLY * curve.step[-1]))
    if end.whole:
        return start
    if start.whole:
        return replace(end, start=None if end.start is None else start.start)
    return Phases(end.start, end.stop, True, True, f"{start.reason}; {end.reason}", False)


def _of_averages(curve: Curve) -> Phases:
    """The phases by shape from means over equally many neighbours, at most LONG of them."""
    first = np.arange(0, len(curve), -(-len(curve) // LONG))
    rows = np.diff(np.append(first, len(curve)))
    step, loss = (np.add.reduceat(part, first) / rows for part in (curve.step, curve.loss))
    found = find_phases(Curve(step, loss, None if curve.lr is None else np.ones(len(step))))
    ends = {step[0]: float(curve.step[0]), step[-1]: float(curve.step[-1])}
    start, stop = (end and ends.get(end, end) for end in (found.start, found.stop))
    return replace(found, start=start, stop=stop)


def _by_rate(curve: Curve) -> Phases:
    lr, t = curve.lr, curve.step
    assert lr is not None
    n = len(t) - int(lr[-1] == 0 and lr[-2] > 0)
    full = np.abs(lr[:n] / lr.max() - 1) < SAME_RATE
    edges = np.flatnonzero(np.diff(np.concatenate([[0], full.astype(int), [0]])))
    starts, stops = edges[::2], edges[1::2]
    longest = int(np.argmax(stops - starts))
    i, j = int(starts[longest]), int(stops[longest])
    if i == 0 and j == n:
        return Phases(float(t[0]), float(t[-1]), False, False, "", True)
    if j - i < SHORTEST:
        reason = f"The rate is at its largest for {j - i} of {n} points only"
        return Phases(None, None, i > 0, j < n, reason, True)
    start = float(t[i]) if i == 0 else min(float(t[i] + BURN_IN * t[i]), float(t[j - SHORTEST]))
    stop = float(t[j - 1])
    parts = [f"rises up to step {t[i]:g}"] * (i > 0) + [f"falls after step {stop:g}"] * (j < n)
    return Phases(start, stop, i > 0, j < n, f"The rate {' and '.join(parts)}", True)


def _fit(name: str, step: Array, loss: Array) -> Solution:
    return solutions(LAWS[name].make(), step, loss[None])[0]


def _by_start(curve: Curve) -> Phases:
    """Whether the laws of the rest, continued backwards, miss points in the first 5%."""
    t, y = curve.step, curve.loss
    late = int(np.searchsorted(t, EARLY * t[-1]))
    whole = Phases(float(t[0]), float(t[-1]), False, False, "", False)
    if late == 0 or len(t) - late < SHORTEST:
        return whole
    laws = [_fit(name, t[late:], y[late:]) for name in ("sqrt", "power")]
    strange = np.all([_missed(law, t[:late], y[:late]) for law in laws], axis=0)
    if not strange.any():
        return whole
    last = float(t[np.flatnonzero(strange)[-1]])
    reason = f"Up to step {last:g}, within the first 5%, the loss is not on the law of the rest"
    return Phases(float(t[late]), float(t[-1]), True, False, reason, False)


def _missed(rest: Solution, step: Array, loss: Array) -> NDArray[np.bool_]:
    """Which early points are not on a law, continued backwards; it may not reach them at all."""
    strange = rest.rows_at(step).offset + np.exp(rest.theta[0]) <= 0
    early, there = step[~strange], loss[~strange]
    missed = np.abs(there - rest.value(early))
    noise = np.hypot(rest.error_at(early), rest.noise.sigma * rest.noise.inflation)
    strange[~strange] = (missed > DEVIATIONS * noise) & (missed > MATERIAL * np.ptp(rest.loss))
    return strange


def _by_end(curve: Curve) -> Phases:
    t, y = curve.step, curve.loss
    start, stop = float(t[0]), float(t[-1])
    whole = Phases(start, stop, False, False, "", False)
    power = _fit("power", t, y)
    if power.noise.rho < SUSPECT or len(t) < 2 * SHORTEST:
        return whole
    breaks = np.unique(np.linspace(SHORTEST, len(t) - SHORTEST, BREAKS).astype(int))
    if (
        min(_broken(t, y, k) for k in breaks[min(2, len(breaks) - 1) :: 4]) * HINT > power.sse
        and power["p"] > FLAT
    ):
        return whole
    sse = [_broken(t, y, k) for k in breaks]
    best = int(np.argmin(sse))
    if sse[best] * FALLS < power.sse:
        # a sudden drop is best left to the first law, so the turn may lie a break or two before
        turns = [k for k in breaks[max(best - 2, 0) : best + 1] if _turns_down(t, y, int(k))]
        if turns:
            last = float(t[turns[0] - 1])
            reason = f"The loss falls faster after step {last:g} than before"
            return Phases(start, last, False, True, reason, False)
    if power["p"] < FLAT and power["a"] > 0 and power.noise.rho > LINKED:
        reason = "The loss falls until the end as no law of a constant rate does"
        return Phases(None, None, False, True, reason, False)
    return whole


def _broken(step: Array, loss: Array, at: int) -> float:
    """Squared residuals of one law before a row and another from it on."""
    return _fit("sqrt", step[:at], loss[:at]).sse + _fit("sqrt", step[at:], loss[at:]).sse


def _turns_down(step: Array, loss: Array, at: int) -> bool:
    """Whether the mean slope over as many points after the break as before it is steeper."""
    wide = min(at, len(step) - at, max(SHORTEST, len(step) // 8))
    before, after = (
        np.polyfit(step[part] - step[at], loss[part], 1)[0]
        for part in (slice(at - wide, at), slice(at, at + wide))
    )
    return bool(after < min(STEEPER * before, 0.0))
