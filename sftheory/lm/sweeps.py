"""The runs of a plan, trained here, by processes or by Slurm; finished ones are skipped."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError, count, nearest
from sftheory.lm import array_script, slurm
from sftheory.lm.config import Config
from sftheory.lm.jobs import Job, check_processes
from sftheory.lm.plans import read_sweep
from sftheory.lm.runs import Run, load
from sftheory.lm.stackable import stacks
from sftheory.lm.stacked import train_stacked
from sftheory.lm.store import folder_of, outcome_of
from sftheory.lm.training import train

CLUSTERS = ("inline", "local", "slurm")


def sweep(
    path: str | Path,
    out: str | Path = "runs",
    *,
    changes: list[str] | tuple[str, ...] = (),
    cluster: str = "inline",
    jobs: int = 1,
    progress: bool = False,
    processes: int = 1,
    sbatch: Mapping[str, Any] | None = None,
    stack: str = "off",
) -> list[Run]:
    """Train every run of a sweep; the same call again does what is left.

    A loss that is not finite ends its run as "diverged" and the sweep goes on. A signal that stops
    a run stops the sweep, which then returns the runs that have begun.

    Args:
        path: of the TOML.
        out: the folder of all runs.
        changes: settings such as "run.steps=20", made to every run.
        cluster: "inline"; "local" for processes of submitit; "slurm" for an array of jobs, for
            which this call waits: stopped and repeated, it waits for the same jobs.
        jobs: of them at once.
        progress: progress bars, inline.
        processes: that share each run, with run.parallel = "ddp" or "fsdp".
        sbatch: further options of Slurm's sbatch, such as {"partition": "gpu", "time": 60}; the
            time is in minutes.
        stack: "8" trains up to eight runs of a small model at once, inline, where they differ only
            in numbers (`sftheory.lm.stackable`); "auto" does so where it was measured to be faster.

    Returns:
        the runs, in the order of the file.

    Raises:
        InputError: the file or a config cannot be used, or Slurm is absent or refuses; runs that
            ended before are kept.
    """
    if cluster not in CLUSTERS:
        raise nearest("cluster", cluster, CLUSTERS)
    if stack != "off" and (cluster != "inline" or processes > 1):
        raise InputError(
            f"stack={stack!r} trains runs in this process, so that it goes with cluster='inline' "
            f"and processes=1; leave it 'off'."
        )
    configs = _asked(path, changes, jobs, processes)
    for wave in _waves(configs):
        left = [c for c in wave if not outcome_of(folder_of(out, c)) and can_begin(c, out)]
        if cluster == "inline":
            for group in stacks(left, stack):
                if len(group) > 1:
                    train_stacked(group, out, progress=progress)
                elif processes == 1:
                    train(group[0], out=out, progress=progress)
                else:
                    Job(group[0].to_dict(), str(out), processes)()
                if not all(outcome_of(folder_of(out, c)) for c in group):  # a signal stopped us
                    return [load(folder_of(out, c)) for c in configs if _begun(c, out)]
        elif left and cluster == "local":
            _by_processes(left, Path(out), jobs, processes)
        elif left:
            how: Mapping[str, Any] = sbatch or {}
            slurm.run_all(left, Path(out), jobs, processes=processes, options=how)
    return [load(folder_of(out, c)) for c in configs if can_begin(c, out)]


def _begun(config: Config, out: str | Path) -> bool:
    return (folder_of(out, config) / "config.json").exists()


def scripts(
    path: str | Path,
    out: str | Path = "runs",
    *,
    changes: list[str] | tuple[str, ...] = (),
    jobs: int = 1,
    processes: int = 1,
    sbatch: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write what `sweep` would do as `sbatch --array` scripts, and submit nothing.

    A script has the runs that are left; there is one for the trunks and one for their branches,
    which has to wait for the first. The arguments are those of `sweep`.
    """
    found = []
    for i, wave in enumerate(_waves(_asked(path, changes, jobs, processes))):
        left = [c for c in wave if not outcome_of(folder_of(out, c)) and can_begin(c, out)]
        if left:
            name, how = f"{Path(path).stem}.{i + 1}", {"processes": processes}
            options: Mapping[str, Any] = sbatch or {}
            found.append(
                array_script.write_script(left, Path(out), name, jobs, options=options, **how)
            )
    return found


def _asked(
    path: str | Path, changes: list[str] | tuple[str, ...], jobs: int, processes: int
) -> list[Config]:
    count("jobs", jobs)
    configs = [case.config for case in read_sweep(path, changes)]
    check_processes(configs, count("processes", processes))
    return configs


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


def _by_processes(configs: list[Config], out: Path, jobs: int, processes: int) -> None:
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
            running.append((config, executor.submit(Job(config.to_dict(), str(out), processes))))
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
