"""The runs of a plan, trained here or by processes; finished ones are skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError, count, nearest
from sftheory.lm.config import Config
from sftheory.lm.plans import read_sweep
from sftheory.lm.runs import Run, load
from sftheory.lm.store import folder_of, outcome_of
from sftheory.lm.training import train

CLUSTERS = ("inline", "local")


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
    for wave in _waves(configs):
        left = [c for c in wave if not outcome_of(folder_of(out, c)) and can_begin(c, out)]
        if cluster == "inline":
            for config in left:
                train(config, out=out, progress=progress)
        elif left:
            _by_processes(left, Path(out), jobs)
    return [load(folder_of(out, c)) for c in configs if can_begin(c, out)]


def _waves(configs: list[Config]) -> list[list[Config]]:
    """Trunks before their branches."""
    waves: list[list[Config]] = []
    waiting = configs
    while waiting:
        ids = {c.id for c in waiting}
        waves.append([c for c in waiting if c.start.run not in ids])
        waiting = [c for c in waiting if c.start.run in ids]
    return waves


def can_begin(config: Config, out: str | Path) -> bool:
    """Not where the trunk diverged before the step of the branch."""
    trunk = Path(out) / config.start.run
    ended = outcome_of(trunk) if config.start.run else None
    return (
        ended is None
        or ended["status"] != "diverged"
        or config.start.step in load(trunk).checkpoints()
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
