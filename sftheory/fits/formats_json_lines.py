"""Logs with one JSON record a line, read in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from sftheory.core.errors import InputError
from sftheory.fits.formats_json import cell, flattened, has_number
from sftheory.fits.tables import Block, Log, Table, chunks, kinds, newlines, rows

SAME_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def lines(path: str) -> Log:
    """The table of a file with one JSON record a line.

    Raises:
        InputError: a line is no record; the sentence gives its number.
    """
    start, end, partial = _whole(path)
    names: set[str] = set()  # as they stand in the file
    nested: dict[str, bool] = {}  # columns, and whether they lie in inner records
    numeric: set[str] = set()
    words: dict[str, set[str]] = {}
    for piece, line in chunks(path, start, end):
        for sample in _samples(piece, names):
            for _, record in _records(path, piece, line, sample):
                names |= _names(record)
                flat = flattened(record)
                nested |= {key: key not in record for key in flat}
                numeric |= {key for key, value in flat.items() if has_number(value)}
                for key, value in flat.items():
                    if isinstance(value, str):
                        words.setdefault(key, set()).add(value)
            if numeric == names and _only(piece, names):
                break
    if not nested:
        raise InputError(f"{path} holds no whole record; write one JSON object a line.")

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        closely = any(nested[column] for column in columns)
        for piece, line in chunks(path, start, end):
            block = None if closely else _fast(piece, line, columns)
            yield block or _slow(path, piece, line, columns)

    textual = frozenset(nested) - numeric
    few = kinds({key: found for key, found in words.items() if key in textual})
    return Log("JSON lines", [Table(tuple(nested), blocks, textual=textual, kinds=few)], partial)


def _whole(path: str) -> tuple[int, int, int]:
    """The bytes [start, end) that hold whole records, and how many are cut."""
    with open(path, "rb") as file:
        start = 3 * (file.read(3) == b"\xef\xbb\xbf")
        size = file.seek(0, 2)
        file.seek(max(start, size - (1 << 20)))
        last = file.read().rpartition(b"\n")[2]
    try:
        whole = not last.strip() or isinstance(json.loads(last), dict)
    except (ValueError, RecursionError):
        whole = False
    return (start, size, 0) if whole else (start, size - len(last), 1)


def _samples(piece: bytes, names: set[str]) -> Iterator[Sequence[int] | None]:
    """Lines in which columns are looked for, ever more of them; None stands for all."""
    yield range(1)
    yield _one_of_each_shape(piece)
    if _has_other_losses(piece, names):
        yield None


def _only(piece: bytes, names: set[str]) -> bool:
    """Whether the known names are all that stands in quotes, so that no other column can be."""
    quotes = np.count_nonzero(np.frombuffer(piece, np.uint8) == ord('"'))
    return quotes == 2 * sum(piece.count(json.dumps(name).encode()) for name in names)


def _one_of_each_shape(piece: bytes) -> list[int]:
    """The first of all lines that differ in their digits only: columns are looked for in these."""
    shapes = piece.translate(SAME_DIGITS).split(b"\n")
    return sorted(dict(zip(reversed(shapes), reversed(range(len(shapes))), strict=True)).values())


def _has_other_losses(piece: bytes, names: set[str]) -> bool:
    """Whether the text has 'oss' beside the known names, such as loss2 where loss1 is known."""
    known = (
        piece.count(json.dumps(name).encode()) * name.encode().count(b"oss")
        for name in names
        if "oss" in name
    )
    return piece.count(b"oss") != sum(known)


def _names(record: dict[str, Any]) -> set[str]:
    inner = (_names(value) for value in record.values() if isinstance(value, dict))
    return set(record).union(*inner)


def _records(
    path: str, piece: bytes, line: int, chosen: Sequence[int] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of whole lines, or of the chosen ones, each with its line number."""
    texts = piece.split(b"\n", -1 if chosen is None else max(chosen, default=0) + 1)
    for i in range(len(texts)) if chosen is None else chosen:
        at, text = line + i, texts[i]
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = error.msg.lower() if isinstance(error, json.JSONDecodeError) else str(error)
            raise InputError(
                f"{path}, line {at}: is no whole JSON record ({reason}); repair or remove that "
                f"line."
            ) from None
        if not isinstance(record, dict):
            raise InputError(
                f"{path}, line {at}: is no JSON object; write one object such as "
                f'{{"step": 1, "loss": 2.5}} a line.'
            )
        yield at, record


def _fast(piece: bytes, line: int, columns: Sequence[str]) -> Block | None:
    """The block by Polars, None where it needs a closer look."""
    try:
        frame = pl.read_ndjson(piece, schema=dict.fromkeys(columns, pl.Float64))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if frame.height != newlines(piece) + (not piece.endswith(b"\n")):
        return None  # blank lines
    return Block(frame, lambda row: f"line {line + row}")


def _slow(path: str, piece: bytes, line: int, columns: Sequence[str]) -> Block:
    """The block record by record, with the line of the first cell that is wrong."""
    cells: dict[str, list[float | None]] = {column: [] for column in columns}
    at: list[int] = []
    for here, record in _records(path, piece, line):
        flat = flattened(record)
        at.append(here)
        for column in columns:
            cells[column].append(cell(path, f"line {here}", column, flat.get(column)))
    return rows(columns, cells, lambda row: f"line {at[row]}")
