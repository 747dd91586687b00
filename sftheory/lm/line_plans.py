"""Which lines a plan wants between checkpoints of its runs.

[[line]]
name = "to the end of its decay"
from = "trunk"                    # a block with this name; a line for each of its runs
to = "decay"                      # left out: the same run
steps = [480, "end"]              # of the two checkpoints
point = "last"                    # or "x", or an average; ["last", "x"] for one at each end
same = ["run.seed"]               # what two runs must share; the default
points = 21                       # from end to end
beyond = 0.25                     # how far it goes on, as a fraction
split = "val"                     # or "train"

Where the runs of one block are branches of the other's, each is paired with its own trunk. With
from = to and same = [] every two runs of the block are paired once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError, nearest
from sftheory.lm.config import Config

_KEYS = ("name", "from", "to", "steps", "point", "same", "points", "beyond", "split")


@dataclass(frozen=True)
class PlannedLine:
    """A line between a checkpoint of `run` and one of `other`, as `sftheory.lm.line` takes it."""

    name: str
    run: Config
    other: Config
    steps: tuple[int | str, int | str]
    point: tuple[str, str]
    points: int = 21
    beyond: float = 0.25
    split: str = "val"


def planned_lines(
    path: str | Path, tables: Sequence[Mapping[str, Any]], blocks: Mapping[str, Sequence[Config]]
) -> list[PlannedLine]:
    """The lines that the [[line]] tables of a plan ask for.

    Args:
        path: of the plan, for its errors.
        tables: as the TOML has them.
        blocks: the configs of each named block.

    Raises:
        InputError: a key, block, point or step that is not there, or two ends of two sizes.
    """
    found = []
    for table in tables:
        for key in table:
            if key not in _KEYS:
                raise nearest("key of [[line]]", key, _KEYS)
        for key in ("name", "from", "steps"):
            if key not in table:
                raise InputError(f"A [[line]] of {path} has no {key!r}; write {key} = ... into it.")
        name, source, target = table["name"], table["from"], table.get("to")
        for block in (source, source if target is None else target):
            if block not in blocks:
                raise nearest(f"block with a name for the line {name!r} of {path},", block, blocks)
        steps, point = both("steps", table["steps"]), both("point", table.get("point", "last"))
        options = {k: table[k] for k in ("points", "beyond", "split") if k in table}
        ours = blocks[source]
        if target is None:
            pairs = [(run, run) for run in ours]
        else:
            pairs = _pairs(ours, blocks[target], table.get("same", ["run.seed"]))
        for pair in pairs:
            for run, step, at in zip(pair, steps, point, strict=True):
                _check_end(path, name, run, step, at)
            found.append(PlannedLine(name, *pair, steps, point, **options))
    return found


def both(what: str, value: Any) -> tuple[Any, Any]:
    """A value for each end: a pair as it is, a single one twice.

    Raises:
        InputError: a list of another length.
    """
    if not isinstance(value, list | tuple):
        return value, value
    if len(value) != 2:
        raise InputError(f"{what} must be one value or one for each end, but got {value!r}.")
    return value[0], value[1]


def _pairs(
    ours: Sequence[Config], theirs: Sequence[Config], same: Sequence[str]
) -> list[tuple[Config, Config]]:
    trunks = {run.id for run in ours} & {run.start.run for run in theirs}
    roots = {run.id for run in theirs} & {run.start.run for run in ours}
    found = []
    for i, a in enumerate(ours):
        for j, b in enumerate(theirs):
            twice = a.id == b.id or (ours is theirs and j < i)
            stranger = (trunks and b.start.run != a.id) or (roots and a.start.run != b.id)
            if not (twice or stranger) and all(_setting(a, k) == _setting(b, k) for k in same):
                found.append((a, b))
    return found


def _setting(config: Config, name: str) -> Any:
    section, _, key = name.partition(".")
    sections = config.to_dict()
    if section not in sections:
        raise nearest("section", section, sections)
    return sections[section].get(key)


def _check_end(path: str | Path, name: str, run: Config, step: Any, point: Any) -> None:
    kept = sorted({*run.run.checkpoints, run.start.step + run.run.steps})
    if step != "end" and step not in kept:
        raise InputError(
            f"The line {name!r} of {path} ends at step {step!r}, which its run does not keep; "
            f"write that step into run.checkpoints of its block, or take one of "
            f"{', '.join(map(str, kept))}."
        )
    known = ["last", "x", *run.averages.names]
    if point not in known:
        raise nearest(f"point for the line {name!r},", str(point), known)
