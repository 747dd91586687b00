"""Several fits side by side: repeats that share p or c, and which of two runs ends lower."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sftheory.core.errors import InputError
from sftheory.fits.answer import Estimate, Fit

SHARED = ("p", "c")


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

    def difference(self, step: float, first: int = 0, second: int = 1) -> Estimate:
        """Loss of run `first` - loss of run `second` at a step; the margins add in quadrature."""
        one, two = self.fits[first].at(step), self.fits[second].at(step)
        gap = float(one.value - two.value)
        margin = float(np.hypot(one.high - one.value, two.high - two.value))
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
