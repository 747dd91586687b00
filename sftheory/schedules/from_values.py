"""A schedule that was given as numbers."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import InputError, steps
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps


@SCHEDULES.register(
    tex=r"\eta_k = v_k", example=lambda N: {"source": np.linspace(1, 0.5, N)}, keeps_values=True
)
@dataclass(frozen=True, eq=False)
class FromValues(Schedule):
    """The values of an array, or of a column of a CSV file, kept as they are.

    Args:
        source: (N,) non-negative numbers, or the path of a CSV file, with or without a header.
        column: the CSV column, by its name in the header; None takes the only one.

    Raises:
        InputError: a value is negative or no number (a file's sentence names the line), the column
            is missing or not clear, or N is not the number of values.
    """

    source: ArrayLike | str | os.PathLike[str]
    column: str | None = None
    _values: Steps = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.source, (str, os.PathLike)):
            values = read_column(os.fspath(self.source), self.column)
        else:
            values = steps("FromValues", self.source).copy()
        if values.ndim != 1:
            raise InputError(f"FromValues needs one value per step, not shape {values.shape}.")
        object.__setattr__(self, "_values", values)

    def __repr__(self) -> str:
        return f"FromValues({len(self._values)} values)"

    def values(self, N: int) -> Steps:
        if len(self._values) != N:
            raise InputError(
                f"FromValues holds {len(self._values)} values but N={N} steps were asked for; "
                f"pass exactly N values."
            )
        return self._values.copy()


def read_column(path: str, column: str | None = None) -> Steps:
    """The non-negative numbers of a CSV file's column, with or without a header.

    Raises:
        InputError: as `FromValues`.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [(n, row) for n, row in enumerate(csv.reader(file), start=1) if any(row)]
    except OSError as error:
        raise InputError(f"Cannot read the schedule {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text; pass a CSV file.") from None
    if not rows:
        raise InputError(f"{path} holds no values; write one value a line.")
    header = None if _is_number(rows[0][1][0]) else [name.strip() for name in rows[0][1]]
    if header is not None:
        rows = rows[1:]
    if column is not None:
        if header is None or column not in header:
            raise InputError(f"{path} has no column {column!r}; its header is {header}.")
        at = header.index(column)
    elif len(rows[0][1] if rows else header or []) > 1:
        raise InputError(f"{path} has several columns; pass column=, one of {header}.")
    else:
        at = 0
    values = []
    for line, row in rows:
        if at >= len(row) or not _is_number(row[at]):
            found = row[at] if at < len(row) else "nothing"
            raise InputError(f"{path}, line {line}: expected a number but found {found!r}.")
        if not 0 <= float(row[at]) < np.inf:
            raise InputError(f"{path}, line {line}: {row[at]} is not a finite value >= 0.")
        values.append(float(row[at]))
    return steps(path, values)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
