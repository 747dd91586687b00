"""A sweep as a plain `sbatch --array` script, for sites where nothing else may submit.

The i-th task is the i-th run. A task that a signal stops saves and is queued again, one that was
killed too; one that cannot run is not.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftheory.lm.config import Config
from sftheory.lm.jobs import written
from sftheory.lm.launch import REQUEUE
from sftheory.lm.slurm import RESTARTS, minutes, told_before

SCRIPT = """#!/bin/bash
#SBATCH --job-name=sftheory
#SBATCH --array=0-{last}%{jobs}
#SBATCH --output={folder}/%A_%a.log
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@{delay}
#SBATCH --time={time}
{options}
runs=({ids})
id=${{runs[$SLURM_ARRAY_TASK_ID]}}
{command} &
child=$!
trap 'kill -TERM $child 2>/dev/null' TERM USR1
wait $child
status=$?
while kill -0 $child 2>/dev/null; do  # a signal ends `wait` before the command has ended
  wait $child
  status=$?
done
if [ $status -eq {requeue} ] || [ $status -ge 128 ]; then
  [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ] && exec scontrol requeue "$SLURM_JOB_ID"
fi
exit $status
"""


def write_script(
    configs: list[Config],
    out: Path,
    name: str,
    jobs: int,
    *,
    processes: int,
    options: Mapping[str, Any],
) -> Path:
    """The script and, beside it, a config for each run; returns the script's path."""
    out = out.resolve()
    folder = written(configs[0], out).parent
    for config in configs[1:]:
        written(config, out)
    words = [shlex.quote(sys.executable), "-m", "sftheory", "train", f'{folder}/"$id".toml']
    words += ["--out", shlex.quote(str(out)), "--json"]
    words += ["--processes", str(processes)] if processes > 1 else []
    further = {k: v for k, v in options.items() if k != "time"}
    text = SCRIPT.format(
        last=len(configs) - 1,
        jobs=jobs,
        folder=folder,
        delay=told_before(options),
        time=minutes(options),
        options="".join(f"#SBATCH --{k}={v}\n" for k, v in further.items()),
        ids=" ".join(config.id for config in configs),
        command=" ".join(words),
        requeue=REQUEUE,
        restarts=RESTARTS,
    )
    path = folder / f"{name}.sh"
    path.write_text(text, encoding="utf-8")
    return path
