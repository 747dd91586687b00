"""What a fit answers: parameters, intervals, the loss at any step, the step of any loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, nearest, numbers, real
from sftheory.fits.backtest import Backtest, backtests
from sftheory.fits.curve import Curve
from sftheory.fits.estimate import Estimate
from sftheory.fits.identified import Identifiability, identifiability
from sftheory.fits.intervals import ALONE, beyond_noise, missed, preference
from sftheory.fits.inversion import first_below
from sftheory.fits.laws.base import Array
from sftheory.fits.noise import Noise
from sftheory.fits.phases import Phases
from sftheory.fits.solution import Solution
from sftheory.fits.verdicts import DIVERGING, PHASES, Verdict


class Parts(NamedTuple):
    """What the interval at k steps is made of, each (k,).

    value: of the law.  error: its standard error, autocorrelation included.  bias: the distance to
    the power law and the error of the backtest.  deviations: those two in standard deviations.
    """

    value: Array
    error: Array
    bias: Array
    deviations: Array


@dataclass(frozen=True, eq=False)
class Fit:
    r"""A law fitted to a curve, with what the data leave open.

    Attributes:
        curve: the curve, cut to its plateau if that was asked for.
        law: the name of the law.
        solution, power, ordinary: the fits of the law, of the power law with free p, and of the
            power law with 0.1 <= p <= 2.
        verdicts: all that apply, the first in `verdict`: "diverging", "phases",
            "p not identified", "law rejected" or "fits". Each is a string with a `reason`.
        phases: warm-up, plateau and cooldown of the curve.
        notes: what was done to the curve before it was fitted.
        a, b, c, p: the parameters, None where the verdict is "diverging" or "phases".
    """

    curve: Curve
    law: str
    solution: Solution
    power: Solution
    ordinary: Solution
    verdicts: tuple[Verdict, ...]
    phases: Phases
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The first verdict that applies."""
        return self.verdicts[0]

    @property
    def parameters(self) -> dict[str, float] | None:
        """All parameters by name, None where the verdict forbids them."""
        return None if self.verdict in (DIVERGING, PHASES) else self.solution.parameters

    @property
    def errors(self) -> dict[str, float] | None:
        """Standard errors of the parameters, corrected for autocorrelation."""
        return None if self.parameters is None else self.solution.errors

    @property
    def a(self) -> float | None:
        """The factor."""
        return self._parameter("a")

    @property
    def b(self) -> float | None:
        """The offset, in steps."""
        return self._parameter("b")

    @property
    def c(self) -> float | None:
        """The floor."""
        return self._parameter("c")

    @property
    def p(self) -> float | None:
        """The exponent."""
        return self._parameter("p")

    @property
    def sse(self) -> float:
        """Sum of squared residuals; of bin means, weighted by their counts, for a long log."""
        return self.solution.sse

    @property
    def noise(self) -> Noise:
        """Size and autocorrelation of the residuals."""
        return self.solution.noise

    @cached_property
    def backtest(self) -> tuple[Backtest, ...]:
        """The fits that would have been made earlier in the run, asked for its end."""
        s = self.solution
        return backtests(s.law, s.step, s.loss, s.weights)

    @cached_property
    def spread(self) -> dict[str, float]:
        """By how much c and the loss at twice the run move under the power law with free p."""
        twice = np.array([2 * self.solution.step[-1]])
        later = float(self.ordinary.value(twice)[0] - self.solution.value(twice)[0])
        return {"c": self.ordinary["c"] - self.solution["c"], "at twice the run": later}

    @cached_property
    def _preference(self) -> float:
        """By how many standard deviations the data prefer the power law; 0 where it is the law."""
        wider = self.solution.law.size < self.power.law.size
        return preference(self.solution, self.ordinary) if wider else 0.0

    @cached_property
    def identifiability(self) -> Identifiability:
        """What the curve determines of a, b, c and p, with p free whatever the law."""
        return identifiability(self.power)

    def at(self, step: ArrayLike, level: float = 0.95) -> Estimate:
        r"""The loss of the law at a step, or at several, with its interval.

        The half-width is q s + w (|P - P_power| + |e|): q s is Student's t times the standard
        error, with autocorrelation; P - P_power the distance to the power law with free p; e the
        error of a backtest over the same share of the run. w is 0 where noise explains the last
        two, 1 where it does not. A measurement at that step has its own noise, `fit.noise.sigma`,
        on top.

        Returns:
            (value, low, high), numbers or arrays like `step`.

        Raises:
            InputError: the verdict is "diverging" or "phases", or a step lies before the curve.
        """
        t = numbers("step", np.atleast_1d(step), "place").reshape(np.shape(step))
        value, margin = self._band(self._asked(t), _level(level))
        ends = (value, value - margin, value + margin)
        return Estimate(*(float(v[0]) if t.ndim == 0 else v.reshape(t.shape) for v in ends))

    def parts_at(self, step: ArrayLike) -> Parts:
        """What the interval of `at` is made of.

        Raises:
            InputError: as `at`.
        """
        return self._parts(self._asked(np.asarray(step, dtype=np.float64)))

    def _asked(self, t: Array) -> Array:
        self._allowed()
        first = self.solution.step[0]
        if not np.isfinite(t).all() or (t < first).any():
            raise InputError(
                f"The fit starts at step {first:g} and knows nothing of {t.tolist()!r}; ask for a "
                f"finite step from there on."
            )
        return t.ravel()

    def _parts(self, t: Array) -> Parts:
        s = self.solution
        value = s.value(t)
        error, deviations = missed(self.backtest, t, s.step[0], s.step[-1])
        apart = np.abs(self.ordinary.value(t) - value) if self._preference else 0.0
        together = np.hypot(self._preference, deviations)
        return Parts(value, s.error_at(t), apart + error, together)

    def _band(self, t: Array, level: float) -> tuple[Array, Array]:
        value, error, bias, deviations = self._parts(t)
        return value, self.noise.quantile(level) * error + beyond_noise(deviations) * bias

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """The interval of a parameter; that of c knows the spread of laws.

        Where the law fixes p, the interval of "p" is that of the power law with free p.

        Raises:
            InputError: no such parameter, or the verdict is "diverging" or "phases".
        """
        self._allowed()
        level = _level(level)
        if name not in self.solution.parameters:
            raise nearest("parameter", name, self.solution.parameters)
        fixed_p = name == "p" and self.solution.errors["p"] == 0
        s = self.power if fixed_p else self.solution
        margin = s.noise.quantile(level) * s.errors[name]
        if name == "c":
            margin += beyond_noise(self._preference, ALONE) * abs(self.spread["c"])
        return s[name] - margin, s[name] + margin

    def steps_to(self, loss: float, level: float = 0.95) -> Estimate:
        r"""The step at which the law reaches a loss, and when it does so at either end of the band.

        The ends invert the band of `at`: a standard error of the step itself is of no use, for the
        curve is flat there. A loss that is not reached within 10,000 runs is reached at inf.

        Raises:
            InputError: the verdict is "diverging" or "phases", or the curve starts below the loss.
        """
        self._allowed()
        loss, level = real("loss", loss, -np.inf), _level(level)
        s = self.solution
        first, last = float(s.step[0]), float(s.step[-1])
        value = s.value([first])
        if loss >= value[0]:
            raise InputError(
                f"The curve starts at step {first:g} with {value[0]:.6g}, which is no more than "
                f"{loss:g}; ask for a lower loss."
            )

        def above(t: Array, sign: int) -> Array:
            value, margin = self._band(t, level)
            return value + sign * margin - loss

        return Estimate(*(first_below(partial(above, sign=k), first, last) for k in (0, -1, 1)))

    def _parameter(self, name: str) -> float | None:
        return None if self.parameters is None else self.parameters.get(name)

    def _allowed(self) -> None:
        if self.parameters is None:
            remedy = "look at the run"
            if self.verdict == PHASES:
                remedy = "fit a law that knows the rate"
                if self.phases.start is not None:
                    start, stop = self.phases.start, self.phases.stop
                    remedy = f"fit curve.cut({start:g}, {stop:g}), or pass cut=True"
            raise InputError(f"{self.verdict.reason} ({self.verdict}); {remedy}.")

    def __repr__(self) -> str:
        found = self.parameters or {}
        values = ", ".join(f"{name}={value:.6g}" for name, value in found.items())
        return f"Fit({self.law}: {self.verdict}{', ' * bool(values)}{values})"


def _level(level: float) -> float:
    return real("level", level, 0.01, 0.9999)
