"""Parquet files, read in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from sftheory.core.errors import InputError
from sftheory.fits.tables import MOST, Block, Log, Table, kinds

ROWS = 1 << 18  # that are loaded at a time


def parquet(path: str) -> Log:
    """The table of a Parquet file. Polars is not asked: damaged files can abort the process there.

    Raises:
        InputError: the file is damaged, or pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise InputError(
            f"{path} is a Parquet file, which pyarrow reads; pip install 'sftheory[logs]'."
        ) from None
    errors = (pa.ArrowException, OSError, ValueError, LookupError, MemoryError)
    try:
        with ParquetFile(path) as file:
            types = {field.name: field.type for field in file.schema_arrow}
            words = _words(file, [name for name, kind in types.items() if _is_text(pa, kind)])
    except errors as error:
        raise _damaged(path, error) from None
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    numeric = [name for name, kind in types.items() if any(test(kind) for test in tests)]

    def blocks(names: Sequence[str]) -> Iterator[Block]:
        start = 1
        try:
            with ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(ROWS, columns=list(names)):
                    columns = {n: batch.column(n).cast(pa.float64(), safe=False) for n in names}
                    frame = pl.DataFrame({n: pl.from_arrow(c) for n, c in columns.items()})
                    yield Block(frame, lambda row, start=start: f"row {start + row}")
                    start += batch.num_rows
        except errors as error:
            raise _damaged(path, error) from None

    return Log("Parquet", [Table(tuple(numeric), blocks, kinds=kinds(words))])


def _is_text(pa: Any, kind: Any) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _words(file: Any, columns: list[str]) -> dict[str, set[str]]:
    """The words of each column, or as many as show that they are not few."""
    words: dict[str, set[str]] = {name: set() for name in columns}
    few = columns
    for batch in file.iter_batches(ROWS, columns=columns) if columns else ():
        for name in few:
            words[name].update(word for word in batch.column(name).unique().to_pylist() if word)
        few = [name for name in few if len(words[name]) <= MOST]
        if not few:
            break
    return words


def _damaged(path: str, error: BaseException) -> InputError:
    reason = " ".join(str(error).split()).rstrip(".")
    return InputError(f"{path} is a damaged Parquet file ({reason[:120]}); write it again.")
