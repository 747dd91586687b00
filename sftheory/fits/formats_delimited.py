"""Delimited text with a row per record, with or without a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import polars as pl

from sftheory.core.errors import InputError
from sftheory.fits.columns import is_loss, is_step, unnamed
from sftheory.fits.tables import (
    MISSING,
    Block,
    Log,
    Table,
    chunks,
    is_number,
    kinds,
    newlines,
    not_a_number,
    number,
    rows,
    whole_end,
)

HEAD = 1 << 18  # bytes in which the header and a few rows are looked for
BLANKS = re.compile(rb"[ \t]+")


class Reader(Protocol):
    """What `csv.reader` returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class _Form(NamedTuple):
    """How the lines of a delimited file are cut into cells."""

    delimiter: str  # " " stands for any run of blanks
    columns: tuple[str, ...]
    header: list[str] | None
    start: int  # byte at which the data begins
    line: int  # and its line number
    words: dict[str, set[str]]  # of the columns without numbers

    def cells(self, text: str) -> Reader:
        """Rows of cells; `line_num` of the reader counts lines."""
        return csv.reader(
            io.StringIO(text), delimiter=self.delimiter, skipinitialspace=True, strict=True
        )


def delimited(path: str) -> Log | None:
    """The table of a delimited text file, None if the file does not begin as one.

    Lines that begin with # are comments; the last one before the data may be the header.
    """
    with open(path, "rb") as file:
        form = _form(path, file.read(HEAD))
    if form is None:
        return None
    end, partial = whole_end(path)

    def blocks(names: Sequence[str]) -> Iterator[Block]:
        for piece, line in chunks(path, form.start, end, form.line, quoted=True):
            yield _fast(piece, line, form, names) or _slow(path, piece, line, form, names)

    textual, few = frozenset(form.words), kinds(form.words)
    return Log("delimited text", [Table(form.columns, blocks, textual=textual, kinds=few)], partial)


def _form(path: str, head: bytes) -> _Form | None:
    comment, at, line = "", 3 * head.startswith(b"\xef\xbb\xbf"), 1
    while at < len(head):
        stop = head.find(b"\n", at) + 1 or len(head)
        text = head[at:stop].decode("utf-8", "replace").strip()
        if text and not text.startswith("#"):
            break
        comment, at, line = text.lstrip("# ") or comment, stop, line + 1
    else:
        return None
    lines = head[at:].decode("utf-8", "replace").split("\n")[:200]
    if not head.endswith(b"\n") and len(lines) > 2:
        lines.pop()  # it may be cut
    every = {delimiter: _cells("\n".join(lines), delimiter) for delimiter in (",", "\t", ";", " ")}
    several = [delimiter for delimiter, rows in every.items() if rows and len(rows[0]) > 1]
    delimiter = several[0] if several else " "
    table = every[delimiter]
    if not table:
        return None
    width = len(table[0])
    named = any(is_loss(name) or is_step(name) for name in table[0])
    body = table[1:] if named or not any(map(is_number, table[0])) else table
    if not any(len(row) == width and any(map(is_number, row)) for row in body[:20]):
        if len(table) == 1 and any(map(is_loss, table[0])):
            raise InputError(f"{path} has a header but no row; wait until the run has written one.")
        return None
    header = None if body is table else [name.strip() for name in table[0]]
    if header is None and comment:  # as numpy.savetxt writes it
        named = next(iter(_cells(comment, delimiter)), [])
        columns = _distinct(named if len(named) == width else [""] * width)
    else:
        columns = _distinct(header or [""] * width)
    if header is not None:
        at, line = head.find(b"\n", at) + 1, line + 1
    seen = [{row[i].strip() for row in body if i < len(row)} for i in range(width)]
    words = {
        name: {cell for cell in cells if cell.lower() not in MISSING}
        for name, cells in zip(columns, seen, strict=True)
        if not any(map(is_number, cells))
    }
    return _Form(delimiter, columns, header, at, line, {k: v for k, v in words.items() if v})


