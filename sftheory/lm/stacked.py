"""Runs of one small model that differ in their numbers, trained as one stack in one process.

Each has the folder, the id, the rows and the checkpoints that it would have alone, to rounding.
"""
# pyright: reportPrivateUsage=false

from __future__ import annotations

import contextlib
import gc
import time
from pathlib import Path
from signal import Signals as Signal
from typing import Any

from sftheory.lm import checkpoints, saving
from sftheory.lm.config import Config
from sftheory.lm.devices import compiler, settled
from sftheory.lm.loop import Loop, NotFiniteError
from sftheory.lm.progress import Progress
from sftheory.lm.runs import Run, load
from sftheory.lm.session import Session
from sftheory.lm.signals import Signals
from sftheory.lm.stack import Stack
from sftheory.lm.stackable import check_alike, check_small
from sftheory.lm.starting import begin
from sftheory.lm.store import RunFolder, folder_of, outcome_of
from sftheory.lm.tokens import prepare


def train_stacked(
    configs: list[Config], out: str | Path = "runs", *, progress: bool = False
) -> list[Run]:
    """Train runs that differ only in numbers at once; the same call again does what is left.

    They may differ in optimizer.lr, weight_decay and clip, in all of [schedule], in run.seed and
    data.seed, and in the trunk that they branch from. Runs whose last checkpoints are of different
    steps go on in stacks of their own, so that nothing is done twice.

    Args:
        configs: what to run.
        out: the folder of all runs, in which each has its own, named by its config's hash.
        progress: a progress bar on the terminal, of the first run.

    Returns:
        the runs, in the same order: each "finished", "diverged", or "unfinished" after a signal.

    Raises:
        InputError: they differ in another key, a model has more than 2M parameters, or a run
            cannot be trained alone either.

    Example:
        >>> import tempfile
        >>> sections = {"model": {"width": 16, "layers": 1, "heads": 1, "context": 16}}
        >>> sections |= {"data": {"limit": 50000, "eval_tokens": 256}}
        >>> one = Config.of({**sections, "run": {"steps": 3, "nonfinite": "stop"}})
        >>> with tempfile.TemporaryDirectory() as out:
        ...     runs = train_stacked([one, one.replaced({"optimizer.lr": 1e-3})], out)
        ...     [run.status for run in runs]
        ['finished', 'finished']
    """
    check_alike(configs)
    left = {c.id: c for c in configs if not outcome_of(folder_of(out, c))}
    if left:
        tokens = prepare(next(iter(left.values())).data)
        check_small(configs[0], tokens)
        with contextlib.ExitStack() as held:
            members = []
            for config in left.values():
                folder = RunFolder(folder_of(out, config), config)
                held.enter_context(folder.opened(True))
                if not outcome_of(folder.path):  # another process may have finished it meanwhile
                    members.append(Member(folder, Session(config, tokens)))
            with Signals() as signals:
                for group in _together(members):
                    if not signals.arrived:
                        Stacked(group).run(signals, shown=progress)
    return [load(folder_of(out, c)) for c in configs]


class Member(Loop):
    """What a run writes, while a stack moves its session."""

    def __init__(self, folder: RunFolder, session: Session) -> None:
        found = saving.latest(session, folder.checkpoints)
        if found is None:
            begin(session, folder.path.parent)
        else:
            session.load(found[1])
        self.resumed = found is not None
        super().__init__(folder, session, Progress(session, folder.path, shown=False))
        folder.begin(session.tokens.sha256)
        if found is not None:
            for complaint in found[2]:
                self.progress.say(f"{complaint} Going on from step {found[0]}.")
            checkpoints.set_aside(folder.checkpoints, after=found[0])
        folder.forget_after(session.step if self.resumed else -1)

    def record(self) -> None:
        """The rows and points of a step that need neither evaluation nor checkpoint."""
        session = self.session
        if self.calendar.stores(session.step, self.config.averages.trajectory):
            self.folder.store_point(session.step, session.flat.point(), session.lr)
        if self.calendar.logs(session.step):
            self._log()

    def tell(self, losses: dict[str, float]) -> None:
        """The rows of an evaluation."""
        rows = [self._row("val", loss, point) for point, loss in losses.items()]
        self.folder.append("metrics", rows)
        self.progress.show(rows)

    def save(self) -> None:
        """A checkpoint."""
        self.folder.sync()
        saving.write(self.session, self.folder.checkpoints)
        checkpoints.prune(self.folder.checkpoints, self.config.run.keep, self.calendar.kept)


class Stacked:
    """What `Loop` does, for members that are at the same step."""

    def __init__(self, members: list[Member]) -> None:
        self.members, self.first = members, members[0]
        self._wrap = compiler(settled(self.first.config.run)[2])
        self.stack = Stack([m.session for m in members], self._wrap)

    def run(self, signals: Signals, *, shown: bool) -> None:
        """To the last step, or to a signal."""
        first, last = self.first, self.first.session.last
        first.progress = Progress(first.session, first.folder.path, shown=shown)
        gc.collect()
        gc.freeze()
        with contextlib.ExitStack() as held:
            held.callback(gc.unfreeze)
            for member in self.members:
                held.enter_context(member.progress)
            if not first.resumed:
                self._evaluate()
                if first.config.start.run:  # so that a branch does not need its trunk again
                    self._save()
            while self.members and self.members[0].session.step < last:
                self._step()
                if signals.arrived:
                    self._save()
                    first.progress.say(
                        f"{Signal(signals.arrived).name} came; all runs of the stack are saved, "
                        f"and the same command goes on from there."
                    )
                    return
            self._save()
            for member in self.members:
                member._finish("finished")

    def _step(self) -> None:
        losses, norms = self.stack.gradient()
        if self.first._looks:
            fine = (losses + norms).isfinite().tolist()
            if not all(fine):  # the others make their gradient again
                shares = zip(self.members, fine, strict=True)
                self._drop({m: m.session.step + 1 for m, is_fine in shares if not is_fine})
                return
        self.stack.move(losses, norms)
        bad: dict[Member, int] = {}
        for member in self.members:
            try:
                member.record()
            except NotFiniteError as found:
                bad[member] = found.step
        if bad:
            self._drop(bad)
        if self.members and self.first.calendar.evaluates(self.members[0].session.step):
            self._evaluate()
        if self.members and self.first.calendar.saves(self.members[0].session.step):
            self._save()

    def _drop(self, bad: dict[Member, int]) -> None:
        """Ends the members whose loss of a step is not finite; the others go on without them."""
        for member, step in bad.items():
            member._diverge(step)
        self.members = [m for m in self.members if m not in bad]
        if self.members:
            self.stack = Stack([m.session for m in self.members], self._wrap)

    def _evaluate(self) -> None:
        began = time.perf_counter()
        points = self.members[0].session.points()
        losses = zip(*(self.stack.evaluate(point) for point in points), strict=True)
        for member, own in zip(self.members, losses, strict=True):
            member.tell(dict(zip(points, own, strict=True)))
        self._pause(began)

    def _save(self) -> None:
        began = time.perf_counter()
        for member in self.members:
            member.save()
        self._pause(began)

    def _pause(self, began: float) -> None:
        for member in self.members:
            member.progress.pause(time.perf_counter() - began)


def _together(members: list[Member]) -> list[list[Member]]:
    """Those that are at the same step, with the same points to evaluate."""
    groups: dict[Any, list[Member]] = {}
    for member in members:
        key = member.resumed, member.session.step, tuple(member.session.points())
        groups.setdefault(key, []).append(member)
    return list(groups.values())
