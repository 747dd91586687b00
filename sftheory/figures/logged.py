"""The rows of a probe, from wherever they are: a probe, a table, or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError, nearest
from sftheory.probes.sinks import JSONL, empty


def read(source: Any, modules: Sequence[str] | None = None) -> Any:
    """Polars with step, module, metric and value, without the rows whose value does not exist.

    Raises:
        InputError: the source is no probe, table or file of one, or holds no values.
        UnknownNameError: a module that was not logged.
    """
    frame = _table(source)
    missing = [name for name in empty().columns if name not in frame.columns]
    if missing:
        raise InputError(
            f"The table lacks the column {missing[0]!r}; pass a probe, its frame(), or a file that "
            f"a probe wrote."
        )
    frame = frame.select(empty().columns).drop_nulls("value")
    known = frame["module"].unique(maintain_order=True).to_list()
    if modules is not None:
        if isinstance(modules, str):
            raise InputError(f"modules={modules!r} is one name; pass a list of names.")
        for name in modules:
            if name not in known:
                raise nearest("module", str(name), known)
        frame = frame.filter(frame["module"].is_in(list(modules)))
    if frame.is_empty():
        raise InputError("Nothing was logged yet; take a step with the probe attached.")
    return frame


def _table(source: Any) -> Any:
    import polars as pl

    if isinstance(source, pl.DataFrame):
        return source
    if callable(getattr(source, "frame", None)):
        return source.frame()
    if not isinstance(source, (str, Path)):
        raise InputError(
            f"A dashboard needs a probe, its frame(), or a path, but got {type(source).__name__}."
        )
    path = Path(source)
    if not path.exists():
        raise InputError(f"There is no {path}; pass the path that the probe's sink was given.")
    if path.suffix == ".jsonl":
        return JSONL(path, append=True).frame()
    if path.suffix == ".parquet":
        parts = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
        return pl.concat([empty(), *(pl.read_parquet(part) for part in parts)], how="diagonal")
    raise InputError(f"{path.name!r} ends neither in .parquet nor in .jsonl; pass such a file.")
