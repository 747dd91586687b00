"""`fit` and `fit_many`: from curves to answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.fits.answer import Fit
from sftheory.fits.binning import log_bins
from sftheory.fits.curve import Curve
from sftheory.fits.intervals import ORDINARY
from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array, Law, Rows
from sftheory.fits.noise import noise_of
from sftheory.fits.phases import find_phases
from sftheory.fits.projection import optimum
from sftheory.fits.solution import Solution, robust, scaled_rows, solutions
from sftheory.fits.verdicts import REJECTED, verdicts

LONG = 10_000  # points from which on a curve is binned
BINS = 400
LARGEST, ROUNDING = 1e100, 1e-12
NARROW = 1e-9  # of the last step: a range of steps in which no law of decay bends
SPIKE, SPIKES = 6.0, 0.002


def fit(
    curve: Curve,
    law: str = "auto",
    *,
    robust: bool = False,
    cut: bool = False,
    bins: int | None = None,
) -> Fit:
    r"""Fit a law to the plateau of a loss curve.

    Args:
        curve: the losses.
        law: a name of `LAWS`, such as "sqrt" for a/sqrt(t + b) + c or "power" for a/(t + b)^p + c;
            "auto" is "sqrt", or "power" where the curve rejects it.
        robust: down-weight spikes (Huber).
        cut: fit the plateau that `find_phases` finds, and say so in `fit.notes`.
        bins: fit the means of so many bins of equal width in log t; by default 400 for more than
            10,000 points, none for fewer.

    The curve is not changed silently: where it has a warm-up or a cooldown and `cut` is false the
    verdict is "phases" and there are no parameters.

    Raises:
        InputError: too few points for the law, all losses equal, or none below its predecessor.

    Example:
        >>> t = np.arange(1000, 50_001, 200)
        >>> wave = 1e-3 * np.cos(2.0 * np.arange(len(t)))
        >>> found = fit(Curve(step=t, loss=28 / np.sqrt(t + 60) + 3 + wave), law="sqrt")
        >>> found.verdict, round(found.c, 2)
        ('fits', 3.0)
        >>> value, low, high = found.at(100_000)
        >>> bool(low < 28 / np.sqrt(100_060) + 3 < high)
        True
    """
    name = "sqrt" if law == "auto" else LAWS[law].name
    form: Law = LAWS[name].make()
    if form.needs_rate:
        raise InputError(
            f"The law {name!r} needs the schedule; use fit_schedules([curve], {name!r})."
        )
    notes: list[str] = []
    if cut:
        phases = find_phases(checked(curve, form))
        if not phases.whole:
            whole, curve = curve, phases.plateau(curve)
            notes.append(
                f"{phases.reason}; fitted steps {curve.step[0]:g} to {curve.step[-1]:g}, "
                f"{len(curve)} of {len(whole)} points."
            )
    checked(curve, form)
    solution = _solved(form, curve, bins, robust, notes)
    power = solution if name == "power" else _solved(LAWS["power"].make(), curve, bins, robust, [])
    held, phases = verdicts(curve, solution, power)
    if law == "auto" and held[0] == REJECTED:
        notes.append(f"{held[0].reason}: the power law is fitted in place of the square root.")
        name, solution = "power", power
    ordinary = power
    if not (ORDINARY.limits[0, 1] < power.theta[1] < ORDINARY.limits[1, 1]):
        ordinary = _solved(ORDINARY, curve, bins, robust, [])
    return Fit(curve, name, solution, power, ordinary, held, phases, tuple(notes))


def checked(curve: Curve, law: Law) -> Curve:
    """The curve, if it can be fitted.

    Raises:
        InputError: see `fit`.
    """
    if not isinstance(curve, Curve):
        raise InputError(f"A fit needs a Curve, but got {curve!r}; pass Curve(step=..., loss=...).")
    y, fewest = curve.loss, law.size + 3
    if len(y) < fewest:
        raise InputError(
            f"The curve has {len(y)} points, too few for {law.size} parameters and their errors; "
            f"pass at least {fewest}."
        )
    if np.abs(y).max() > LARGEST:
        raise InputError(f"The loss reaches {np.abs(y).max():g}; rescale it to below 1e100.")
    if not (y[1:] < y[:-1]).any():
        what = "is constant" if np.ptp(y) == 0 else "never falls"
        raise InputError(f"The loss {what} over {len(y)} points; a law of decay needs a fall.")
    if np.ptp(y) < ROUNDING * np.abs(y).max():
        raise InputError(
            f"The loss changes by {np.ptp(y):g} only, which is rounding; subtract an offset first."
        )
    if curve.step[-1] - curve.step[0] < NARROW * curve.step[-1]:
        raise InputError(
            f"The steps go from {curve.step[0]:.12g} to {curve.step[-1]:.12g}, a small part of "
            f"themselves only; subtract an offset first."
        )
    if not law.axes or law.axes[0].name != "s":
        if curve.step[0] <= 0:
            raise InputError("A law without an offset is infinite at step 0; cut(start=1) first.")
    return curve


def _solved(form: Law, curve: Curve, bins: int | None, huber: bool, notes: list[str]) -> Solution:
    if bins is None and len(curve) > LONG:
        bins = BINS
    if bins is None:
        found = solutions(form, curve.step, curve.loss[None])[0]
    else:
        step, loss, rows = log_bins(curve, bins)
        found = solutions(form, step, loss[None], rows[None])[0]
        notes.append(f"{len(curve)} points were averaged in {len(step)} bins of equal ratio.")
    found = robust(found) if huber else found
    rest = curve.loss - found.value(curve.step) if bins else found.residual
    size = 1.4826 * float(np.median(np.abs(rest - np.median(rest))))
    spikes = int(np.sum(np.abs(rest) > SPIKE * size))
    if huber and found.weights is not None:
        notes.append(f"{int(np.sum(found.weights < 1))} points were down-weighted.")
    elif spikes > max(SPIKES * len(rest), 1):
        notes.append(f"{spikes} points are spikes; robust=True would down-weight them.")
    # averages within a bin hide what the rows had in common, so the noise is that of the rows
    return found if bins is None else replace(found, noise=noise_of(rest, None, form.size))


@dataclass(frozen=True, eq=False)
class Fits:
    """Many curves fitted at once; `fits[i]` is the whole answer for curve i.

    a, b, c, p, sse: (B,), NaN where `edge`: no optimum is identified, or the best fit rises.
    """

    curves: tuple[Curve, ...]
    law: str
    a: Array
    b: Array
    c: Array
    p: Array
    sse: Array
    edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.curves)

    def __getitem__(self, i: int) -> Fit:
        return fit(self.curves[i], self.law)

    def __iter__(self) -> Iterator[Fit]:
        return (self[i] for i in range(len(self)))


def fit_many(curves: Sequence[Curve], law: str = "sqrt") -> Fits:
    """Fit one law to many curves: parameters at once, the answers of each when asked for.

    Curves with the same steps share the first search, which is one matrix product, and the others
    of one length the iterations.

    Raises:
        InputError: as `fit`, naming the curve.

    Example:
        >>> t = np.arange(100, 10_000, 50)
        >>> fits = fit_many([Curve(t, a / np.sqrt(t + 9) + 2) for a in (10, 20, 30)])
        >>> fits.a.round(6).tolist(), fits.c.round(6).tolist()
        ([10.0, 20.0, 30.0], [2.0, 2.0, 2.0])
    """
    curves = tuple(curves)
    entry = LAWS["sqrt" if law == "auto" else law]
    form: Law = entry.make()
    if form.needs_rate:
        raise InputError(f"The law {entry.name!r} needs the schedule; use fit_schedules.")
    if not curves:
        raise InputError("fit_many got no curve; pass at least one.")
    values = {name: np.empty(len(curves)) for name in ("a", "b", "c", "p", "sse")}
    edge = np.zeros(len(curves), bool)
    for group, rows, losses in _groups(curves):
        _check(curves, group, losses, form)
        best = optimum(form, rows, losses)
        flat = replace(rows, first=np.ravel(rows.first), unit=np.ravel(rows.unit))
        found = form.parameters(best.theta.T, best.factors.T, best.floor, flat)
        edge[group] = best.edge.any(axis=(1, 2)) | (best.factors[:, 0] <= 0)
        for name, value in {**found, "sse": best.sse}.items():
            values[name][group] = value
    for name in ("a", "b", "c", "p"):
        values[name][edge] = np.nan
    return Fits(curves, entry.name, **values, edge=edge)


def _check(curves: tuple[Curve, ...], group: list[int], losses: Array, form: Law) -> None:
    """`checked` for each curve that a test of all at once does not clear."""
    size = np.abs(losses).max(axis=1)
    clear = (losses[:, 1:] < losses[:, :-1]).any(axis=1) & (size <= LARGEST)
    clear &= np.ptp(losses, axis=1) >= ROUNDING * size
    narrow = any(np.ptp(curves[i].step[[0, -1]]) < NARROW * curves[i].step[-1] for i in group)
    if narrow or losses.shape[1] < form.size + 3 or form.axes[0].name != "s":
        clear[:] = False
    for i in np.array(group)[~clear]:
        try:
            checked(curves[i], form)
        except InputError as error:
            raise InputError(f"Curve {i}: {error}") from None


def _groups(curves: tuple[Curve, ...]) -> Iterator[tuple[list[int], Rows, Array]]:
    """Indices, rows and losses of the curves that can be fitted in one batch."""
    lengths: dict[int, list[int]] = {}
    for i, curve in enumerate(curves):
        if not isinstance(curve, Curve):
            raise InputError(f"Curve {i} is {curve!r}; pass Curve(step=..., loss=...).")
        lengths.setdefault(len(curve), []).append(i)
    for group in lengths.values():
        first = curves[group[0]].step
        losses = np.stack([curves[i].loss for i in group])
        if all(curves[i].step is first or np.array_equal(curves[i].step, first) for i in group):
            yield group, scaled_rows(first), losses
        else:
            steps: Any = np.stack([curves[i].step for i in group])
            last, start = steps[:, -1:], steps[:, :1]
            yield group, Rows((steps - start) / last, start / last, last), losses