def _cells(text: str, delimiter: str) -> list[list[str]]:
    """The rows of `text` that are not blank; cells that are quoted badly are cut anyhow."""
    text = _squeezed(text, delimiter)
    rows: list[list[str]] = []
    try:
        for row in _Form(delimiter, (), None, 0, 0, {}).cells(text):
            rows.append(row)
    except csv.Error:
        rows += [line.split(delimiter) for line in text.split("\n")[len(rows) :]]
    return [row for row in rows if any(row)]


def _squeezed(text: str, delimiter: str) -> str:
    """`text` with single blanks between cells where blanks are the delimiter."""
    if delimiter != " ":
        return text
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for i, name in enumerate(names, start=1):
        name = name.strip() or unnamed(i)
        found.append(name if name not in found else f"{name} (column {i})")
    return tuple(found)


def _fast(piece: bytes, line: int, form: _Form, names: Sequence[str]) -> Block | None:
    """The block by Polars, None where it needs a closer look: comments, blank or odd lines."""
    if form.delimiter == " ":
        piece = BLANKS.sub(b" ", piece).replace(b"\n ", b"\n").replace(b" \n", b"\n").lstrip(b" ")
    quotes = piece.count(b'"')
    if b"#" in piece or quotes % 2:
        return None
    chosen = [form.columns.index(name) for name in names]
    schema = {f"{i}": pl.Float64 if i in chosen else pl.String for i in range(len(form.columns))}
    try:
        frame = pl.read_csv(
            piece,
            has_header=False,
            schema=schema,
            columns=sorted(chosen),
            separator=form.delimiter,
            quote_char='"' if quotes else None,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    if not quotes and frame.height != newlines(piece) + (not piece.endswith(b"\n")):
        return None
    if any(frame.null_count().row(0)) and (b"\n\n" in piece or b"\n\r" in piece):
        return None  # blank lines are no rows
    frame = frame.select(pl.col(f"{i}").alias(name) for i, name in zip(chosen, names, strict=True))
    return Block(frame, _line_of(piece, line, form) if quotes else lambda row: f"line {line + row}")


def _line_of(piece: bytes, line: int, form: _Form) -> Callable[[int], str]:
    def place(row: int) -> str:  # cells in quotes may hold line ends
        reader = form.cells(piece.decode("utf-8", "replace"))
        for _ in range(row + 1):
            next(reader, None)
        return f"line {line + reader.line_num - 1}"

    return place


def _slow(path: str, piece: bytes, line: int, form: _Form, names: Sequence[str]) -> Block:
    """The block cell by cell, with the line of the first cell that is wrong."""
    chosen = {name: form.columns.index(name) for name in names}
    cells: dict[str, list[float | None]] = {name: [] for name in names}
    lines: list[int] = []
    text = _squeezed(piece.decode("utf-8", "replace"), form.delimiter)
    reader = form.cells(text)
    try:
        for row in reader:
            at = line + reader.line_num - 1
            if not any(row) or row[0].startswith("#") or [c.strip() for c in row] == form.header:
                continue  # blank, a comment, or the header of a resumed run
            if len(row) > len(form.columns):
                raise InputError(
                    f"{path}, line {at}: {len(row)} cells stand where {len(form.columns)} columns "
                    f"are expected; repair or remove that line."
                )
            lines.append(at)
            for name, i in chosen.items():
                try:
                    cells[name].append(number(row[i]) if i < len(row) else None)
                except ValueError:
                    raise not_a_number(path, f"line {at}", name, row[i]) from None
    except csv.Error as error:
        at = line + reader.line_num - 1
        reason = str(error).partition(" - ")[0]  # what follows is advice to programmers
        raise InputError(f"{path}, line {at}: {reason}; repair or remove that line.") from None
    return rows(names, cells, lambda row: f"line {lines[row]}")
