"""What the law explorer shows: a dropped log, the law fitted to it, and what the fit is worth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sftheory.core.errors import InputError, real
from sftheory.fits import fit, read, read_all
from sftheory.fits.answer import Fit
from sftheory.fits.curve import Curve

LARGEST = 5_000_000  # characters
SHOWN, GRID = 600, 200  # points of the log and of the law that are drawn
INPUTS: dict[str, Any] = {
    "text": "",
    "name": "",
    "size": 0,
    "y": None,
    "start": None,
    "stop": None,
    "cut": False,
    "at": None,
}


def law_data(
    *,
    text: str,
    name: str = "log",
    size: int = 0,
    y: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    cut: bool = False,
    at: float | None = None,
) -> dict[str, Any]:
    r"""The fit of a/sqrt(t + b) + c to the loss curve that a log holds.

    Args:
        text: the log, as `sftheory.fits.read` takes it: delimited text, JSON or a text log.
        name: what it is called.
        size: of the file, which is not sent where it is too large.
        y: the column of losses; None takes the only one.
        start: the first step to fit.
        stop: the last one.
        cut: whether to fit the plateau that is found.
        at: the step to forecast; None is twice the last one.

    Returns:
        name, x, y, lr, account: which columns were read.  losses: those to choose from.
        points: {"step", "loss"}, at most SHOWN + 1 of them; count: how many there are.
        fitted: {"first", "last", "count"}.  verdicts: [{"verdict", "reason"}].
        parameters: {"a", "b", "c"}.  intervals: {"a": [low, high], ...}.  exponent: {"value",
        "error"} of the power law.  curve: {"step", "loss", "low", "high"}.  forecast: the same at
        one step. None, all of them, where the verdict is "diverging" or "phases".
        notes: what was done before the fit.
        {"error", "losses"} where several columns may be the loss; {"waiting"} without a text.

    Raises:
        InputError: the text is too long or no log, or its curve cannot be fitted.

    Example:
        >>> t = np.arange(100, 10_001, 100)
        >>> rows = [f"{s},{20 / np.sqrt(s + 50) + 3 + 0.01 * np.cos(2 * s):.6f}" for s in t]
        >>> found = law_data(text="\n".join(["step,loss", *rows, ""]))
        >>> found["verdicts"][0]["verdict"], round(found["parameters"]["c"], 1)
        ('fits', 3.0)
    """
    if max(len(text), size) > LARGEST:
        raise InputError(
            f"{name} has {max(len(text), size)} characters and at most {LARGEST} are taken here; "
            f"use sftheory fit {name}."
        )
    if not text:
        return {"waiting": "Drop a log here, or choose a file.", "losses": []}
    curve, losses = _read(text, name, y)
    if curve is None:
        return {"error": f"{name} holds several losses; choose one of them.", "losses": losses}
    found = fit(curve.cut(start, stop), "sqrt", cut=bool(cut))
    every = -(-len(curve) // SHOWN)
    shown = np.unique(np.append(np.arange(0, len(curve), every), len(curve) - 1))
    fitted, meta = found.curve, curve.meta
    return {
        "name": name,
        **{key: meta[key] for key in ("x", "y", "lr", "account")},
        "losses": losses,
        "points": {"step": curve.step[shown].tolist(), "loss": curve.loss[shown].tolist()},
        "count": len(curve),
        "fitted": {
            "first": float(fitted.step[0]),
            "last": float(fitted.step[-1]),
            "count": len(fitted),
        },
        "verdicts": [{"verdict": str(v), "reason": v.reason} for v in found.verdicts],
        "notes": list(found.notes),
        "limits": None,
        **_answers(found, at),
    }


def _answers(found: Fit, at: float | None) -> dict[str, Any]:
    if found.parameters is None:
        return dict.fromkeys(("parameters", "intervals", "exponent", "curve", "forecast"))
    first, last = float(found.solution.step[0]), float(found.curve.step[-1])
    later = 2 * last if at is None else real("at", at, first)
    low, high = first or float(found.curve.step[1]), max(later, last)
    step = low * (high / low) ** (np.arange(GRID) / (GRID - 1))
    band = found.at(np.clip(step, first, None))
    named = [name for name in found.parameters if name != "p"]
    return {
        "parameters": {name: found.parameters[name] for name in named},
        "intervals": {name: list(found.interval(name)) for name in named},
        "exponent": {"value": found.power["p"], "error": found.power.errors["p"]},
        "curve": {
            "step": step.tolist(),
            "loss": np.asarray(band.value).tolist(),
            "low": np.asarray(band.low).tolist(),
            "high": np.asarray(band.high).tolist(),
        },
        "forecast": dict(
            zip(("step", "loss", "low", "high"), [later, *found.at(later)], strict=True)
        ),
    }


def _read(text: str, name: str, y: str | None) -> tuple[Curve | None, list[str]]:
    """The curve, None where one of several must be chosen; and the losses that there are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_text(text, encoding="utf-8", newline="")
        try:
            every = [curve.meta["y"] for curve in read_all(path)]
        except InputError:  # one series of several is no curve: what is asked for may be one
            every = []
        if y is None and len(every) > 1:
            return None, every
        try:
            return read(path, y=y), every
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None
