"""The folder of a run: config, environment, rows while it runs, Parquet when it is done.

<out>/<id>/config.json        what was asked; the id is its hash
           env.json           versions, device, hash of the tokens
           metrics.jsonl      losses; speed.jsonl and probe.jsonl beside it
           metrics.parquet    the same at the end
           checkpoints/step-00000200/
           trajectory/        thin points, where they are asked for
           done.json          how it ended, and the hash of its last state
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from sftheory.core.errors import InputError
from sftheory.lm.config import Config

LOGS = ("metrics", "speed", "probe")


def folder_of(out: str | Path, config: Config) -> Path:
    """Where the run of this config lives under `out`, which may be that folder itself.

    Raises:
        InputError: `out` is the folder of a run with another config.
    """
    out = Path(out)
    if not (out / "config.json").exists():
        return out / config.id
    check_unchanged(out)
    if out.name != config.id:
        raise InputError(
            f"{out} holds a run whose config differs from this one ({_first_change(out, config)}); "
            f"use lm.branch(run, at=...) to go on from it with another config, or another --out."
        )
    return out


def check_unchanged(folder: Path) -> Config:
    """The config of a run's folder.

    Raises:
        InputError: there is none, or it is not the one that the run was made with.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is no run; a run's folder has a config.json.")
    config = Config.read(path)
    recorded = folder / "env.json"
    made_as = json.loads(recorded.read_text("utf-8"))["id"] if recorded.is_file() else config.id
    if config.id != made_as:
        raise InputError(
            f"{path} was changed after the run {made_as} began; put it back, and use "
            f"lm.branch(run, at=...) or `sftheory train CONFIG --from {made_as} --at STEP` to go "
            f"on from it with another config."
        )
    return config


def _first_change(folder: Path, config: Config) -> str:
    old, new = Config.read(folder / "config.json").to_dict(), config.to_dict()
    for section, values in new.items():
        for key, value in values.items():
            before = old.get(section, {}).get(key)
            if before != value:
                return f"{section}.{key} was {before!r} and is now {value!r}"
    return "it has fewer keys"


class RunFolder:
    """Writes the files of a run; one process at a time."""

    def __init__(self, path: Path, config: Config) -> None:
        self.path, self.config = path, config
        self.checkpoints = path / "checkpoints"

    @contextlib.contextmanager
    def opened(self, resume: bool) -> Iterator[None]:
        """Makes the folder and holds it; without `resume` what was there is deleted.

        Raises:
            InputError: another process holds it, its config was changed, or it cannot be written.
        """
        made = not self.path.parent.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = (self.path / "lock").open("w")
        except OSError as error:
            raise InputError(
                f"Cannot write {self.path}: {error.strerror}; choose another --out."
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"Another process is working on the run {self.path}; wait for it to end."
                ) from None
            if (self.path / "config.json").exists():
                check_unchanged(self.path)
            if not resume:
                for old in self.path.iterdir():
                    if old.name != "lock":
                        shutil.rmtree(old) if old.is_dir() else old.unlink()
            try:
                yield
            finally:
                if [p.name for p in self.path.iterdir()] == ["lock"]:  # nothing was begun
                    shutil.rmtree(self.path)
                    if made:
                        self.path.parent.rmdir()

    def begin(self, tokens_sha256: str) -> None:
        """Writes config and environment, or checks them where the run goes on.

        Raises:
            InputError: the corpus is not the one that the run began with.
        """
        path = self.path / "env.json"
        if path.exists():
            began_with = json.loads(path.read_text("utf-8"))["tokens_sha256"]
            if began_with != tokens_sha256:
                raise InputError(
                    f"The corpus of the run {self.path} has changed since it began; bring it back, "
                    f"or start anew with resume=False."
                )
            return
        self._replace("config.json", json.dumps(self.config.to_dict(), indent=1))
        environment = {"id": self.config.id, "tokens_sha256": tokens_sha256, **surroundings()}
        self._replace("env.json", json.dumps(environment, indent=1))

    def append(self, log: str, rows: Iterable[dict[str, Any]]) -> None:
        """Adds rows to a log; NaN and inf become null, which JSON has.

        Raises:
            InputError: the disk is full.
        """
        lines = "".join(json.dumps(_finite(row)) + "\n" for row in rows)
        try:
            with (self.path / f"{log}.jsonl").open("a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            raise InputError(
                f"Cannot write {self.path / log}.jsonl: {error.strerror}; make room there and "
                f"start the same command again."
            ) from None

    def sync(self) -> None:
        """Waits until the rows are on the disk, so that no checkpoint is ahead of them."""
        for log in LOGS:
            path = self.path / f"{log}.jsonl"
            if path.exists():
                with path.open("rb") as file:
                    os.fsync(file.fileno())

    def store_point(self, step: int, theta: torch.Tensor, lr: float) -> None:
        """One point of the thin trajectory, in bfloat16."""
        from safetensors.torch import save_file

        place = self.path / "trajectory"
        place.mkdir(exist_ok=True)
        own = place / f".{step:08d}"
        save_file({"theta": theta.bfloat16().cpu()}, own, metadata={"lr": lr.hex()})
        own.rename(place / f"{step:08d}.safetensors")

    def forget_after(self, step: int) -> None:
        """Drops rows of later steps, which a resumed run writes again, and a broken last line."""
        for log in LOGS:
            path = self.path / f"{log}.jsonl"
            if path.exists():
                last = step - 1 if log == "probe" else step  # its row t is of step t + 1
                rows = [row for row in read_rows(path) if row["step"] <= last]
                self._replace(path.name, "".join(json.dumps(row) + "\n" for row in rows))
        for point in (self.path / "trajectory").glob("*.safetensors"):
            if int(point.stem) > step:
                point.unlink()

    def finish(self, outcome: dict[str, Any]) -> None:
        """Writes the Parquet files, then how the run ended."""
        import polars as pl

        for log in LOGS:
            rows = list(read_rows(self.path / f"{log}.jsonl"))
            if rows:
                own = self.path / f".{log}.parquet"
                pl.DataFrame(rows, infer_schema_length=None).write_parquet(own)
                own.rename(self.path / f"{log}.parquet")
        self._replace("done.json", json.dumps(outcome, indent=1))

    def _replace(self, name: str, text: str) -> None:
        own = self.path / f".{name}.{os.getpid()}"
        own.write_text(text, encoding="utf-8")
        own.replace(self.path / name)


class Elsewhere(RunFolder):
    """The folder as the processes see it that leave writing to the first."""

    def append(self, log: str, rows: Iterable[dict[str, Any]]) -> None: ...
    def sync(self) -> None: ...
    def store_point(self, step: int, theta: torch.Tensor, lr: float) -> None: ...


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a log; a last line that was cut off is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def outcome_of(folder: Path) -> dict[str, Any] | None:
    """How a run ended; None while it has not."""
    path = folder / "done.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def surroundings() -> dict[str, Any]:
    """What may change numbers or speed, besides the config."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,  # pyright: ignore[reportAttributeAccessIssue]
        "gpu": gpu,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "command": sys.argv,
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
