"""Text logs with a line per step: llm.c, modded-nanogpt and their relatives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sftheory.fits.columns import is_loss
from sftheory.fits.tables import Block, Log, Table, chunks, rows, whole_end

NUMBER = rb"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[nN]a[nN]|[iI]nf))(?=$|[\s,|)])"
# digits right after the word: logs may begin with the source code that wrote them
STEP = rb"(?:s|step|iter)[: =] *(\d+)(?:/\d+)?(?:[:,]| *\|| (?=[A-Za-z]))"
LINE = re.compile(STEP + rb"(.*)")
FIELD = re.compile(rb"(?:^|[|,\s])\s*([A-Za-z][A-Za-z_/]*(?: loss)?)[: =]\s*" + NUMBER)
SAME_DIGITS = bytes.maketrans(b"123456789", b"000000000")
PARTS = 8  # smaller pieces, as each number is a Python object


def begins(head: bytes) -> bool:
    """Whether a line of a text log with a loss stands in `head`."""
    return any(map(is_loss, _names(head)))


def text(path: str) -> Log | None:
    """The series of a text log, None if no line has a step and a number.

    A series is a table of its own, since its lines are its own: `trl` and `tel` of llm.c (the
    training and the validation loss), `train_loss` and `val_loss` of modded-nanogpt.
    """
    end, partial = whole_end(path)
    names: dict[str, None] = {}
    for piece, _ in chunks(path, 0, end, parts=PARTS):
        names |= dict.fromkeys(_names(piece))
    if not names:
        return None
    return Log("text log", [_series(path, name, end) for name in names], partial)


def _names(piece: bytes) -> list[str]:
    """What stands before a number on lines that begin with a step, in order."""
    found: dict[bytes, None] = {}
    for line in dict.fromkeys(piece.translate(SAME_DIGITS).split(b"\n")):
        if (match := LINE.match(line)) is not None:
            found |= dict.fromkeys(name for name, _ in FIELD.findall(match[2]))
    names = dict.fromkeys(name.decode().replace(" ", "_") for name in found)
    names.pop("step", None)
    return list(names)


def _pattern(name: str) -> re.Pattern[bytes]:
    """A line with (step, number) of a series; "train loss" is no series "loss"."""
    word = re.escape(name.encode())
    if name.endswith("_loss"):
        word = word.removesuffix(b"_loss") + b"[ _]loss"
    alone = rb"(?<![A-Za-z_/] )" if name == "loss" else b""
    return re.compile(STEP + rb"(?:.*?[|,\s])?\s*" + alone + word + rb"[: =]\s*" + NUMBER)


def _series(path: str, name: str, end: int) -> Table:
    pattern = _pattern(name)

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        for piece, line in chunks(path, 0, end, parts=PARTS):
            matches = map(pattern.match, piece.split(b"\n"))
            found = [(at, *match.groups()) for at, match in enumerate(matches, line) if match]
            cells: dict[str, list[float | None]] = {
                "step": [float(step) for _, step, _ in found],
                name: [float(value) for *_, value in found],
            }
            yield rows(columns, cells, lambda row, found=found: f"line {found[row][0]}")

    return Table(("step", name), blocks)
