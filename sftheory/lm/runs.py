"""A run that was begun: its rows, checkpoints, models and averages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sftheory.core.errors import InputError
from sftheory.lm import checkpoints
from sftheory.lm.averages import averaged_later
from sftheory.lm.config import Config
from sftheory.lm.store import LOGS, check_unchanged, outcome_of, read_rows
from sftheory.lm.transformer import Transformer


def load(run_dir: str | Path) -> Run:
    """The run in a folder.

    Raises:
        InputError: there is no run, or its config.json was changed.
    """
    path = Path(run_dir)
    return Run(path, check_unchanged(path))


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Attributes:
        directory: its folder.
        config: what it was asked.
    """

    directory: Path
    config: Config

    @property
    def id(self) -> str:
        """The hash of the config, which is also the folder's name."""
        return self.config.id

    @property
    def status(self) -> str:
        """One of "finished", "diverged" and "unfinished"."""
        outcome = outcome_of(self.directory)
        return "unfinished" if outcome is None else outcome["status"]

    @property
    def step(self) -> int:
        """The last step that has a checkpoint, or 0."""
        return max(self.checkpoints(), default=0)

    @property
    def state_hash(self) -> str | None:
        """The sha256 of the last state; None while the run is unfinished."""
        return (outcome_of(self.directory) or {}).get("state")

    def frame(self, log: str = "metrics") -> Any:
        """The rows as polars: "metrics", "speed" or "probe".

        Metrics have step, tokens, split, average, loss, bits_per_byte, lr, and grad_norm in rows
        of the training loss.
        """
        import polars as pl

        if log not in LOGS:
            raise InputError(f"There is no log {log!r}; choose one of {', '.join(LOGS)}.")
        done = self.directory / f"{log}.parquet"
        if done.exists() and self.status != "unfinished":
            return pl.read_parquet(done)
        rows = list(read_rows(self.directory / f"{log}.jsonl"))
        return pl.DataFrame(rows, infer_schema_length=None)

    def loss(self, average: str = "last", split: str = "val") -> float:
        """The loss of an average at its last row, in nats per token."""
        import polars as pl

        rows = self.frame().filter((pl.col("average") == average) & (pl.col("split") == split))
        if not len(rows):
            known = sorted(self.frame()["average"].unique())
            raise InputError(f"The run has no rows of {average!r}; it has {', '.join(known)}.")
        return rows.sort("step")["loss"][-1]

    def checkpoints(self) -> list[int]:
        """The steps that have a checkpoint."""
        return checkpoints.steps(self.directory / "checkpoints")

    def state(self, step: int | str = "end") -> dict[str, Any]:
        """The state of a checkpoint; "end" is the last one.

        Raises:
            InputError: there is none, or it is damaged.
        """
        if step == "end":
            if not self.checkpoints():
                raise InputError(f"The run {self.directory} has no checkpoint yet; train it first.")
            step = self.checkpoints()[-1]
        if not isinstance(step, int):
            raise InputError(f"A step is a whole number or 'end', not {step!r}.")
        return checkpoints.read(self.directory / "checkpoints", step)

    def model(self, average: str = "last", step: int | str = "end") -> Transformer:
        """The model with the weights of an average, in float32 on the processor.

        Of a run with [lora] its matrices are W + (alpha / r) B A, of the average of A and of B.

        Args:
            average: "last", "x" of a schedule-free run, or the name of an average.
            step: of the checkpoint.

        Raises:
            InputError: there is no such checkpoint or average.
        """
        from sftheory.lm.starting import weights_at

        return self._with(weights_at(self.config, self.state(step), average))

    def _with(self, weights: dict[str, Tensor]) -> Transformer:
        model = Transformer(self.config.model, weights["embedding"].shape[0])
        model.load_state_dict(weights)
        return model.eval()

    def trajectory(self) -> Iterator[tuple[int, Tensor, float]]:
        """The stored points: step, weights (n,) in bfloat16, lr of the step that led there."""
        from safetensors import safe_open

        for path in sorted((self.directory / "trajectory").glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                yield int(path.stem), file.get_tensor("theta"), float.fromhex(file.metadata()["lr"])

    def later_average(self, name: str) -> Transformer:
        """The model at an average of the stored points which the run did not keep.

        Raises:
            InputError: the run stored no points, or too few.
        """
        from sftheory.lm.starting import weights_of

        config = self.config
        theta = averaged_later(
            self.trajectory(),
            name,
            steps=config.run.steps,
            every=max(1, config.averages.trajectory),
            start=config.start.step,
        )
        return self._with(weights_of(config, self.state(), theta))
