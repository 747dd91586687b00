"""What can be said of a fit in a word, and the numbers that it rests on."""

from __future__ import annotations

import numpy as np

from sftheory.fits.curve import Curve
from sftheory.fits.intervals import preference
from sftheory.fits.phases import Phases, find_phases
from sftheory.fits.solution import Solution

DIVERGING, PHASES, OPEN, REJECTED, FITS = (
    "diverging",
    "phases",
    "p not identified",
    "law rejected",
    "fits",
)
RISE = 0.1  # of the fall: how far above its least value a curve may end
RISE_NOISE = 5.0  # standard deviations of the smoothed curve
OPEN_ERROR = 0.1  # standard error of p
MISFIT = 1.5  # systematic part of the residual, in units of the noise
GAIN = 6.0  # AIC with the effective number of residuals; a factor of 20 in likelihood
UNEXPLAINED = 0.05  # of the fall: residuals of a curve that no power law describes


class Verdict(str):
    """A word, such as "fits", with the sentence that says why in `reason`.

    Example:
        >>> Verdict("fits", "p = 0.5 +- 0.01") == "fits"
        True
    """

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, name: str, reason: str) -> Verdict:
        verdict = super().__new__(cls, name)
        verdict.reason = reason
        return verdict


def misfit(law: Solution, power: Solution) -> float:
    """The systematic part of the residual, sqrt(rmse² - rmse_p²) / rmse_p, p free in rmse_p."""
    if power.sse <= 0:
        return 0.0 if law.sse <= 0 else float(np.inf)
    return float(np.sqrt(max(law.sse / power.sse - 1, 0.0)))


def verdicts(curve: Curve, law: Solution, power: Solution) -> tuple[tuple[Verdict, ...], Phases]:
    """All verdicts that apply, the first that applies first, and the phases that were found.

    Args:
        curve: what was fitted, before binning.
        law: the fit.
        power: the fit of the power law with free p.
    """
    phases = find_phases(curve)
    found = [_diverging(curve, law), _phases(phases), _open(power), _rejected(curve, law, power)]
    held = tuple(verdict for verdict in found if verdict is not None)
    return held or (Verdict(FITS, _describe(law, power)),), phases


def _diverging(curve: Curve, law: Solution) -> Verdict | None:
    if law.factors[0] <= 0:
        return Verdict(DIVERGING, "The best fit rises, a <= 0")
    y = curve.loss
    width = max(3, len(y) // 20)
    sums = np.append(0.0, np.cumsum(y - y[0]))  # a convolution would take O(n²)
    smooth = y[0] + (sums[width:] - sums[:-width]) / width
    rise, fall = smooth[-1] - smooth.min(), max(smooth[0] - smooth.min(), 0.0)
    noise = float(np.std(np.diff(y)) / np.sqrt(2 * width))
    if rise > RISE * fall and rise > RISE_NOISE * noise:
        return Verdict(
            DIVERGING,
            f"The smoothed loss ends {rise:.3g} above its least value, {smooth.min():.4g}",
        )
    return None


def _phases(phases: Phases) -> Verdict | None:
    return None if phases.whole else Verdict(PHASES, phases.reason)


def _open(power: Solution) -> Verdict | None:
    if power.at_edge:
        return Verdict(OPEN, f"The free power law stops at its bound, p = {power['p']:.3g}")
    if power.errors["p"] > OPEN_ERROR:
        return Verdict(
            OPEN, f"The exponent could be {power['p']:.2f} +- {power.errors['p']:.2f} (one sigma)"
        )
    return None


def _rejected(curve: Curve, law: Solution, power: Solution) -> Verdict | None:
    apart = misfit(law, power)
    gain = preference(law, power) ** 2 - 2
    if apart > MISFIT and gain > GAIN:
        return Verdict(
            REJECTED,
            f"A free exponent, p = {power['p']:.3f} +- {power.errors['p']:.3f}, leaves residuals "
            f"so much smaller that the misfit is {apart:.1f} times the noise (AIC gain {gain:.0f})",
        )
    rmse = float(np.sqrt(np.mean(law.residual**2)))
    if law.noise.rho > 0.9 and rmse > UNEXPLAINED * float(np.ptp(curve.loss)):
        return Verdict(
            REJECTED,
            f"The residuals, {rmse:.3g}, are correlated ({law.noise.rho:.2f}) and large for a loss "
            f"that falls by {np.ptp(curve.loss):.3g}",
        )
    return None


def _describe(law: Solution, power: Solution) -> str:
    gain = preference(law, power) ** 2 - 2
    text = f"Free exponent p = {power['p']:.3f} +- {power.errors['p']:.3f}, c = {power['c']:.4g}"
    if law.law.size < power.law.size and gain > GAIN:
        text += f"; it differs from that of the law (AIC gain {gain:.0f}), by less than the noise"
    return text
