"""A line on the terminal: step, loss, tokens per second, MFU, time left; and TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

from sftheory.core.errors import InputError
from sftheory.lm.devices import peak_flops
from sftheory.lm.session import Session


class Progress:
    """Measures speed without evaluations, and shows it where that is wanted.

    Args:
        session: the run.
        folder: of the run, for TensorBoard where run.tensorboard asks for it.
        shown: whether to draw a line; never where stderr is no terminal.
    """

    def __init__(self, session: Session, folder: Path, *, shown: bool) -> None:
        from rich.console import Console

        self._session, config = session, session.config
        self._tokens = config.run.batch * config.model.context
        first, peak = session.world.first, peak_flops(session.device)
        self._board: Any = _board(folder) if config.run.tensorboard and first else None
        self._peak = None if peak is None else peak * session.world.size
        self._console = Console(stderr=True, quiet=not first)
        self._shown = shown and first and self._console.is_terminal
        self._bar: Any = None
        self._since, self._at = time.perf_counter(), session.step

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._since, self._at = time.perf_counter(), self._session.step
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=self._console,
            transient=True,
            disable=not self._shown,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._session.config.id, total=self._session.last, said="")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        if self._board is not None:
            self._board.close()

    def pause(self, seconds: float) -> None:
        """Time that was not spent on steps."""
        self._since += seconds

    def speed(self, loss: float) -> dict[str, Any]:
        """The row of speed.jsonl since the last one: tokens/s, MFU, seconds."""
        now, step = time.perf_counter(), self._session.step
        seconds = max(now - self._since, 1e-9)
        rate = (step - self._at) * self._tokens / seconds
        mfu = rate * self._session.flops_per_token / self._peak if self._peak else None
        self._since, self._at = now, step
        said = f"loss {loss:.4f}  {rate:,.0f} tokens/s"
        said += f"  MFU {mfu:.1%}" if mfu is not None else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, said=said)
        return {"step": step, "tokens_per_second": rate, "mfu": mfu, "seconds": seconds}

    def show(self, rows: list[dict[str, Any]]) -> None:
        """Rows of losses for TensorBoard."""
        if self._board is None:
            return
        for row in rows:
            self._board.add_scalar(f"{row['split']}/{row['average']}", row["loss"], row["step"])

    def say(self, text: str) -> None:
        """One line for the reader, above the bar."""
        self._console.print(text, highlight=False, soft_wrap=True)


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        raise InputError(
            "run.tensorboard needs tensorboard; pip install 'sftheory[logs]', or set it to false."
        ) from None
    return SummaryWriter(str(folder / "tensorboard"))
