"""JSON documents: tables of rows or of columns, anywhere inside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sftheory.core.errors import InputError
from sftheory.fits.columns import is_loss, is_step, unnamed
from sftheory.fits.tables import (
    Block,
    Log,
    Table,
    is_number,
    kinds,
    not_a_number,
    number,
    rows,
)

DEPTH = 8  # how deep in a document tables are looked for


def document(path: str) -> Log:
    """The tables of one JSON document: W&B histories, trainer states, lists of rows or columns.

    Raises:
        InputError: the document is not whole or not JSON (the sentence gives the line), or it
            holds no rows of numbers.
    """
    text = ""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
        whole = json.loads(text)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: is not UTF-8 text; write the log again.") from None
    except json.JSONDecodeError as error:
        if not text[error.pos :].strip() or "Unterminated" in error.msg:
            raise InputError(
                f"{path}, line {error.lineno}: the JSON document ends in the middle; wait until it "
                f"is written, or write one record a line."
            ) from None
        raise InputError(
            f"{path}, line {error.lineno}: is not JSON ({error.msg.lower()} at column "
            f"{error.colno}); repair that line."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no log in JSON ({error}); pass a log.") from None
    tables = list(_tables(path, whole, "", 0))
    if not tables and isinstance(whole, dict):
        tables = [_of_rows(path, [whole], "")]
    tables = [table for table in tables if table.columns]
    if not tables:
        raise InputError(f"{path} holds no rows of numbers; pass a log with a loss in each row.")
    return Log("trainer state" if _is_trainer_state(whole) else "JSON", tables)


def _is_trainer_state(whole: Any) -> bool:
    return isinstance(whole, dict) and isinstance(whole.get("log_history"), list)


def _tables(path: str, value: Any, name: str, depth: int) -> Iterator[Table]:
    """The tables in `value`, which stands at `name` of the document."""
    if depth > DEPTH:
        return
    if isinstance(value, list) and value:
        if all(isinstance(row, dict) for row in value):
            # the last row of a trainer state holds averages over the run
            yield _of_rows(path, [row for row in value if "train_runtime" not in row], name)
        elif all(isinstance(row, list) for row in value):
            width = max(map(len, value))
            names = ["wall_time", "step", "value"] if width == 3 else None
            names = names or [unnamed(i) for i in range(1, width + 1)]
            matched = [dict(zip(names, row, strict=False)) for row in value]
            yield _of_rows(path, matched, name)
        elif not any(isinstance(cell, (dict, list)) for cell in value):
            yield _of_columns(path, {"value": value}, name)
    elif isinstance(value, dict):
        columns = {str(key): _column(cells) for key, cells in value.items()}
        lists = {key: cells for key, cells in columns.items() if cells is not None}
        if lists:
            yield _of_columns(path, lists, name)
        for key, inner in value.items():
            if key not in lists:
                yield from _tables(path, inner, f"{name}/{key}" if name else str(key), depth + 1)


def _column(value: Any) -> list[Any] | None:
    """`value` as a list of cells, such as [3.5, 3.4] or pandas' {"0": 3.5, "1": 3.4}."""
    if (
        isinstance(value, dict)
        and value
        and all(isinstance(k, str) and k.isdecimal() for k in value)
    ):
        value = [value[key] for key in sorted(value, key=lambda k: (len(k), k))]
    if not isinstance(value, list) or any(isinstance(cell, (dict, list)) for cell in value):
        return None
    return value


def _of_columns(path: str, columns: dict[str, list[Any]], name: str) -> Table:
    """A table from lists of cells; those of another length than the step's are refused."""
    steps = [key for key in columns if is_step(key)]
    lengths = [len(cells) for cells in columns.values()]
    height = len(columns[steps[0]]) if steps else max(lengths, key=lengths.count)
    beside = f"{steps[0]!r}" if steps else "most columns"
    refused = {
        key: f"{path}: {key!r} has {len(cells)} entries where {beside} has {height}, so its rows "
        f"cannot be matched with steps; choose another series."
        for key, cells in columns.items()
        if len(cells) != height
    }
    kept = {key: cells for key, cells in columns.items() if key not in refused}
    return _table(path, kept, name, refused)


def _of_rows(path: str, records: Sequence[dict[str, Any]], name: str) -> Table:
    """A table from records; keys of inner records are joined by a slash."""
    flat = [flattened(record) for record in records]
    keys = dict.fromkeys(key for record in flat for key in record)
    return _table(path, {key: [record.get(key) for record in flat] for key in keys}, name, {})


def _table(path: str, columns: dict[str, list[Any]], name: str, refused: dict[str, str]) -> Table:
    def place(row: int) -> str:
        return f"row {row + 1}" + (f" of {name!r}" if name else "")

    def blocks(names: Sequence[str]) -> Iterator[Block]:
        cells = {
            key: [cell(path, place(i), key, value) for i, value in enumerate(columns[key])]
            for key in names
        }
        yield rows(names, cells, place)

    numeric = {key for key, cells in columns.items() if any(map(has_number, cells))}
    named = [key for key in columns if key in numeric or is_loss(key) or is_step(key)]
    textual = frozenset(named) - numeric
    words = {
        key: {cell for cell in cells if isinstance(cell, str)}
        for key, cells in columns.items()
        if key not in numeric
    }
    return Table(tuple(named), blocks, name, textual, refused, kinds(words))


def has_number(value: Any) -> bool:
    """Whether a JSON cell holds a number, as such or as text."""
    if isinstance(value, str):
        return is_number(value)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def flattened(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`record` with the keys of inner records joined by a slash."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict) and prefix.count("/") < DEPTH:
            flat |= flattened(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def cell(path: str, place: str, column: str, value: Any) -> float | None:
    """The number in a JSON cell; W&B writes NaN and Infinity as strings.

    Raises:
        InputError: it holds something else.
    """
    try:
        if value is None or isinstance(value, str):
            return None if value is None else number(value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise not_a_number(path, place, column, value if isinstance(value, str) else json.dumps(value))
