"""The probe of a run: its rows go to the run's folder and survive a stop."""

from __future__ import annotations

from typing import Any

from sftheory.lm.session import Session
from sftheory.lm.store import RunFolder
from sftheory.probes import probe

MODULES = ("", "embedding", "blocks")


class _Rows:
    """A sink that appends to probe.jsonl; its frame is empty, which makes a flush cheap."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def write(self, steps: Any, keys: Any, values: Any) -> None:
        rows = (
            {"step": step, "module": module, "metric": metric, "value": value}
            for step, row in zip(steps, values.tolist(), strict=True)
            for (module, metric), value in zip(keys, row, strict=True)
        )
        self._folder.append("probe", rows)

    def frame(self) -> None:
        return None

    def close(self) -> None:
        """The file is closed after each write."""


def attached(session: Session, folder: RunFolder) -> Any:
    """The probe that [run] asks for, or None; step t of its rows is the point after t steps."""
    run = session.config.run
    if not run.probe_every:
        return None
    metrics, trained = (
        list(run.probe) or None,
        [name for name, _ in session.model.named_parameters()],
    )
    modules = [m for m in MODULES if any(name.startswith(m) for name in trained)]
    made = probe(session.optimizer, session.model, run.probe_every, metrics, modules, _Rows(folder))
    made.step = session.step
    return made
