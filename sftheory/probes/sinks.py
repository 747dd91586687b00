"""Where the rows of a probe go: memory, Parquet, JSON lines, TensorBoard."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError

Key = tuple[str, str]  # module, metric
Rows = NDArray[np.float64]


class Sink(Protocol):
    """Anything that takes rows; `write` is called when they have reached the host."""

    def write(self, steps: Sequence[int], keys: Sequence[Key], values: Rows) -> None:
        """Take values (rows, keys) of these steps; NaN is a value that does not exist."""
        ...

    def frame(self) -> Any:
        """All that was written, as polars: step, module, metric, value."""
        ...

    def close(self) -> None:
        """Called once, after the last write."""
        ...


class Memory:
    """Keeps the rows: 8 bytes for each value."""

    def __init__(self) -> None:
        self._written: list[tuple[Sequence[int], Sequence[Key], Rows]] = []

    def write(self, steps: Sequence[int], keys: Sequence[Key], values: Rows) -> None:
        self._written.append((steps, keys, values))

    def frame(self) -> Any:
        import polars as pl

        return pl.concat([empty(), *(tidy(*written) for written in self._written)])

    def close(self) -> None:
        """Nothing to close."""


class Parquet:
    """A folder of Parquet files, one for each time that the buffer fills; nothing is rewritten.

    `polars.read_parquet(folder)` reads it, also while the training runs or after it was killed.
    """

    def __init__(self, folder: str | Path, *, append: bool = False) -> None:
        self._folder = Path(folder)
        _refuse_old(self._folder, append)
        self._folder.mkdir(parents=True, exist_ok=True)

    def write(self, steps: Sequence[int], keys: Sequence[Key], values: Rows) -> None:
        part = len(list(self._folder.glob("*.parquet")))
        unfinished = self._folder / f"{part:06d}.unfinished"
        tidy(steps, keys, values).write_parquet(unfinished)
        unfinished.rename(self._folder / f"{part:06d}.parquet")

    def frame(self) -> Any:
        import polars as pl

        parts = sorted(self._folder.glob("*.parquet"))
        return pl.concat([empty(), *(pl.read_parquet(part) for part in parts)])

    def close(self) -> None:
        """Every part is complete already."""


class JSONL:
    """One JSON object for each value, {"step": 0, "module": "", "metric": ..., "value": ...}."""

    def __init__(self, file: str | Path, *, append: bool = False) -> None:
        self._file = Path(file)
        _refuse_old(self._file, append)
        self._file.parent.mkdir(parents=True, exist_ok=True)

    def write(self, steps: Sequence[int], keys: Sequence[Key], values: Rows) -> None:
        lines = []
        for step, row in zip(steps, values.tolist(), strict=True):
            for (module, metric), value in zip(keys, row, strict=True):
                if math.isinf(value):  # JSON has no infinity
                    value = "inf" if value > 0 else "-inf"
                elif math.isnan(value):
                    value = None
                entry = {"step": step, "module": module, "metric": metric, "value": value}
                lines.append(json.dumps(entry) + "\n")
        with self._file.open("a", encoding="utf-8") as out:
            out.writelines(lines)

    def frame(self) -> Any:
        import polars as pl

        if not self._file.exists():
            return empty()
        entries = [json.loads(line) for line in self._file.read_text("utf-8").splitlines()]
        for entry in entries:
            entry["value"] = None if entry["value"] is None else float(entry["value"])
        return pl.DataFrame(entries, schema=empty().schema)

    def close(self) -> None:
        """The file is closed after each write."""


class TensorBoard:
    """Scalars `metric/module` in event files; needs the extra `logs`."""

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard.writer import SummaryWriter
        except ImportError:
            raise InputError(
                "The sink TensorBoard needs tensorboard, which is not installed; "
                "pip install 'sftheory[logs]'."
            ) from None
        self._folder = folder
        self._writer = SummaryWriter(str(folder))

    def write(self, steps: Sequence[int], keys: Sequence[Key], values: Rows) -> None:
        for step, row in zip(steps, values.tolist(), strict=True):
            for (module, metric), value in zip(keys, row, strict=True):
                if not math.isnan(value):
                    self._writer.add_scalar(f"{metric}/{module or 'model'}", value, step)

    def frame(self) -> Any:
        raise InputError(
            f"A probe that writes to TensorBoard keeps no table; read {self._folder} with "
            f"tensorboard, or give the probe another sink."
        )

    def close(self) -> None:
        self._writer.close()


def make_sink(sink: Any) -> Sink:
    """A sink, from nothing (memory), a path (.parquet or .jsonl), or an object with write().

    Raises:
        InputError: it is none of these.
    """
    if sink is None:
        return Memory()
    if isinstance(sink, (str, Path)):
        kind = {".parquet": Parquet, ".jsonl": JSONL}.get(Path(sink).suffix)
        if kind is None:
            raise InputError(
                f"sink={str(sink)!r} ends neither in .parquet nor in .jsonl; rename it, or pass "
                f"TensorBoard(folder)."
            )
        return kind(sink)
    if all(callable(getattr(sink, name, None)) for name in ("write", "frame", "close")):
        return sink
    raise InputError(f"sink={sink!r} lacks write, frame or close; pass a path or one of the sinks.")


def empty() -> Any:
    """The table without rows."""
    import polars as pl

    columns = {"step": pl.Int64, "module": pl.String, "metric": pl.String, "value": pl.Float64}
    return pl.DataFrame(schema=columns)


def tidy(steps: Sequence[int], keys: Sequence[Key], values: Rows) -> Any:
    """Rows as polars: step, module, metric, value; NaN becomes null."""
    import polars as pl

    modules, metrics = zip(*keys, strict=True) if keys else ((), ())
    table = {
        "step": np.repeat(np.asarray(steps, dtype=np.int64), len(keys)),
        "module": list(modules) * len(steps),
        "metric": list(metrics) * len(steps),
        "value": values.ravel(),
    }
    return pl.DataFrame(table, schema=empty().schema).with_columns(pl.col("value").fill_nan(None))


def _refuse_old(path: Path, append: bool) -> None:
    if not append and path.exists() and (path.is_file() or any(path.iterdir())):
        raise InputError(
            f"{path} exists already; choose another path, or pass a sink with append=True."
        )
