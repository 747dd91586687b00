"""The command that fits logs: `sftheory fit LOG...`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sftheory.core.errors import InputError
from sftheory.options import positive
from sftheory.terminal import as_json, in_options, plain, show_table, table_of

if TYPE_CHECKING:
    from sftheory.fits.answer import Fit

PICTURES = (".png", ".pdf", ".svg")
LEVEL = 0.95
LAWS_OF_STEPS = ("sqrt", "power", "power_from_zero", "hyperbolic")


def add_options(sub: argparse.ArgumentParser) -> None:
    """The options of `sftheory fit`."""
    sub.add_argument("logs", nargs="+", metavar="LOG", help="a log, or a folder of event files")
    sub.add_argument("--law", default="auto", help=f"(auto) {', '.join(LAWS_OF_STEPS)}")
    for name, what in (("x", "steps"), ("y", "losses"), ("lr", "rates")):
        sub.add_argument(f"--{name}", default=None, help=f"the column of {what}")
    sub.add_argument("--start", type=float, default=None, help="the first step to fit")
    sub.add_argument("--stop", type=float, default=None, help="the last step to fit")
    sub.add_argument("--cut", action="store_true", help="fit the plateau of the rate that is found")
    sub.add_argument("--robust", action="store_true", help="give spikes less weight")
    sub.add_argument("--drop", action="store_true", help="leave out losses that are not finite")
    sub.add_argument(
        "--at",
        type=positive,
        action="append",
        default=[],
        metavar="STEP",
        help="the loss at a step",
    )
    sub.add_argument(
        "--steps-to", type=float, action="append", default=[], metavar="LOSS", help="when it falls"
    )
    sub.add_argument("--plot", default=None, metavar="FILE", help="draw the fit: png, pdf or svg")


def fit(options: argparse.Namespace) -> int:
    """`sftheory fit`: parameters with intervals, verdicts, and answers about later steps.

    All logs are read and fitted before anything is printed. With --json one log gives an object,
    several give {"fits": [...]}; what is unknown or infinite is null.
    """
    _check_picture(options)
    found = [_fitted(log, options) for log in options.logs]
    facts = [_facts(log, one, options) for log, one in zip(options.logs, found, strict=True)]
    if options.plot:
        _draw(found[0], options)
    if options.json:
        whole = facts[0] if len(facts) == 1 else {"fits": facts}
        print(as_json(whole))
    else:
        _show(facts)
        if options.plot:
            print(f"Drawn in {options.plot}.")
    return 0


def _fitted(log: str, options: argparse.Namespace) -> Fit:
    from sftheory.fits import LAWS, read
    from sftheory.fits import fit as fit_curve

    # a wrong law is said before a long log is read
    if options.law != "auto" and LAWS[options.law].make().needs_rate:
        raise InputError(
            f"The law {options.law!r} needs the schedule, which `sftheory fit` does not take; "
            f"choose --law {', '.join(LAWS_OF_STEPS)}, or use fits.fit_schedules in Python."
        )
    drop = "drop" if options.drop else "raise"
    curve = read(log, x=options.x, y=options.y, lr=options.lr, nonfinite=drop)
    try:
        curve = curve.cut(options.start, options.stop)
        return fit_curve(curve, options.law, robust=options.robust, cut=options.cut)
    except InputError as error:
        raise InputError(f"{log}: {error}") from None


def _facts(log: str, found: Fit, options: argparse.Namespace) -> dict[str, Any]:
    """Everything that is known of a fit, as JSON values."""
    known = found.parameters is not None
    curve, names = found.curve, found.parameters or {}
    try:
        at = [_answer("step", t, found.at(t) if known else None) for t in options.at]
        when = [_answer("loss", y, found.steps_to(y) if known else None) for y in options.steps_to]
    except InputError as error:
        raise InputError(f"{log}: {error}") from None
    return plain(
        {
            "log": log,
            "account": curve.meta["account"],
            "x": curve.meta["x"],
            "y": curve.meta["y"],
            "points": len(curve),
            "first": curve.step[0],
            "last": curve.step[-1],
            "law": found.law,
            **dict.fromkeys("abcp"),
            **names,
            "errors": found.errors,
            "intervals": {name: found.interval(name) for name in names} if known else None,
            "level": LEVEL,
            "sse": found.sse,
            "noise": {"sigma": found.noise.sigma, "rho": found.noise.rho},
            "verdict": str(found.verdict),
            "verdicts": [str(verdict) for verdict in found.verdicts],
            "reasons": [verdict.reason for verdict in found.verdicts],
            "notes": [in_options(note) for note in found.notes],
            "spread": found.spread if known else None,
            "backtest": [vars(row) for row in found.backtest] if known else None,
            "at": at,
            "steps_to": when,
        }
    )


def _answer(what: str, asked: float, estimate: Any) -> dict[str, Any]:
    answer = dict.fromkeys(("value", "low", "high")) if estimate is None else estimate._asdict()
    return {what: asked} | answer


def _show(facts: Sequence[dict[str, Any]]) -> None:
    """A table with a line for each log, and below it why the verdicts are what they are."""
    names = [name for name in facts[0]["intervals"] or "abcp" if name not in "acp"]
    shown = ["c", "p", "a", *names] if all(one["law"] == facts[0]["law"] for one in facts) else []
    shown = shown or ["c", "p", "a", "b"]
    at = [f"loss at {_short(one['step'])}" for one in facts[0]["at"]]
    when = [f"step of {_short(one['loss'])}" for one in facts[0]["steps_to"]]
    table = table_of("log", "points", "law", *shown, *at, *when, "verdict")
    labels = _labels([one["log"] for one in facts])
    for label, one in zip(labels, facts, strict=True):
        cells = [_with_interval(one, name) for name in shown]
        never = "never" if one["intervals"] else ""
        cells += [_estimate(answer, "") for answer in one["at"]]
        cells += [_estimate(answer, never) for answer in one["steps_to"]]
        color = "green" if one["verdict"] == "fits" else "yellow"
        verdict = f"[{color}]{', '.join(one['verdicts'])}"
        table.add_row(_escaped(label), str(one["points"]), one["law"], *cells, verdict)
    show_table(table)
    for label, one in zip(labels, facts, strict=True):
        told = [one["account"], *one["notes"], *(f"{reason}." for reason in one["reasons"])]
        if one["spread"] and one["law"] != "power":
            told.append(f"With a free exponent c moves by {one['spread']['c']:+.3g}.")
        print(f"{label}: {' '.join(told)}")
    if any(one["verdict"] == "phases" for one in facts):
        print("For numbers fit a plateau: --cut takes the one that is found, or give --start STEP.")
    else:
        print(f"Intervals are {LEVEL:.0%}, with autocorrelation, spread of laws and backtest.")


def _labels(logs: Sequence[str]) -> list[str]:
    """The file names where these tell the logs apart, else the paths."""
    names = [os.path.basename(os.path.normpath(log)) for log in logs]
    return names if len(set(names)) == len(names) else list(logs)


def _with_interval(one: dict[str, Any], name: str) -> str:
    if one.get(name) is None:
        return ""
    low, high = one["intervals"][name]
    if low == high:
        return f"{_short(one[name])} fixed"
    if name == "p" and one["errors"]["p"] == 0:
        return f"{_short(one[name])} fixed\n\\[{_short(low)}, {_short(high)}] free"
    return _estimate({"value": one[name], "low": low, "high": high}, "")


def _estimate(answer: dict[str, Any], without: str) -> str:
    """The value above its interval."""
    if answer["value"] is None and answer["low"] is None:
        return without
    ends = ", ".join("never" if v is None else _short(v) for v in (answer["low"], answer["high"]))
    return f"{'never' if answer['value'] is None else _short(answer['value'])}\n\\[{ends}]"


def _short(value: float) -> str:
    return f"{value:.0f}" if 1e5 <= abs(value) < 1e9 else f"{value:.5g}"


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _check_picture(options: argparse.Namespace) -> None:
    if options.plot is None:
        return
    if len(options.logs) > 1:
        raise InputError(f"--plot draws one log, but {len(options.logs)} are given; pass one.")
    if not options.plot.lower().endswith(PICTURES):
        raise InputError(f"--plot writes {', '.join(PICTURES)}, but got {options.plot!r}.")


def _draw(found: Fit, options: argparse.Namespace) -> None:
    """The picture, all of it or nothing."""
    from sftheory.figures.loss_curve import save_fit

    try:
        later = [step for step in options.at if step > found.curve.step[-1]]
        save_fit(found, options.plot, until=max(later, default=None))
    except OSError as error:
        raise InputError(f"Cannot write {options.plot}: {error.strerror}.") from None
