"""The runs of a sweep as an array of Slurm, by submitit; what is left is known from the folders.

A task that gets SIGTERM, SIGUSR1 or SIGUSR2 (preemption, or the time limit) saves, asks Slurm to
queue it again and goes on from there. One that is killed outright is queued again by its own batch
script, and by this command while it waits. Two tasks never work on one run: its folder is locked.
"""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.lm.config import Config
from sftheory.lm.jobs import Job
from sftheory.lm.store import folder_of, outcome_of

TOLD = 90  # seconds before the time limit at which Slurm tells, of at most half of it
RESTARTS = 20
ROUNDS = 4  # how often what was killed is submitted
# of a process that was killed, but not by a limit or by scancel, after which Slurm ends this script
KILLED = (
    f'case $? in 137|139) [ "${{SLURM_RESTART_COUNT:-0}}" -lt {RESTARTS} ] && '
    'scontrol requeue "$SLURM_JOB_ID" ;; esac'
)


class Task(Job):
    """A job that asks Slurm to be queued again when a signal stopped it."""

    def __call__(self) -> str:
        folder = super().__call__()
        if not outcome_of(Path(folder)):
            name = "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2")
            signal.raise_signal(getattr(signal, name))  # submitit's handler queues it and exits
        return folder

    def checkpoint(self) -> Any:
        """What submitit starts when the task begins again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def run_all(
    configs: list[Config],
    out: Path,
    jobs: int,
    *,
    processes: int,
    options: Mapping[str, Any],
    every: float = 5.0,
) -> None:
    """Submit what is not in the queue, and wait until all of it has left it.

    Args:
        configs: of the runs.
        out: the folder of all runs, which all machines see.
        jobs: tasks at once.
        processes: of one run.
        options: of sbatch; "time" is in whole minutes.
        every: seconds between questions to Slurm.

    Raises:
        InputError: there is no Slurm, it refuses, or runs failed.
    """
    folder = (out / "jobs").resolve()
    for _ in range(ROUNDS):
        left = [c for c in configs if not outcome_of(folder_of(out, c))]
        here = in_queue()
        waiting = {c.id: told for c in left if (told := _told(folder, c)) in here}
        fresh = [c for c in left if c.id not in waiting]
        complaints = {} if not fresh else _failures(folder, fresh)
        if complaints:
            raise _failed(complaints, configs, folder)
        if not left:
            return
        if fresh:
            waiting |= _submit(fresh, out.resolve(), folder, jobs, processes, options)
        while set(waiting.values()) & in_queue():
            time.sleep(every)
    left = [c for c in configs if not outcome_of(folder_of(out, c))]
    if left:
        raise InputError(
            f"{len(left)} of {len(configs)} runs were killed {ROUNDS} times, the first is "
            f"{left[0].id}; see the logs in {folder}, give them more memory or time, and start the "
            f"same command again."
        )


def in_queue() -> set[str]:
    """The jobs of this user that have not ended, as "12" or "12_3".

    Raises:
        InputError: there is no Slurm, or it does not answer.
    """
    words = ["squeue", "--noheader", "--array", "--user", getpass.getuser(), "--format", "%i"]
    complaint = ""
    for wait in (0, 1, 5, 15, 30):  # a controller that restarts is not the end
        time.sleep(wait)
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            raise InputError(
                "cluster='slurm' but there is no squeue here; work where Slurm is, or use "
                "'inline', 'local' or 'script'."
            ) from None
        except subprocess.TimeoutExpired:
            complaint = "no answer in 60 s"
            continue
        if done.returncode == 0:
            return set(done.stdout.split())
        complaint = _last(done.stderr)
    raise InputError(
        f"Slurm does not answer ({complaint}); repeat the command when it does, jobs that were "
        f"submitted go on and are waited for; without Slurm use 'inline', 'local' or 'script'."
    )


def _submit(
    configs: list[Config],
    out: Path,
    folder: Path,
    jobs: int,
    processes: int,
    options: Mapping[str, Any],
) -> dict[str, str]:
    """Run id to the number of its job, which is also kept in a file."""
    try:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError
    except ImportError:
        raise InputError(
            "cluster='slurm' needs submitit; pip install 'sftheory[lm]', or use 'script'."
        ) from None
    further, new = {k: v for k, v in options.items() if k != "time"}, not folder.exists()
    try:
        executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=RESTARTS)
        executor.update_parameters(
            job_name="sftheory",
            time=minutes(options),
            signal_delay_s=told_before(options),
            array_parallelism=jobs,
            stderr_to_stdout=True,
            teardown=[KILLED],
            additional_parameters={"requeue": True, **further},
        )
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():  # sbatch is told below
            made = [executor.submit(Task(c.to_dict(), str(out), processes)) for c in configs]
    except (FailedJobError, FailedSubmissionError, RuntimeError) as error:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        why = _last(str(error)).removeprefix("sbatch: error: ")
        raise InputError(f"Slurm refuses the jobs ({why}); change what --sbatch says.") from None
    waiting = {c.id: job.job_id for c, job in zip(configs, made, strict=True)}
    for name, number in waiting.items():
        (folder / f"{name}.job").write_text(number, encoding="utf-8")
    return waiting


def minutes(options: Mapping[str, Any]) -> int:
    """The time limit.

    Raises:
        InputError: it is not a whole number of minutes.
    """
    value = options.get("time", 60)
    if not str(value).isdecimal() or not int(value):
        raise InputError(f"--sbatch time={value} must be whole minutes, such as time=60.")
    return int(value)


def told_before(options: Mapping[str, Any]) -> int:
    """Seconds before the time limit at which a task is told to save."""
    return min(TOLD, 30 * minutes(options))


def _told(folder: Path, config: Config) -> str | None:
    """The number of the job that was last submitted for a run."""
    path = folder / f"{config.id}.job"
    return path.read_text("utf-8").strip() if path.exists() else None


def _failures(folder: Path, configs: list[Config]) -> dict[str, str]:
    """What runs said whose last job ended with an exception; it is told once."""
    from submitit import SlurmJob

    complaints = {}
    for config in configs:
        number = _told(folder, config)
        if number is None:
            continue
        job = SlurmJob(folder=folder, job_id=number)
        if job.paths.result_pickle.exists():
            error = job.exception()
            if error is not None and "not requeued" not in str(error):
                complaints[config.id] = _last(str(error))
                os.unlink(folder / f"{config.id}.job")
    return complaints


def _failed(complaints: dict[str, str], configs: list[Config], folder: Path) -> InputError:
    name, text = next(iter(complaints.items()))
    return InputError(
        f"{len(complaints)} of {len(configs)} runs failed, the first was {name}: {text}; the logs "
        f"are in {folder}, and the same command does what is left."
    )


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "no reason given"
