"""One law fitted to several runs with different schedules, and what it says of a new schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, nearest, real, steps
from sftheory.fits.curve import Curve
from sftheory.fits.estimate import Estimate
from sftheory.fits.forecast import Forecast, forecast_of
from sftheory.fits.identified import Identifiability, identifiability
from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array, Law, Rows
from sftheory.fits.laws.schedule import Schedule, Units, schedule_rows, units_of
from sftheory.fits.noise import noise_of
from sftheory.fits.projection import optimum
from sftheory.fits.rates import require_reach, schedule_of
from sftheory.fits.solution import Solution, robust, solution_of


@dataclass(frozen=True, eq=False)
class JointFit:
    """A law that knows the rate, fitted to runs that share its parameters.

    Attributes:
        curves: the runs.
        law: the name of the law.
        schedules: the rate of each run at every step.
        warmup: steps of a linear warm-up that the rate columns do not show.
        units: of the search; see `Units`.
        solution: the fit, its rows those of all runs in turn.
    """

    curves: tuple[Curve, ...]
    law: str
    schedules: tuple[Schedule, ...]
    warmup: int
    units: Units
    solution: Solution

    @property
    def parameters(self) -> dict[str, float]:
        """All parameters by name."""
        return self.solution.parameters

    @property
    def errors(self) -> dict[str, float]:
        """Standard errors of the parameters, autocorrelation included, if the law is true."""
        return self.solution.errors

    @property
    def sse(self) -> float:
        """Sum of squared residuals."""
        return self.solution.sse

    @cached_property
    def identifiability(self) -> Identifiability:
        """Which parameters the runs determine."""
        return identifiability(self.solution)

    @cached_property
    def held_out(self) -> tuple[Forecast, ...]:
        """For each run the forecast by a fit to all others; empty for one run.

        Runs that are alike hold each other up: the table is as honest as the schedules differ.
        """
        if len(self.curves) < 2:
            return ()
        found = []
        for i, curve in enumerate(self.curves):
            others = [k for k in range(len(self.curves)) if k != i]
            rest = _solved(
                self.solution.law,
                [self.curves[k] for k in others],
                [self.schedules[k] for k in others],
                self.units,
                start=self.solution.theta,
            )
            rows = _rows(rest.law, [self.schedules[i]], [curve.step], self.units)
            found.append(forecast_of(rest.value_of(rows), curve.loss))
        return tuple(found)

    def at(self, step: ArrayLike, rates: ArrayLike | Curve, level: float = 0.95) -> Estimate:
        r"""The loss at some steps under a schedule, which may be new, with its interval.

        The half-width is sqrt(q² s² + q_R² e²): q s is Student's t times the standard error, with
        autocorrelation; e the root mean square of the `held_out` errors of R runs, q_R the quantile
        with R degrees of freedom. No law of the schedule holds to within the noise. A run that is
        much longer than all that were fitted is beyond what e has seen.

        Args:
            step: one step or several.
            rates: (T + 1,), entry t the rate at step t, or a curve with its rate column,
                to which the warm-up of the fit is added.
            level: of the interval.

        Returns:
            (value, low, high), numbers or arrays like `step`.

        Raises:
            InputError: the rates end before a step, or fewer than two of them before it are
                positive.
        """
        from scipy.special import stdtrit

        level = real("level", level, 0.01, 0.9999)
        t = np.asarray(steps("step", np.atleast_1d(step), "point"))
        schedule = schedule_of(rates, self.warmup)
        require_reach(schedule, t, "The schedule")
        s = self.solution
        rows = _rows(s.law, [schedule], [t.ravel()], self.units)
        value = s.value_of(rows)
        margin = s.noise.quantile(level) * np.linalg.norm(s.gradient_of(rows) @ s.root, axis=-1)
        if self.held_out:
            missed = np.sqrt(np.mean([one.rms**2 for one in self.held_out]))
            margin = np.hypot(margin, stdtrit(len(self.held_out), (1 + level) / 2) * missed)
        ends = (value, value - margin, value + margin)
        single = np.ndim(step) == 0
        return Estimate(*(float(v[0]) if single else v.reshape(t.shape) for v in ends))

    def score(self, curve: Curve, rates: ArrayLike | Curve | None = None) -> Forecast:
        """How well the law foretells a run that it was not fitted to.

        Raises:
            InputError: as `at`.
        """
        value, low, high = self.at(curve.step, curve if rates is None else rates)
        found = forecast_of(value, curve.loss)
        inside = (low <= curve.loss) & (curve.loss <= high)
        return replace(found, covered=float(inside.mean()))

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """The interval of a parameter, as far as noise goes.

        Raises:
            InputError: no such parameter.
        """
        if name not in self.parameters:
            raise nearest("parameter", name, self.parameters)
        margin = self.solution.noise.quantile(real("level", level, 0.01, 0.9999))
        margin *= self.errors[name]
        return self.parameters[name] - margin, self.parameters[name] + margin

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.parameters.items())
        return f"JointFit({self.law}: {len(self.curves)} runs, {values})"


def fit_schedules(
    curves: Sequence[Curve],
    law: str = "tissue",
    *,
    rates: Sequence[ArrayLike] | None = None,
    warmup: int = 0,
    robust: bool = False,
) -> JointFit:
    r"""Fit a law that knows the rate to several runs at once.

    Args:
        curves: runs of one model and one data set, with different schedules. One run is allowed:
            its schedule must then bend enough to tell the parameters apart.
        law: "tissue", "multi_power" or "convex_bound"; see `LAWS`.
        rates: for each run the rate at step 0, 1, ..., T. By default it is read off the curve's
            `lr`: linear between rows, constant before the first; a lone change is a jump.
        warmup: steps of a linear warm-up that `lr` does not show.
        robust: down-weight spikes (Huber).

    Raises:
        InputError: a law of a single curve, no rate, or too few points.

    References: tissue2024; luo2025; schaipp2025.

    Example:
        >>> t = np.arange(100, 4001, 100)
        >>> def run(end):
        ...     rates = np.minimum(1, np.linspace(4001 / end, 0, 4001)) * 1e-3
        ...     total = np.cumsum(rates)[t]
        ...     return Curve(t, 2.5 + 0.8 / total**0.4 + 30 * rates[t] + 1e-4 * np.cos(t), rates[t])
        >>> found = fit_schedules([run(1000), run(3000)])
        >>> bool(found.score(run(2000)).worst < 0.02)
        True
    """
    curves = tuple(curves)
    entry = LAWS[law]
    form: Law = entry.make()
    if not form.needs_rate:
        raise InputError(f"The law {entry.name!r} knows no rate; use fit(curve, {entry.name!r}).")
    if not curves or not all(isinstance(curve, Curve) for curve in curves):
        raise InputError(f"fit_schedules needs a list of Curves, but got {curves!r}; pass some.")
    if rates is not None and len(rates) != len(curves):
        raise InputError(
            f"There are {len(curves)} curves but {len(rates)} schedules; pass one for each curve."
        )
    found = [
        schedule_of(curve if rates is None else rates[i], warmup) for i, curve in enumerate(curves)
    ]
    for i, (curve, schedule) in enumerate(zip(curves, found, strict=True)):
        require_reach(schedule, curve.step, f"The schedule of curve {i}")
    points = sum(len(curve) for curve in curves)
    if points < form.size + 3:
        raise InputError(
            f"The curves have {points} points, too few for {form.size} parameters and their "
            f"errors; pass at least {form.size + 3}."
        )
    units = units_of(found)
    solution = _solved(form, curves, found, units, huber=robust)
    if form.nonnegative and (solution.factors < 0).any():
        raise InputError(
            f"The law {entry.name!r} fits these runs with a negative square, so that it does not "
            f"hold for them; fit 'tissue' or 'multi_power'."
        )
    return JointFit(curves, entry.name, tuple(found), warmup, units, solution)


def _rows(law: Law, schedules: Sequence[Schedule], at: Sequence[Array], units: Units) -> Rows:
    return schedule_rows(schedules, at, units, law.flat_warmup)


def _solved(
    law: Law,
    curves: Sequence[Curve],
    schedules: Sequence[Schedule],
    units: Units,
    start: Array | None = None,
    huber: bool = False,
) -> Solution:
    rows = _rows(law, schedules, [curve.step for curve in curves], units)
    step = np.concatenate([curve.step for curve in curves])
    loss = np.concatenate([curve.loss for curve in curves])
    best = optimum(law, rows, loss[None], start=None if start is None else start[None])
    found = solution_of(law, step, loss, rows, best, 0)
    found = robust(found) if huber else found
    starts = np.cumsum([len(curve) for curve in curves])[:-1]
    return replace(found, noise=noise_of(found.residual, found.weights, law.size, starts.tolist()))
