"""A fit that follows a log while it grows."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from sftheory.core.errors import InputError, real
from sftheory.fits.answer import Estimate, Fit
from sftheory.fits.fitting import fit
from sftheory.fits.readers import read


class Seen(NamedTuple):
    """What one look at the log gave.

    fit: the fit of the plateau so far, None where it is too short or no log yet.
    end: the loss predicted at the end of the run, None without parameters or without an end.
    message: one sentence: the verdict, or why there is no fit.
    """

    fit: Fit | None
    end: Estimate | None
    message: str


def watch(
    path: str | os.PathLike[str],
    *,
    until: float | None = None,
    every: float = 30.0,
    patience: int | None = None,
    law: str = "auto",
    **columns: Any,
) -> Iterator[Seen]:
    """Refit the plateau of a log whenever it has grown; yields, prints nothing.

    Args:
        path: the log.
        until: the step at which the run will end; it is what `end` predicts. The last look is
            the one that finds it reached.
        every: seconds between looks.
        patience: stop after so many looks at an unchanged log; None looks for ever.
        law: as for `fit`.
        **columns: x, y, lr and nonfinite of `read`.

    Raises:
        InputError: `every` is negative. A log that cannot be read yet, or not be fitted, is no
            error: its message says so.

    Example:
        >>> import pathlib, tempfile
        >>> log = pathlib.Path(tempfile.mkdtemp()) / "run.log"
        >>> rows = [f"s:{t} tel:{3 + 20 / t**0.5 + 1e-3 * (t % 3)}" for t in range(500, 5001, 100)]
        >>> _ = log.write_text("\\n".join(rows) + "\\n")
        >>> seen = next(watch(log, until=10_000))
        >>> round(seen.end.value, 1), seen.fit.law
        (3.2, 'sqrt')
    """
    every = real("every", every, 0)
    before, idle = None, 0
    while True:
        now = _state(path)
        idle = idle + 1 if now == before else 0
        if now != before:
            before = now
            seen = _look(path, until, law, columns)
            yield seen
            if until is not None and seen.fit is not None and seen.fit.curve.step[-1] >= until:
                return
        if patience is not None and idle >= patience:
            return
        time.sleep(every)


def _state(path: str | os.PathLike[str]) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0)
    return found.st_size, found.st_mtime_ns


def _look(
    path: str | os.PathLike[str], until: float | None, law: str, columns: dict[str, Any]
) -> Seen:
    try:
        found = fit(read(path, **columns), law, cut=True)
    except InputError as error:
        return Seen(None, None, str(error))
    message = " ".join([*found.notes, f"{found.verdict}: {found.verdict.reason}."])
    if found.parameters is None or until is None:
        return Seen(found, None, message)
    return Seen(found, found.at(max(until, float(found.curve.step[-1]))), message)
