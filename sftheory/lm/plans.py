"""Many runs from one TOML: lists are products, blocks are unions or branches of others.

[experiment]                       # what was planned, checked against what the blocks say
question = "..."
runs = 6
tokens = 1e6

[run]                              # any section of a config, common to all
steps = 100

[[sweep]]                          # each block is the product of its lists
"optimizer.name" = "adamw"
"optimizer.lr" = [1e-3, 2e-3, 4e-3]
"run.seed" = [0, 1]

[[sweep]]
name = "trunk"                     # so that a later block can branch from its runs
"run.checkpoints" = [[50, 100]]    # a value that is a list is nested

[[sweep]]                          # a branch of each of these runs, at each of these steps
from = "trunk"
at = [50, 100]
"run.steps" = 20
"schedule.name" = "linear"         # whatever is said of [schedule] replaces all of the trunk's

[[line]]                           # the loss between two checkpoints, see `line_plans`
name = "along the trunk"
from = "trunk"
steps = [50, 100]
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.lm.branching import config_of_branch
from sftheory.lm.config import Config, parsed, read_sections
from sftheory.lm.line_plans import PlannedLine, planned_lines


@dataclass(frozen=True)
class Case:
    """One run of a sweep: its config, and the settings in which it differs."""

    config: Config
    settings: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """All that a TOML asks for.

    Attributes:
        cases: the runs, each once, in the order of their blocks.
        lines: between checkpoints of the runs.
    """

    cases: list[Case]
    lines: list[PlannedLine]


def read_sweep(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> list[Case]:
    """The runs that a TOML asks for, each once, in the order of its blocks.

    Raises:
        InputError: the file cannot be used, or it plans another number of runs or tokens.
    """
    return read_plan(path, changes).cases


def read_plan(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> Plan:
    """The runs that a TOML asks for, and the lines between their checkpoints.

    Raises:
        InputError: the file cannot be used, or it plans another number of runs or tokens.
    """
    sections = read_sections(path)
    blocks, planned = sections.pop("sweep", [{}]), sections.pop("experiment", {})
    tables = sections.pop("line", [])
    if isinstance(blocks, Mapping):
        blocks = [blocks]
    base = Config.of(sections)
    changed = parsed(changes)
    cases: dict[str, Case] = {}
    named: dict[str, list[Case]] = {}
    for block in blocks:
        own = dict(block)
        name, source = own.pop("name", None), own.pop("from", None)
        label = {} if name is None else {"block": name}
        if source is not None and source not in named:
            raise InputError(
                f"{path} branches from {source!r}, but no block before has that name; write "
                f"name = {source!r} into the block of the trunk."
            )
        lists = {k: v if isinstance(v, list) else [v] for k, v in _dotted(own).items()}
        for trunk in [Case(base, {})] if source is None else named[source]:
            for values in itertools.product(*lists.values()):
                settings = dict(zip(lists, values, strict=True))
                if source is None:
                    config = _stopping(base.replaced(settings).replaced(changed))
                else:
                    config = _branch(path, trunk.config, settings).replaced(changed)
                    settings = {**trunk.settings, "from": source, **settings}
                case = cases.setdefault(config.id, Case(config, {**settings, **label}))
                if name is not None:
                    named.setdefault(name, []).append(case)
    found = list(cases.values())
    if not changed:
        _check_plan(path, planned, found)
    configs = {name: [case.config for case in own] for name, own in named.items()}
    return Plan(found, planned_lines(path, tables, configs))


def budget(cases: list[Case]) -> dict[str, float]:
    """How many runs and training tokens."""
    tokens = sum(c.config.run.steps * c.config.run.batch * c.config.model.context for c in cases)
    return {"runs": len(cases), "tokens": tokens}


def _stopping(config: Config) -> Config:
    """A loss that is not finite is a result of a sweep, not its end."""
    if config.run.nonfinite == "raise":
        return config.replaced({"run.nonfinite": "stop"})
    return config


def _branch(path: str | Path, trunk: Config, settings: Mapping[str, Any]) -> Config:
    changes = dict(settings)
    at, point = changes.pop("at", trunk.start.step + trunk.run.steps), changes.pop("point", None)
    kept = {*trunk.run.checkpoints, trunk.start.step + trunk.run.steps}
    if at not in kept:
        raise InputError(
            f"{path} branches at step {at!r}, which its trunk does not keep; write that step into "
            f"run.checkpoints of the trunk's block."
        )
    schedule = {k.split(".", 1)[1]: changes.pop(k) for k in settings if k.startswith("schedule.")}
    optimizer = {k.split(".", 1)[1]: changes.pop(k) for k in settings if k.startswith("optimizer.")}
    steps = changes.pop("run.steps", trunk.run.steps)
    return config_of_branch(
        trunk, at, steps, schedule or None, None, optimizer or None, point, changes
    )


def _dotted(block: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """TOML's nested tables as dotted keys, so that both ways of writing mean the same."""
    answer: dict[str, Any] = {}
    for key, value in block.items():
        if isinstance(value, Mapping) and not before:
            answer |= _dotted(value, f"{key}.")
        else:
            answer[before + key] = value
    return answer


def _check_plan(path: str | Path, planned: Mapping[str, Any], cases: list[Case]) -> None:
    for name, value in budget(cases).items():
        if name in planned and planned[name] != value:
            raise InputError(
                f"{path} plans {planned[name]:g} {name} but its blocks ask for {value:g}; write "
                f"the number that is meant."
            )
