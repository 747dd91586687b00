"""Which series of a log to read: the one that is asked for, or the only one that it can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from sftheory.core.errors import InputError, nearest
from sftheory.fits.assembly import ROW_NUMBER, Choice
from sftheory.fits.columns import counters, is_loss, losses, rates, unit
from sftheory.fits.tables import Log, Table

SHOWN = 12  # names that a message lists


def choose(path: str, log: Log, x: str | None, y: str | None, lr: str | None) -> Choice:
    """The columns for one curve.

    Raises:
        InputError: a name is unknown, several series may be the loss, or none is.
    """
    if y is not None:
        name, table, column = _asked(path, log, y)
        why = f"y = {name!r} as asked"
    else:
        found = candidates(path, log)
        if len(found) > 1:
            raise InputError(
                f"{path} holds several losses; choose with y= "
                f"{_listed(name for name, *_ in found)}."
            )
        name, table, column = found[0]
        why = f"y = {name!r}, {'the only loss' if is_loss(column) else 'the only other column'}"
    return complete(path, log, name, table, column, x, lr, why)


def candidates(path: str, log: Log) -> list[tuple[str, Table, str]]:
    """Every series that may be the loss: (its name in the log, its table, its column).

    Raises:
        InputError: there is none.
    """
    every = list(_named(log))
    found = [one for one in every if is_loss(one[2])]
    found = [one for one in found if one[2] not in one[1].textual] or found
    if not found:
        likely = {id(t): set(losses(t.columns, t.textual)) for t in log.tables}
        found = [one for one in every if one[2] in likely[id(one[1])]]
        found = found if len(found) == 1 else []
    if len(found) > 1:
        found = [one for one in found if _filled(one[1], one[2])] or found[:1]
    if not found:
        raise InputError(
            f"{path} has no column that looks like a loss; choose with y= "
            f"{_listed(name for name, *_ in every)}."
        )
    return found


def complete(
    path: str,
    log: Log,
    name: str,
    table: Table,
    column: str,
    x: str | None,
    lr: str | None,
    why: str,
) -> Choice:
    """The series with its abscissa and its rate.

    Raises:
        InputError: x or lr is unknown, or nothing looks like a step.
    """
    reasons = [why]
    if x is not None:
        abscissa = _column(path, table, x)
        if abscissa == column:
            raise InputError(f"{path}: {x!r} cannot be both x and y; choose another x.")
        reasons.append(f"x = {abscissa!r} as asked")
    else:
        abscissa = _counter(path, table, column)
        known = f"in {unit(abscissa)}" if unit(abscissa) else "the only other column"
        reasons.append(
            f"x = {abscissa!r}, {known}"
            if abscissa != ROW_NUMBER
            else "x = the row's number, as no column counts"
        )
    rate = _rate(path, log, table, column, abscissa, lr)
    if isinstance(rate, str):
        reasons.append(rate)
        return Choice(table, abscissa, column, name=name, why=tuple(reasons))
    rate_table, rate_x, rate_column = rate
    reasons.append(f"lr = {rate_column!r}" + (" as asked" if lr is not None else ""))
    return Choice(
        table, abscissa, column, rate_column, rate_table, rate_x, name=name, why=tuple(reasons)
    )


def _named(log: Log) -> Iterator[tuple[str, Table, str]]:
    """Each column that is not a counter or a rate by a name that only it has."""
    times = Counter(column for table in log.tables for column in table.columns)
    for table in log.tables:
        for column in table.columns:
            alone = times[column] == 1 or not table.name
            yield column if alone else f"{table.name}/{column}", table, column


def _asked(path: str, log: Log, name: str) -> tuple[str, Table, str]:
    every = list(_named(log))
    for test in (
        lambda one: one[0] == name,
        lambda one: _ends(one[1], one[2], name),
        lambda one: one[0].lower() == name.lower(),
    ):
        found = [one for one in every if test(one)]
        if len(found) == 1:
            return found[0]
    for table in log.tables:
        for refused, reason in table.refused.items():
            if _ends(table, refused, name):
                raise InputError(reason)
    raise InputError(f"{path}: {nearest('column', name, {one[0] for one in every})}")


def _ends(table: Table, column: str, name: str) -> bool:
    """Whether `name` is the column, with or without (the end of) its table's name."""
    return f"/{table.name}/{column}".endswith(f"/{name}")


def _column(path: str, table: Table, name: str) -> str:
    for column in table.columns:
        if _ends(table, column, name):
            return column
    raise InputError(f"{path}: {nearest('column', name, table.columns)}")


def _counter(path: str, table: Table, y: str) -> str:
    found = counters([c for c in table.columns if c not in table.textual], y)
    found = found or counters(table.columns, y)
    same = [column for column in found if unit(column) == unit(found[0])]
    if len(same) > 1:  # the one that most rows of y have, the first of those
        return max(same, key=lambda column: _share(table, column, y))
    if same:
        return same[0]
    others = [c for c in table.columns if c != y and c not in table.textual]
    if others and set(others) - set(rates(others, y)):
        raise InputError(
            f"{path} has no column that looks like a step; choose with x= {_listed(others)}."
        )
    return ROW_NUMBER


def _rate(
    path: str, log: Log, table: Table, y: str, x: str, lr: str | None
) -> tuple[Table, str, str] | str:
    """Where the rate is: its table, its abscissa and its column; or why there is none."""
    if lr is not None:
        other, column = table, lr
        if lr not in table.columns:
            _, other, column = _asked(path, log, lr)
        if other is table and column in (x, y):
            raise InputError(f"{path}: {lr!r} cannot be the rate and x or y too; choose another.")
        at = x if other is table else _abscissa(other, column, x)
        if at is None:
            raise InputError(f"{path}: {lr!r} has no steps like {x!r}; choose another lr.")
        return other, at, column
    own = rates(table.columns, y)
    if len(own) == 1:
        return table, x, own[0]
    if own:
        return f"no lr, as there are several: {_listed(own)}"
    found = [(other, column) for other in log.tables for column in rates(other.columns, y)]
    if len(found) == 1 and (at := _abscissa(*found[0], x)) is not None:
        return found[0][0], at, found[0][1]
    return "no lr"


def _abscissa(table: Table, column: str, x: str) -> str | None:
    """The column of another table that counts as `x` does."""
    if x in table.columns:
        return x
    return next((c for c in counters(table.columns, column) if unit(c) == unit(x)), None)


def _filled(table: Table, column: str) -> bool:
    """Whether a column holds anything."""
    try:
        return any(frame[column].count() for frame, _ in table.blocks([column]))
    except InputError:
        return True


def _share(table: Table, column: str, y: str) -> int:
    """How many of the first rows with y have a cell in `column`."""
    try:
        for frame, _ in table.blocks([column, y]):
            return int((frame[column].is_not_null() & frame[y].is_not_null()).sum())
    except InputError:
        pass
    return 0


def _listed(names: Iterable[str] | Sequence[str]) -> str:
    names = [repr(name) for name in names]
    more = f" or {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ("one of " if len(names) > 1 else "") + ", ".join(names[:SHOWN]) + more
