"""One run of a sweep as a job: what another process or machine is asked to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.lm.config import Config
from sftheory.lm.launch import REQUEUE, launched
from sftheory.lm.store import folder_of
from sftheory.lm.training import train


class Job:
    """Called, it trains a run and returns its folder, whether the run ended or was stopped.

    Args:
        sections: of the config.
        out: the folder of all runs.
        processes: that share the run.
    """

    def __init__(self, sections: dict[str, Any], out: str, processes: int = 1) -> None:
        self.sections, self.out, self.processes = sections, out, processes

    def __call__(self) -> str:
        config = Config.of(self.sections)
        if self.processes == 1:
            return str(train(config, out=self.out).directory)
        path = written(config, Path(self.out))
        words = ["train", str(path), "--out", self.out]
        status = launched(words, self.processes, quiet=True)
        if status not in (0, REQUEUE):
            raise InputError(f"The run {config.id} ended with status {status}; see its log.")
        return str(folder_of(self.out, config))


def check_processes(configs: list[Config], processes: int) -> None:
    """Raises InputError where a run cannot be shared by so many processes."""
    for config in configs:
        run = config.run
        if processes > 1 and run.parallel == "none":
            raise InputError(
                f"processes={processes} but run.parallel='none'; set it to 'ddp' or 'fsdp'."
            )
        if run.batch % processes:
            raise InputError(
                f"run.batch={run.batch} cannot be shared by {processes} processes; take a number "
                f"that divides it, or change run.batch."
            )


def written(config: Config, out: Path) -> Path:
    """A file with the config, for a command that reads it."""
    path = out / "jobs" / f"{config.id}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config.to_toml(), encoding="utf-8")
    return path
