"""Text logs with a line per step: llm.c, modded-nanogpt and their relatives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sftheory.fits.columns import is_loss
from sftheory.fits.curve import Array
from sftheory.fits.tables import Block, Log, Table, chunks, whole_end

NUMBER = rb"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|[nN]a[nN]|[iI]nf))(?=$|[\s,|)])"
# digits right after the word: logs may begin with the source code that wrote them
STEP = rb"(?:s|step|iter)[: =] *(\d+)(?:/\d+)?(?:[:,]| *\|| (?=[A-Za-z]))"
LINE = re.compile(STEP + rb"(.*)")
FIELD = re.compile(rb"(?:^|[|,\s])\s*([A-Za-z][A-Za-z_/]*(?: loss)?)[: =]\s*" + NUMBER)
SAME_DIGITS = bytes.maketrans(b"123456789", b"000000000")
PARTS = 8  # smaller pieces, as each line is a Python object


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
            at, *values = _cells(piece, pattern)
            cells = dict(zip(("step", name), values, strict=True))
            frame = pl.DataFrame({column: cells[column] for column in columns})
            yield Block(frame, lambda row, at=at + line: f"line {at[row]}")

    return Table(("step", name), blocks)


def _cells(piece: bytes, pattern: re.Pattern[bytes]) -> tuple[NDArray[np.int64], Array, Array]:
    """(line, step, value) of the lines that match, counted from 0.

    Lines that differ in their digits only have their numbers at the same places, so one of each
    such shape is matched, and the numbers of the others are cut out all at once.
    """
    shapes = piece.translate(SAME_DIGITS).split(b"\n")
    known = dict(zip(dict.fromkeys(shapes), count(), strict=False))
    which = np.fromiter(map(known.__getitem__, shapes), np.int64, len(shapes))
    order = np.argsort(which, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(which))[:-1])
    octets = np.frombuffer(piece, np.uint8)
    start = np.append(0, np.flatnonzero(octets == ord("\n")) + 1)
    found: list[tuple[NDArray[np.int64], Array, Array]] = []
    for shape, lines in zip(known, groups, strict=True):
        if (match := pattern.match(shape)) is not None:
            step, value = (_numbers(octets, start[lines], *match.span(i)) for i in (1, 2))
            found.append((lines, step, value))
    if not found:
        return np.empty(0, np.int64), np.empty(0), np.empty(0)
    at, step, value = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(at)
    return at[order], step[order], value[order]


def _numbers(octets: NDArray[np.uint8], start: NDArray[np.int64], low: int, high: int) -> Array:
    """The numbers in the bytes [low, high) of some lines."""
    texts = octets[start[:, None] + np.arange(low, high)]
    return texts.view(f"S{high - low}")[:, 0].astype(np.float64)
