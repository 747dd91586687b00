"""Loss curves from the logs of real runs: the format by its content, the columns by their names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sftheory.core.errors import InputError
from sftheory.fits import (
    formats_delimited,
    formats_events,
    formats_json,
    formats_json_lines,
    formats_parquet,
    formats_text,
)
from sftheory.fits.assembly import assemble
from sftheory.fits.curve import Curve
from sftheory.fits.selection import candidates, choose, complete
from sftheory.fits.tables import Log

HEAD = 1 << 16
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz"}


def read(
    path: str | os.PathLike[str],
    x: str | None = None,
    y: str | None = None,
    lr: str | None = None,
    nonfinite: str = "raise",
) -> Curve:
    """The loss curve that a log holds.

    Formats, told apart by content: delimited text with or without a header (also AlgoPerf's
    measurements), JSON lines, JSON documents (W&B histories, trainer states), Parquet, TensorBoard
    event files or a folder of them, and the text logs of llm.c and modded-nanogpt. The columns are
    found by their names; `curve.meta["account"]` says which, and how many rows were left out:
    rows without a loss or a step, all but the last of the rows at one step, a last line that is
    not whole. The same counts stand in `curve.meta` under names of their own.

    Args:
        path: the log.
        x: the column of steps; None takes steps before tokens before samples before epochs.
        y: the column of losses; None takes the only one.
        lr: the column of rates; None takes the only one, if there is one.
        nonfinite: "raise", or "drop" to leave out rows whose loss is NaN or infinite.

    Raises:
        InputError: the file is empty, damaged or no log; several series may be the loss (the
            sentence names them); a cell is no number, a loss not finite, a step negative (the
            sentence names the line).

    Example:
        >>> import tempfile, pathlib
        >>> log = pathlib.Path(tempfile.mkdtemp()) / "run.log"
        >>> _ = log.write_text("s:100 tel:4.00\\ns:200 tel:3.50\\ns:300 tel:3.25\\n")
        >>> read(log).loss.tolist()
        [4.0, 3.5, 3.25]
    """
    place = _checked(path, nonfinite)
    log = _opened(place)
    return assemble(place, log, choose(place, log, x, y, lr), nonfinite)


def read_all(path: str | os.PathLike[str], nonfinite: str = "raise") -> list[Curve]:
    """Every loss curve that a log holds, each as `read` gives it with y= its name.

    Raises:
        InputError: as `read`, except that several series are no error.
    """
    place = _checked(path, nonfinite)
    log = _opened(place)
    return [
        assemble(place, log, complete(place, log, *one, None, None, f"y = {one[0]!r}"), nonfinite)
        for one in candidates(place, log)
    ]


def _checked(path: str | os.PathLike[str], nonfinite: str) -> str:
    if nonfinite not in ("raise", "drop"):
        raise InputError(f"nonfinite must be 'raise' or 'drop', but got {nonfinite!r}.")
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"A log is read from a path, but got {type(path).__name__}; pass a path.")
    return os.fsdecode(path)


def _opened(path: str) -> Log:
    try:
        return _log(path)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"Cannot read the log {path}: {reason}.") from None


def _log(path: str) -> Log:
    """The tables of a log, whose format is told by its first bytes."""
    if os.path.isdir(path):
        return formats_events.events(_event_files(path))
    with open(path, "rb") as file:
        head = file.read(HEAD)
    name = os.path.basename(path)
    if not head:
        raise InputError(f"{path} is empty (0 bytes); wait until the run has written to it.")
    if head.startswith(b"PAR1"):
        return formats_parquet.parquet(path)
    if formats_events.is_events(head):
        return formats_events.events([path])
    for magic, packer in PACKED.items():
        if head.startswith(magic):
            raise InputError(f"{path} is packed with {packer}; unpack it first.")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16 text; save it as UTF-8.")
    if b"\0" in head or _is_junk(head):
        kind = "an event file whose first record is cut or damaged" if "tfevents" in name else ""
        raise InputError(f"{path} is {kind or 'binary and no log'}; pass a log that is whole.")
    log = _text(path, head.removeprefix(b"\xef\xbb\xbf").lstrip())
    if log is None:
        raise InputError(
            f"{path} is no log that is known; pass delimited text, JSON, Parquet, event files or "
            f"lines such as 'step:10 loss:3.5'."
        )
    return log


def _is_junk(head: bytes) -> bool:
    return head.decode("utf-8", "replace").count("\ufffd") > 4 + len(head) // 100


def _text(path: str, head: bytes) -> Log | None:
    if not head:
        raise InputError(f"{path} holds nothing but blanks; wait until the run has written to it.")
    if head[:1] in (b"{", b"["):
        first, _, rest = head.partition(b"\n")
        try:
            by_line = isinstance(json.loads(first), dict) and bool(rest.strip())
        except (ValueError, RecursionError):
            # a damaged record before others is an error of line 1
            by_line = rest.lstrip()[:1] == b"{" and first.rstrip()[-1:] == b"}"
        return formats_json_lines.lines(path) if by_line else formats_json.document(path)
    if formats_text.begins(head):
        return formats_text.text(path)
    return formats_delimited.delimited(path) or formats_text.text(path)


def _event_files(folder: str) -> list[str]:
    """The event files in a folder, in the order in which they were begun."""
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    found = []
    for path in files:
        with open(path, "rb") as file:
            if formats_events.is_events(file.read(12)):
                found.append(str(path))
    if not found:
        raise InputError(f"{folder} is a folder without event files; pass a log.")
    return found
