"""The loop of a run: a step, then whatever the calendar wants after it."""

from __future__ import annotations

import gc
import math
import time
from signal import Signals as Signal
from typing import Any

import torch

from sftheory.lm import checkpoints, saving
from sftheory.lm.calendar import Calendar
from sftheory.lm.probing import attached
from sftheory.lm.progress import Progress
from sftheory.lm.session import Session
from sftheory.lm.signals import Signals
from sftheory.lm.store import RunFolder


class NotFiniteError(Exception):
    """A loss or gradient is NaN or inf; `step` is the step that it belongs to."""

    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


class Loop:
    """Moves a session to its last step and writes its folder."""

    def __init__(self, folder: RunFolder, session: Session, progress: Progress) -> None:
        self.folder, self.session, self.config = folder, session, session.config
        self.calendar = Calendar(self.config.run, session.first)
        self.progress = progress
        self._probe = attached(session, folder)
        # on an accelerator to look at a loss is to wait for it, so it is looked at in `_log`
        self._looks = session.device.type == "cpu" or self.config.run.nonfinite == "skip"

    def run(self, signals: Signals, *, resumed: bool) -> None:
        """To the last step, or to a signal.

        Raises:
            FloatingPointError: a loss is not finite, and the policy is "raise".
        """
        session = self.session
        if not resumed:
            self._evaluate()
            if self.config.start.run:  # so that a branch does not need its trunk again
                self._save()
        gc.collect()
        gc.freeze()
        try:
            while session.step < session.last:
                self._step()
                self._after_step()
                if arrived := session.world.largest(signals.arrived):
                    self._save()
                    self.progress.say(
                        f"{Signal(arrived).name} came; step {session.step} is saved, and the same "
                        f"command goes on from it."
                    )
                    return
            self._save()
            self._finish("finished")
        except NotFiniteError as found:
            self._diverge(found.step)
        finally:
            gc.unfreeze()
            if self._probe is not None:
                self._probe.close()

    def _step(self) -> None:
        session = self.session
        loss, norm = session.gradient()
        if self._probe is not None:
            self._probe.observe(loss)
        finite = not self._looks or math.isfinite(float(loss) + float(norm))
        if not finite and self.config.run.nonfinite != "skip":
            raise NotFiniteError(session.step + 1)
        session.move(loss, norm, skip=not finite)

    def _after_step(self) -> None:
        session, calendar, step = self.session, self.calendar, self.session.step
        if calendar.stores(step, self.config.averages.trajectory):
            self.folder.store_point(step, session.flat.point(), session.lr)
        if calendar.logs(step):
            self._log()
        if calendar.evaluates(step):
            self._evaluate()
        if calendar.saves(step):
            self._save()

    def _log(self) -> None:
        session = self.session
        if not session.losses:  # every step since the last row was skipped
            return
        losses = torch.stack(session.losses).double().cpu()
        norms = torch.stack(session.norms).double().cpu()
        bad = ~(losses.isfinite() & norms.isfinite())
        if bad.any():
            raise NotFiniteError(session.step - len(losses) + int(bad.int().argmax()) + 1)
        session.losses, session.norms = [], []
        loss = float(losses.mean())
        row = self._row("train", loss, "last") | {"grad_norm": float(norms.mean())}
        self.folder.append("metrics", [row | {"skipped": session.skipped}])
        self.folder.append("speed", [self.progress.speed(loss)])

    def _evaluate(self) -> None:
        session, began = self.session, time.perf_counter()
        rows = [self._row("val", session.evaluate(point), point) for point in session.points()]
        self.folder.append("metrics", rows)
        self.progress.show(rows)
        self.progress.pause(time.perf_counter() - began)

    def _row(self, split: str, loss: float, average: str) -> dict[str, Any]:
        session = self.session
        return {
            "step": session.step,
            "tokens": session.samples * self.config.model.context,
            "split": split,
            "average": average,
            "loss": loss,
            "bits_per_byte": session.tokens.bits_per_byte(loss),
            "lr": session.last_lr(),
        }

    def _save(self) -> None:
        began, session = time.perf_counter(), self.session
        if self._probe is not None:
            self._probe.frame()  # writes what it still holds
        self.folder.sync()
        saving.write(session, self.folder.checkpoints)
        if session.world.first:
            checkpoints.prune(self.folder.checkpoints, self.config.run.keep, self.calendar.kept)
        self.progress.pause(time.perf_counter() - began)

    def _diverge(self, step: int) -> None:
        """Saves what is needed to look into a loss that is not finite, and ends the run."""
        session, place = self.session, self.folder.path / "diagnosis"
        samples = session.samples + (step - session.step - 1) * self.config.run.batch
        facts = {"bad_step": step, "first_sample": samples}
        saving.write(session, place, facts)
        if self.config.run.nonfinite == "stop":
            self._finish("diverged", step=step)
            return
        raise FloatingPointError(
            f"The loss or gradient of step {step} is not finite; lower optimizer.lr, or set "
            f"run.nonfinite to 'stop' or 'skip'; the state is in {place}."
        )

    def _finish(self, status: str, **facts: Any) -> None:
        session = self.session
        outcome = {"status": status, "step": session.step, **facts}
        outcome["state"] = saving.state_hash(session)
        session.world.alone(lambda: self.folder.finish(outcome))
