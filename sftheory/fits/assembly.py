"""From the rows of a log to a curve: what is left out, merged and matched, with an account."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.fits.columns import unit
from sftheory.fits.curve import Array, Curve
from sftheory.fits.tables import Log, Table
from sftheory.fits.tidying import change_of_unit, interval_of_measurement, merged

ROW_NUMBER = "row number"


@dataclass(frozen=True)
class Choice:
    """Which columns make a curve; `why` says how each was found."""

    table: Table
    x: str  # a column, or ROW_NUMBER
    y: str
    lr: str | None = None
    lr_table: Table | None = None
    lr_x: str | None = None
    name: str = ""  # of y, as it is unique in the log
    why: tuple[str, ...] = ()


@dataclass
class Counts:
    """Rows of one series, and what became of them."""

    rows: int = 0
    dropped: int = 0  # without a loss
    no_step: int = 0
    nonfinite: int = 0
    merged: int = 0
    conflicts: int = 0  # of those merged, with another value
    stale: int = 0  # repeats of the value before
    notes: list[str] = field(default_factory=list)


def assemble(path: str, log: Log, choice: Choice, nonfinite: str) -> Curve:
    """The curve of a choice of columns.

    Raises:
        InputError: no row has a step and a loss, a loss is not finite, a step is negative or
            infinite, or the unit of the steps changes.
    """
    counts = Counts()
    beside = [choice.lr] if choice.lr and choice.lr_table is choice.table else []
    rival = _rival(choice)
    columns = _gather(path, choice, beside, rival, counts, nonfinite == "drop")
    step, loss = columns.pop(choice.x), columns.pop(choice.y)
    if not len(step):
        raise InputError(
            f"{path} has no row with both a step ({choice.x!r}) and a loss ({choice.y!r}); "
            f"choose other columns with x= and y=."
        )
    lr = columns.pop(choice.lr) if beside and choice.lr else None
    if (tidy := merged(step, loss)) is not None:
        step, loss, lr = _at(tidy.rows, step, loss, lr)
        counts.merged, counts.conflicts = tidy.merged, tidy.conflicts
        if counts.conflicts * 10 > counts.rows:
            _one_kind(path, choice.table)
    _one_unit(path, choice, step)
    if (K := interval_of_measurement(step, loss)) is not None:
        slot = K * np.floor(step / K)
        fresh = np.flatnonzero(np.append(True, np.diff(slot) > 0))
        counts.stale = len(step) - len(fresh)
        counts.notes.append(f"measured every {K:g}, so moved to multiples of that")
        step, loss, lr = _at(fresh, slot, loss, lr)
    if choice.lr is not None and (lr is None or not np.isfinite(lr).all()):
        lr = _matched_rate(path, choice, step, counts)
    account = _account(path, log, choice, counts) | {"lr": None if lr is None else choice.lr}
    return Curve(_own(step), _own(loss), _own(lr), account)


def _at(
    rows: NDArray[np.int64], step: Array, loss: Array, lr: Array | None
) -> tuple[Array, Array, Array | None]:
    return step[rows], loss[rows], None if lr is None else lr[rows]


def _own(array: Array | None) -> Any:
    if array is not None:
        array = np.ascontiguousarray(array)
        array.flags.writeable = False
    return array


def _rival(choice: Choice) -> str | None:
    """A counter of another unit, for rows where the chosen one is missing."""
    mine = unit(choice.x)
    others = (c for c in choice.table.columns if c not in (choice.x, choice.y))
    return next((c for c in others if mine and unit(c) not in (None, mine, "epochs")), None)


def _gather(
    path: str, choice: Choice, beside: list[str], rival: str | None, counts: Counts, drop: bool
) -> dict[str, Array]:
    """The rows with a step and a finite loss, in the order of the file."""
    x, y = choice.x, choice.y
    kept = [x, y, *beside]
    parts: dict[str, list[Array]] = {name: [] for name in kept}
    loaded = [name for name in dict.fromkeys([*kept, rival]) if name and name != ROW_NUMBER]
    for frame, place in choice.table.blocks(loaded):
        cells = {name: frame[name].to_numpy() for name in loaded}
        if x == ROW_NUMBER:
            cells[x] = np.arange(counts.rows + 1.0, counts.rows + 1.0 + frame.height)
        keep = frame[y].is_not_null().to_numpy()
        counts.rows += frame.height
        counts.dropped += frame.height - int(keep.sum())

        def at(bad: NDArray[np.bool_], column: str, place=place, cells=cells) -> str:
            row = int(np.flatnonzero(bad)[0])
            return f"{path}, {place(row)}: {column!r} is {cells[column][row]:g}"

        bad = keep & ~np.isfinite(cells[y])
        if bad.any() and not drop:
            raise InputError(
                f"{at(bad, y)}, so the run may have diverged there; pass nonfinite='drop' to leave "
                f"such rows out."
            )
        counts.nonfinite += int(bad.sum())
        keep &= ~bad
        bad = keep & np.isnan(cells[x])
        if rival and (mixed := bad & ~np.isnan(cells[rival])).any():
            raise InputError(
                f"{at(mixed, rival)} but {x!r} is missing, as if the unit of the steps had changed "
                f"there; pass x= with a column that all rows have."
            )
        counts.no_step += int(bad.sum())
        keep &= ~bad
        bad = keep & ((cells[x] < 0) | np.isinf(cells[x]))
        if bad.any():
            raise InputError(f"{at(bad, x)}; a step must be a finite number >= 0, repair that row.")
        for name in beside:
            bad = keep & (cells[name] < 0)
            if bad.any():
                raise InputError(f"{at(bad, name)}; a rate must be >= 0, choose another with lr=.")
        for name in kept:
            parts[name].append(cells[name] if keep.all() else cells[name][keep])
    return {name: np.concatenate(parts.pop(name) or [np.empty(0)]) for name in kept}


def _one_kind(path: str, table: Table) -> None:
    """Refuses rows that say in words of which series they are, such as a column train or val."""
    if table.kinds:
        columns = [
            f"a column {column!r} with {', '.join(map(repr, values))}"
            for column, values in table.kinds.items()
        ]
        raise InputError(
            f"{path} has several losses at one step and {' and '.join(columns)}; filter the rows "
            f"of one of these, such as with polars, and fit their steps and losses."
        )


def _one_unit(path: str, choice: Choice, step: Array) -> None:
    found = change_of_unit(step)
    if found is not None:
        i, factor = found
        raise InputError(
            f"{path}, {_find(choice, float(step[i]))}: {choice.x!r} goes from {step[i - 1]:g} to "
            f"{step[i]:g} and on in steps {factor:.3g} times as large, as if its unit had "
            f"changed; write one unit."
        )


def _find(choice: Choice, step: float) -> str:
    """Where the row of a step stands."""
    for frame, place in choice.table.blocks([choice.x]):
        rows = np.flatnonzero(frame[choice.x].to_numpy() == step)
        if len(rows):
            return place(int(rows[0]))
    return "some row"


def _matched_rate(path: str, choice: Choice, step: Array, counts: Counts) -> Array | None:
    """The rate at each step, between the rows where it was logged by linear interpolation."""
    if choice.lr is None or choice.lr_table is None or choice.lr_x is None:
        return None
    of_rate = Choice(choice.lr_table, choice.lr_x, choice.lr)
    columns = _gather(path, of_rate, [], None, Counts(), drop=True)
    at, lr = columns[choice.lr_x], columns[choice.lr]
    if not len(at):
        counts.notes.append("no row has a rate")
        return None
    if (tidy := merged(at, lr)) is not None:
        at, lr = at[tidy.rows], lr[tidy.rows]
    if (lr < 0).any():
        raise InputError(f"{path}: {choice.lr!r} has a negative rate; choose another with lr=.")
    counts.notes.append("rate interpolated between its own rows")
    return np.interp(step, at, lr)


def _account(path: str, log: Log, choice: Choice, counts: Counts) -> dict[str, Any]:
    """What was chosen and what became of the rows, as numbers and as one text."""
    lost = {
        "without a loss": counts.dropped,
        "without a step": counts.no_step,
        "not finite": counts.nonfinite,
        "merged with a later row of the same step": counts.merged,
        "of these with another loss": counts.conflicts,
        "repeats of an old loss": counts.stale,
        "cut at the end": log.partial,
    }
    told = [f"{n} {what}" for what, n in lost.items() if n]
    parts = [*choice.why, f"{counts.rows} rows" + "".join(f", {one}" for one in told)]
    return {
        "path": path,
        "format": log.format,
        "x": choice.x,
        "y": choice.name or choice.y,
        "unit": "rows" if choice.x == ROW_NUMBER else unit(choice.x) or choice.x,
        "rows": counts.rows,
        "dropped": counts.dropped,
        "no_step": counts.no_step,
        "nonfinite": counts.nonfinite,
        "merged": counts.merged,
        "conflicts": counts.conflicts,
        "stale": counts.stale,
        "partial": log.partial,
        "account": "; ".join([*parts, *counts.notes]) + ".",
    }
