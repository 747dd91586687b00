"""A log is tables: columns that share their rows, loaded block by block when they are asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl

from sftheory.core.errors import InputError

CHUNK = 1 << 25  # bytes of text that are parsed at a time
MISSING = frozenset({"", "na", "n/a", "null", "none", "-"})
MOST = 8  # words of a column that sorts rows into kinds


class Block(NamedTuple):
    """Consecutive rows: float64 columns, null where a row has no such cell."""

    frame: pl.DataFrame
    place: Callable[[int], str]  # where a row of the frame stands in the file, such as "line 17"


@dataclass(frozen=True)
class Table:
    """Columns that share their rows.

    `blocks(names)` loads the named columns. `textual` are columns known to hold no numbers;
    `refused` are those that cannot be matched with the rows, each with the reason; `kinds` are
    those that sort the rows into a few kinds by a word, with the words.
    """

    columns: tuple[str, ...]
    blocks: Callable[[Sequence[str]], Iterator[Block]]
    name: str = ""
    textual: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, list[str]] = field(default_factory=dict)


class Log(NamedTuple):
    """What a file holds: its format, its tables, and how many rows at its end are cut."""

    format: str
    tables: list[Table]
    partial: int = 0


def number(text: str) -> float | None:
    """The number that a cell holds, None for a missing one.

    Raises:
        ValueError: it holds something else.
    """
    text = text.strip()
    if text.lower() in MISSING:
        return None
    if "_" in text:  # Python's digit groups are no log's
        raise ValueError(text)
    return float(text)


def is_number(text: str) -> bool:
    """Whether a cell holds a number; a missing cell does not."""
    try:
        return number(text) is not None
    except ValueError:
        return False


def kinds(texts: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """Of the words that each column holds, those that are few: 2 to MOST."""
    return {column: sorted(found) for column, found in texts.items() if 2 <= len(found) <= MOST}


def short(text: str) -> str:
    """`text` quoted, cut where it is long: for messages."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def not_a_number(path: str, place: str, column: str, text: str) -> InputError:
    """The error for a cell such as '4.2M' or '3.1 nats'."""
    return InputError(
        f"{path}, {place}: {column!r} holds {short(text)}, which is no plain number; write the "
        f"whole column as numbers in one unit."
    )


def chunks(
    path: str, start: int, end: int, line: int = 1, quoted: bool = False, parts: int = 1
) -> Iterator[tuple[bytes, int]]:
    """Whole lines of the bytes [start, end) with the number of the first line of each piece.

    A piece has about CHUNK / `parts` bytes. With `quoted` it does not end inside a quoted cell,
    unless that cell is very long.
    """
    carry, size = b"", -(-CHUNK // parts)
    with open(path, "rb") as file:
        file.seek(start)
        at = start
        while at < end and (piece := file.read(min(size, end - at))):
            at += len(piece)
            piece = carry + piece
            cut = len(piece) if at == end else piece.rfind(b"\n") + 1
            if at < end and quoted and len(piece) < 4 * size and piece.count(b'"', 0, cut) % 2:
                cut = 0
            carry = piece[cut:]
            if cut:
                yield piece[:cut], line
                line += newlines(piece[:cut])


def newlines(piece: bytes) -> int:
    """How many line ends `piece` has; where they are dense this is faster than `bytes.count`."""
    return int(np.count_nonzero(np.frombuffer(piece, np.uint8) == ord("\n")))


ENOUGH = 12  # decimals that need no more to be the number that was meant
_NUMBER = re.compile(rb"[-+]?\d[\d.]*(?:[eE][-+]?\d+)?")


def whole_end(path: str) -> tuple[int, int]:
    """Where the last whole line ends, in bytes from the start, and how many lines are cut: 0 or 1.

    A last line without a newline counts as whole if it has the form of an earlier one and the
    number at its end has as many decimals as nine in ten of theirs, or ENOUGH; a log that is still
    being written often breaks off inside that number, which would then be another number.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(max(0, size - 65536))
        *lines, last = file.read().split(b"\n")
    cut = size - len(last), 1
    last = last.rstrip(b"\r")
    if not last.strip():
        return size, 0
    form = _NUMBER.sub(b"#", last)
    peers = [peer for line in lines if _NUMBER.sub(b"#", peer := line.rstrip(b"\r")) == form]
    if not peers:
        return cut
    if not form.endswith(b"#"):
        return size, 0
    own, *others = (_decimals(_NUMBER.findall(line)[-1]) for line in [last, *peers])
    return (size, 0) if own >= min(sorted(others)[len(others) // 10], (ENOUGH, 0)) else cut


def _decimals(text: bytes) -> tuple[int, int]:
    whole, _, decimals = text.partition(b".")
    return (len(decimals), 0) if decimals else (0, len(whole))


def rows(
    columns: Sequence[str], cells: Mapping[str, list[float | None]], places: Callable[[int], str]
) -> Block:
    """A block from lists of numbers, None where a cell is missing."""
    frame = pl.DataFrame({c: cells[c] for c in columns}, schema=dict.fromkeys(columns, pl.Float64))
    return Block(frame, places)
