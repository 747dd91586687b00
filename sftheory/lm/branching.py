"""New runs that begin where another one was: cooldowns, other corpora, longer horizons, LoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sftheory.core.errors import InputError, count
from sftheory.lm.config import Config
from sftheory.lm.runs import Run, load
from sftheory.lm.sections import Start
from sftheory.lm.starting import weights_at
from sftheory.lm.training import train


def branch(
    run: Run | str | Path,
    at: int | str = "end",
    steps: int = 0,
    schedule: Any = None,
    data: Any = None,
    optimizer: Any = None,
    *,
    point: str | None = None,
    lora: Mapping[str, Any] | bool | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = True,
    progress: bool = False,
) -> Run:
    """Train on from a checkpoint, as a run of its own beside the first.

    Steps, samples, optimizer and averages continue; the schedule is played over the branch's own
    steps. A branch of 0 steps has the state of the trunk, bit for bit.

    Args:
        run: the trunk, or its folder.
        at: the step of a checkpoint, or "end" of a run that has ended.
        steps: N of the branch.
        schedule: a name, a mapping of [schedule]'s keys, a schedule, or its values; None keeps the
            trunk's, which then begins anew.
        data: a source, or a mapping of [data]'s keys to change.
        optimizer: a name, or a mapping of [optimizer]'s keys to change.
        point: the weights to begin with, see `sftheory.lm.sections.Start`; None is "state", and
            for another optimizer or other adapters what the trunk reports: "x" where it has one,
            else "last".
        lora: a mapping of [lora]'s keys, {} for its defaults: train low-rank adapters alone, on
            frozen weights. None keeps the trunk's; False, or other adapters, merges those first.
        settings: any other dotted keys to change, such as {"run.eval_every": 50}.
        resume: as for `train`.
        progress: as for `train`.

    Returns:
        the finished branch.

    Raises:
        InputError: no such checkpoint, or a setting that cannot be used.
    """
    trunk = run if isinstance(run, Run) else load(run)
    if lora is not None:
        settings = {**(settings or {}), "lora": {} if lora is True else lora}
    config = branched(trunk, at, steps, schedule, data, optimizer, point, settings)
    return train(config, resume, trunk.directory.parent, progress=progress)


def branched(
    trunk: Run,
    at: int | str = "end",
    steps: int = 0,
    schedule: Any = None,
    data: Any = None,
    optimizer: Any = None,
    point: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """The config of a branch; the arguments are those of `branch`."""
    step = trunk.checkpoints()[-1:] if at == "end" else [at]
    if not step or step[0] not in trunk.checkpoints():
        known = ", ".join(map(str, trunk.checkpoints())) or "none"
        raise InputError(
            f"The run {trunk.directory} has no checkpoint of step {at!r}; there are {known}; set "
            f"run.checkpoints to the steps that are to be kept."
        )
    if at == "end" and trunk.status == "unfinished":
        raise InputError(
            f"The run {trunk.directory} has not ended; finish it, or branch from its checkpoint "
            f"with at={step[0]}."
        )
    given = (steps, schedule, data, optimizer, point, settings)
    return config_of_branch(trunk.config, int(step[0]), *given)


def config_of_branch(
    trunk: Config,
    at: int,
    steps: int = 0,
    schedule: Any = None,
    data: Any = None,
    optimizer: Any = None,
    point: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Config:
    """The config of a branch of a run that may not have been made yet."""
    changes: dict[str, Any] = dict(settings or {})
    changes["run.steps"] = count("steps", steps, least=0)
    if schedule is not None:
        changes["schedule"] = _schedule(schedule, steps)
    changes |= _changes("data", "source", data)
    changes |= _changes("optimizer", "name", optimizer)
    config = trunk.replaced(changes)
    _check_tokenizer(trunk, config)
    if point is None:
        other = config.optimizer.name != trunk.optimizer.name or config.lora != trunk.lora
        point = ("x" if _has_x(trunk) else "last") if other else "state"
    checkpoints = tuple(s for s in config.run.checkpoints if s > at)
    start = Start(trunk.id, at, point)
    return replace(config, start=start, run=replace(config.run, checkpoints=checkpoints))


def merged(
    run: Run | str | Path, point: str | None = None, step: int | str = "end"
) -> dict[str, Tensor]:
    """The named weights of a plain model, in which adapters are merged: W + (alpha / r) B A.

    A and B are taken at the point, and then multiplied; the mean of the products along a path is
    another matrix. The model at an average is the one with these weights, everywhere.

    Args:
        run: the run, or its folder.
        point: "x", "last" or the name of an average; None is "x" where the optimizer has one, else
            "last".
        step: of the checkpoint.

    Raises:
        InputError: there is no such checkpoint or average.
    """
    run = run if isinstance(run, Run) else load(run)
    point = ("x" if _has_x(run.config) else "last") if point is None else point
    return weights_at(run.config, run.state(step), point)


def _schedule(given: Any, steps: int) -> dict[str, Any]:
    if isinstance(given, str):
        return {"name": given}
    if isinstance(given, Mapping):
        return dict(given)
    values = given(steps) if callable(given) and steps else given
    if callable(values):
        return {"name": "constant"}
    return {"name": "from_values", "source": np.asarray(values, dtype=float).tolist()}


def _changes(section: str, first: str, given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    if isinstance(given, str):
        return {f"{section}.{first}": given}
    if not isinstance(given, Mapping):
        given = asdict(given)
        given |= given.pop("options", {})
    return {f"{section}.{key}": value for key, value in given.items()}


def _check_tokenizer(trunk: Config, config: Config) -> None:
    old, new = (replace(c.data, seed=0, eval_tokens=1) for c in (trunk, config))
    if new.tokenizer.startswith("bpe:") and old != new:
        raise InputError(
            f"data.tokenizer={new.tokenizer!r} would be learned anew from the data of the branch, "
            f"whose tokens would then mean other words than the trunk's; set it to the trunk's "
            f"tokenizer.json, which is in $SFTHEORY_CACHE or ~/.cache/sftheory."
        )


def _has_x(trunk: Config) -> bool:
    return trunk.optimizer.name.startswith(("schedule_free", "polyak", "gpa"))
