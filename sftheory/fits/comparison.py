"""Several fits side by side: repeats that share p or c, and which of two runs ends lower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sftheory.core.errors import InputError, real
from sftheory.fits.answer import Fit
from sftheory.fits.estimate import Estimate
from sftheory.fits.intervals import PAIR, beyond_noise
from sftheory.fits.repeats import fitted_together

SHARED = ("p", "c")


class Joint(NamedTuple):
    """A parameter that repeats have in common.

    excess: by how much the squared residuals rise for each parameter given up, in units of the
    noise: about 1 where the runs share it, much more where they do not.
    """

    value: float
    low: float
    high: float
    excess: float


@dataclass(frozen=True, eq=False)
class Comparison:
    r"""Fits of repeats, or of rival runs.

    Attributes:
        fits: the fits, each with parameters.
        between: standard deviation of c and of p from run to run.
        within: root mean square standard error of c and of p within a run.
    """

    fits: tuple[Fit, ...]
    between: dict[str, float]
    within: dict[str, float]

    def shared(self, name: str, level: float = 0.95) -> Estimate:
        r"""The common value of "p" or "c" of repeats, with an interval over repeats.

        The weighted mean with weights 1/(s_i² + tau²), where tau² >= 0 is the variance between
        runs beyond s_i² (method of moments). The interval is Student's t with B - 1 degrees of
        freedom, or that of the noise where it is wider. One run's interval is none over seeds.

        Raises:
            InputError: another name, or fewer than 2 fits.
        """
        from scipy.special import stdtrit

        if name not in SHARED:
            raise InputError(f"Repeats share 'p' or 'c', but {name!r} was asked for; pass one.")
        value, error = _of(self.fits, name)
        weight = 1 / error**2
        mean = weight @ value / weight.sum()
        excess = float(weight @ (value - mean) ** 2) - (len(value) - 1)
        between = max(excess, 0.0) / (weight.sum() - (weight**2).sum() / weight.sum())
        weight = 1 / (error**2 + between)
        mean = float(weight @ value / weight.sum())
        scatter = float(weight @ (value - mean) ** 2 / (len(value) - 1))
        deviation = np.sqrt(max(scatter, 1.0) / weight.sum())
        margin = float(stdtrit(len(value) - 1, (1 + level) / 2) * deviation)
        return Estimate(mean, mean - margin, mean + margin)

    def joint(self, name: str, level: float = 0.95) -> Joint:
        r"""The common "p" or "c" of repeats from one fit to all of them.

        Each run keeps its own a and b, and c where p is shared; with "p" the law is the power law,
        with "c" that of the fits, which must be one. Runs are weighted by their noise. The interval
        is that of the noise: it holds where the runs do share the parameter, which `excess` tells.
        `shared` has the interval over repeats.

        Raises:
            InputError: another name, fits of several laws for "c", or a run without noise.
        """
        if name not in SHARED:
            raise InputError(f"Repeats share 'p' or 'c', but {name!r} was asked for; pass one.")
        alone = [one.power if name == "p" else one.solution for one in self.fits]
        laws = {type(s.law).__name__ for s in alone}
        if len(laws) > 1:
            raise InputError(
                f"The fits have the laws {', '.join(sorted(laws))}; fit all runs with one law."
            )
        if min(s.noise.sigma for s in alone) == 0:
            raise InputError("A run has no noise to weight it by; compare its parameters directly.")
        together, rise = fitted_together(alone, name)
        own = together.noise.inflation**2 * (len(alone) - 1)
        value, error = together[name], together.errors[name]
        margin = together.noise.quantile(real("level", level, 0.01, 0.9999)) * error
        return Joint(value, value - margin, value + margin, rise / own)

    def difference(
        self, step: float, first: int = 0, second: int = 1, level: float = 0.95
    ) -> Estimate:
        r"""Loss of run `first` - loss of run `second` at a step, with its interval.

        The half-width is sqrt(q² (s_1² + s_2²) + b_1² + b_2²): q is Student's t with the degrees of
        freedom of a sum of two variances (Welch and Satterthwaite), b the law spread and the
        backtest of each run, where noise does not explain them: two runs have twice the chances.

        Raises:
            InputError: the step lies before one of the curves.
        """
        from scipy.special import stdtrit

        pair = [self.fits[first], self.fits[second]]
        parts = [one.parts_at(step) for one in pair]
        gap = float(parts[0].value[0] - parts[1].value[0])
        squares = np.array([part.error[0] ** 2 for part in parts])
        freedom = np.array([one.noise.freedom for one in pair])
        total = float(squares.sum())
        free = total**2 / float((squares**2 / freedom).sum()) if total > 0 else float(freedom.sum())
        q = float(stdtrit(free, (1 + real("level", level, 0.01, 0.9999)) / 2))
        bias = [float((beyond_noise(part.deviations, PAIR) * part.bias)[0]) for part in parts]
        margin = float(np.sqrt(q**2 * total + np.square(bias).sum()))
        return Estimate(gap, gap - margin, gap + margin)

    def winner(self, step: float) -> int | None:
        """The run with the lowest loss at a step; None where the intervals do not decide."""
        values = [float(one.at(step).value) for one in self.fits]
        best = int(np.argmin(values))
        rivals = [i for i in range(len(values)) if i != best]
        clear = all(self.difference(step, best, i).high < 0 for i in rivals)
        return best if clear else None


def compare(fits: Sequence[Fit]) -> Comparison:
    """Put fits side by side.

    Raises:
        InputError: fewer than two, or one whose verdict is "diverging" or "phases".

    Example:
        >>> from sftheory.fits import Curve, fit
        >>> t = np.arange(1000, 50_001, 200)
        >>> wave = 1e-3 * np.cos(2.0 * np.arange(len(t)))
        >>> runs = [fit(Curve(t, 28 / np.sqrt(t) + c + wave), law="sqrt") for c in (3.0, 3.1)]
        >>> compare(runs).winner(100_000)
        0
    """
    fits = tuple(fits)
    if len(fits) < 2:
        raise InputError(f"compare needs at least 2 fits, but got {len(fits)}; pass more.")
    for i, one in enumerate(fits):
        if one.parameters is None:
            raise InputError(
                f"Fit {i} has no parameters ({one.verdict}): {one.verdict.reason}; leave it out."
            )
    values = {name: _of(fits, name) for name in SHARED}
    between = {name: float(np.std(value, ddof=1)) for name, (value, _) in values.items()}
    within = {name: float(np.sqrt(np.mean(error**2))) for name, (_, error) in values.items()}
    return Comparison(fits, between, within)


def _of(fits: Sequence[Fit], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and standard errors; p is that of the free power law."""
    chosen = [one.power if name == "p" else one.solution for one in fits]
    return np.array([s[name] for s in chosen]), np.array([s.errors[name] for s in chosen])
