"""A fit of a loss curve as a picture: where it leads, what it missed before, what it left over."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import real

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sftheory.fits.answer import Fit

Array = NDArray[np.float64]
POINTS = 300  # of a drawn line
MOST = 4000  # losses that are drawn; of more the means of bins of equal width in log t
LAGS = 20
LONGEST = 30  # letters of a file's name
BAND: Any = {"color": "C1", "alpha": 0.22, "linewidth": 0}
HEIGHTS = (1.5, 1.0)


def fit(found: Fit, *, until: float | None = None, dark: bool = False) -> Figure:
    """Draw a fit of `sftheory.fits.fit`.

    Left: the losses and the law with its 95% band up to step `until`; below the same without the
    law, so that the band and the residuals can be seen. Right: what the same fit, made earlier in
    the run, would have missed at its end, with 95% of what noise alone explains; and the
    autocorrelation of the residuals beside that of the AR(1) noise which the intervals assume.
    Where the verdict forbids parameters there are the losses only.

    Args:
        found: the fit.
        until: the last step of the band; None is twice the run.
        dark: for a dark page.

    Raises:
        InputError: `until` is no number from the end of the curve on.

    Example:
        >>> from sftheory.fits import Curve, fit as fit_curve
        >>> t = np.arange(1000, 50_001, 200)
        >>> wave = 1e-3 * np.cos(2.0 * np.arange(len(t)))
        >>> picture = fit(fit_curve(Curve(t, 28 / np.sqrt(t + 60) + 3 + wave)))
        >>> [axes.get_title(loc="left") for axes in picture.axes][1:]
        ['', 'Backtest', 'Residuals']
    """
    from sftheory.figures.style import style

    last = float(found.curve.step[-1])
    until = 2 * last if until is None else real("until", until, last)
    with style(dark):
        return _known(found, until) if found.parameters is not None else _refused(found)


def save_fit(found: Fit, path: str, *, until: float | None = None) -> None:
    """Write the picture of `fit` to a png, pdf or svg file, all of it or nothing.

    Raises:
        InputError: see `fit`.
        OSError: the file cannot be written.
    """
    from sftheory.figures.style import save, style

    drawing = fit(found, until=until)
    stem, ending = os.path.splitext(path)
    partial = f"{stem}.partial{ending}"
    with style():
        save(drawing, partial)
    os.replace(partial, path)


def _refused(found: Fit) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.0, 3.0))
    axes = figure.subplots()
    _losses(axes, found)
    axes.set_ylabel("loss")
    axes.set_title(f"{_title(found)}: no parameters", loc="left")
    axes.set_xlabel(_unit(found))
    return figure


def _known(found: Fit, until: float) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2))
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.55, 1))[0]
    curve, rest = left.subplots(2, 1, sharex=True, height_ratios=HEIGHTS)
    past, lags = right.subplots(2, 1)
    first, last = float(found.curve.step[0]), float(found.curve.step[-1])
    t = np.geomspace(max(first, last / 1e4), until, POINTS)
    t = np.unique(np.concatenate([[first] * (first > 0), t, [last]]))
    _law(curve, found, t)
    _without_law(rest, found, t)
    _backtest(past, found)
    _autocorrelation(lags, found)
    return figure


def _law(axes: Any, found: Fit, t: Array) -> None:
    value, low, high = found.at(t)
    _losses(axes, found)
    axes.plot(t, value, color="C1", label=_formula(found))
    axes.fill_between(t, low, high, **BAND, label="95% interval of the law")
    if found.law != "power":
        axes.plot(t, found.power.value(t), color="C2", linestyle="--", label=_power(found))
    axes.axvline(found.curve.step[-1], color="C5", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_title(_title(found), loc="left")
    axes.set_ylabel("loss")
    axes.legend(loc="upper right", frameon=True, edgecolor="none")


def _without_law(axes: Any, found: Fit, t: Array) -> None:
    value, low, high = found.at(t)
    s = found.solution
    axes.plot(s.step, s.residual, ".", color="C0", markersize=2.5)
    axes.axhline(0, color="C1")
    axes.fill_between(t, low - value, high - value, **BAND)
    if found.law != "power":
        axes.plot(t, found.power.value(t) - value, color="C2", linestyle="--")
    axes.axvline(found.curve.step[-1], color="C5", linewidth=0.8, linestyle=":")
    axes.set_ylabel("loss − law")
    axes.set_xlabel(_unit(found))


def _losses(axes: Any, found: Fit) -> None:
    from sftheory.fits.binning import log_bins

    curve = found.curve
    if len(curve) > MOST:
        step, loss, _ = log_bins(curve, MOST // 10)
        axes.plot(step, loss, ".", color="C0", markersize=3, label="losses, means of bins")
        return
    size = 4 if len(curve) < 100 else 2
    axes.plot(curve.step, curve.loss, ".", color="C0", markersize=size, label="losses")


def _backtest(axes: Any, found: Fit) -> None:
    table = found.backtest
    share = [100 * row.fraction for row in table]
    axes.axhline(0, color="C5", linewidth=0.8)
    axes.errorbar(
        share,
        [row.error for row in table],
        [1.96 * row.deviation for row in table],
        fmt="o",
        color="C0",
        markersize=3.5,
        capsize=2,
        linewidth=1,
    )
    axes.set_title("Backtest", loc="left")
    axes.set_xlabel("% of the run that was fitted")
    axes.set_ylabel("forecast − measured end")
    if not table:
        axes.text(0.5, 0.5, "too few points", ha="center", transform=axes.transAxes)


def _autocorrelation(axes: Any, found: Fit) -> None:
    s = found.solution
    e = s.residual if s.weights is None else s.residual * np.sqrt(s.weights)
    lag = np.arange(1, min(LAGS, len(e) // 2) + 1)
    r = np.array([e[k:] @ e[:-k] for k in lag]) / (e @ e if e.any() else 1.0)
    axes.bar(lag, r, width=0.6, color="C0")
    axes.plot(lag, s.noise.rho**lag, ".-", color="C1", label=f"AR(1), ρ = {s.noise.rho:.2f}")
    edge = 1.96 / np.sqrt(len(e))
    axes.axhspan(-edge, edge, color="C5", alpha=0.15, linewidth=0, label="white noise, 95%")
    axes.axhline(0, color="C5", linewidth=0.8)
    axes.set_title("Residuals", loc="left")
    axes.set_xlabel("lag")
    axes.set_ylabel("autocorrelation")
    axes.legend()


def _formula(found: Fit) -> str:
    """The law with its numbers, c with the half-width of its interval."""
    low, high = found.interval("c")
    c = f"c = {found.solution['c']:.4f} ± {(high - low) / 2:.4f}"
    return f"{found.law}: {c}, p = {found.solution['p']:.3g}"


def _power(found: Fit) -> str:
    return f"power: c = {found.power['c']:.4f}, p = {found.power['p']:.3f}"


def _unit(found: Fit) -> str:
    return str(found.curve.meta.get("unit", "step")).removesuffix("s")


def _title(found: Fit) -> str:
    """The loss, where it comes from, and the verdict."""
    meta = found.curve.meta
    name = os.path.basename(os.path.normpath(str(meta["path"]))) if "path" in meta else ""
    name = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
    return ", ".join(part for part in (name, str(meta.get("y", "")), str(found.verdict)) if part)
