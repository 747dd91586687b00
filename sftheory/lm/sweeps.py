"""Many runs from one TOML: lists are products, blocks are unions, finished runs are skipped.

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
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError, count, nearest
from sftheory.lm.config import Config, parsed, read_sections
from sftheory.lm.runs import Run, load
from sftheory.lm.store import folder_of, outcome_of
from sftheory.lm.training import train

CLUSTERS = ("inline", "local")


@dataclass(frozen=True)
class Case:
    """One run of a sweep: its config, and the settings in which it differs."""

    config: Config
    settings: dict[str, Any]


def read_sweep(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> list[Case]:
    """The runs that a TOML asks for, each once, in the order of its blocks.

    Raises:
        InputError: the file cannot be used, or it plans another number of runs or tokens.
    """
    sections = read_sections(path)
    blocks, planned = sections.pop("sweep", [{}]), sections.pop("experiment", {})
    if isinstance(blocks, Mapping):
        blocks = [blocks]
    base = Config.of(sections)
    changed = parsed(changes)
    cases: dict[str, Case] = {}
    for block in blocks:
        lists = {k: v if isinstance(v, list) else [v] for k, v in _dotted(block).items()}
        for values in itertools.product(*lists.values()):
            settings = dict(zip(lists, values, strict=True))
            config = _stopping(base.replaced(settings).replaced(changed))
            cases.setdefault(config.id, Case(config, settings))
    found = list(cases.values())
    if not changed:
        _check_plan(path, planned, found)
    return found


def sweep(
    path: str | Path,
    out: str | Path = "runs",
    *,
    changes: list[str] | tuple[str, ...] = (),
    cluster: str = "inline",
    jobs: int = 1,
    progress: bool = False,
) -> list[Run]:
    """Train every run of a sweep; the same call again does what is left.

    A loss that is not finite ends its run as "diverged" and the sweep goes on.

    Args:
        path: of the TOML.
        out: the folder of all runs.
        changes: settings such as "run.steps=20", made to every run.
        cluster: "inline", or "local" for processes of submitit.
        jobs: of them at once.
        progress: progress bars, inline.

    Returns:
        the runs, in the order of the file.

    Raises:
        InputError: the file or a config cannot be used; runs that ended before are kept.
    """
    if cluster not in CLUSTERS:
        raise nearest("cluster", cluster, CLUSTERS)
    count("jobs", jobs)
    configs = [case.config for case in read_sweep(path, changes)]
    left = [c for c in configs if not outcome_of(folder_of(out, c))]
    if cluster == "inline":
        for config in left:
            train(config, out=out, progress=progress)
    elif left:
        _by_processes(left, Path(out), jobs)
    return [load(folder_of(out, config)) for config in configs]


def budget(cases: list[Case]) -> dict[str, float]:
    """How many runs and training tokens."""
    tokens = sum(c.config.run.steps * c.config.run.batch * c.config.model.context for c in cases)
    return {"runs": len(cases), "tokens": tokens}


def _stopping(config: Config) -> Config:
    """A loss that is not finite is a result of a sweep, not its end."""
    if config.run.nonfinite == "raise":
        return config.replaced({"run.nonfinite": "stop"})
    return config


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


def _by_processes(configs: list[Config], out: Path, jobs: int) -> None:
    try:
        import submitit
    except ImportError:
        raise InputError(
            "cluster='local' needs submitit; pip install 'sftheory[lm]', or use 'inline'."
        ) from None
    executor = submitit.AutoExecutor(folder=str(out / "jobs"), cluster="local")
    executor.update_parameters(timeout_min=60 * 24 * 7, name="sftheory")
    waiting, running = list(configs), []
    failed: list[str] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            config = waiting.pop(0)
            running.append((config, executor.submit(one_run, config.to_dict(), str(out))))
        config, job = running.pop(0)
        try:
            job.result()
        except Exception as error:
            failed.append(f"{config.id}: {str(error).strip().splitlines()[-1]}")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(configs)} runs failed, the first was {failed[0]}; the logs are "
            f"in {out / 'jobs'}, and the same command does what is left."
        )


def one_run(sections: dict[str, Any], out: str) -> str:
    """What a job does; returns the run's folder."""
    return str(train(Config.of(sections), out=out).directory)
