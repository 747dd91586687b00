"""One run from its config to its last row: begun, resumed, or already finished."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sftheory.core.errors import InputError
from sftheory.lm import checkpoints, saving
from sftheory.lm.config import Config
from sftheory.lm.loop import Loop
from sftheory.lm.parallel import World, joined
from sftheory.lm.progress import Progress
from sftheory.lm.runs import Run, load
from sftheory.lm.session import Session
from sftheory.lm.signals import Signals
from sftheory.lm.starting import begin
from sftheory.lm.store import Elsewhere, RunFolder, folder_of, outcome_of
from sftheory.lm.tokens import Tokens, prepare


def train(
    config: Config | None = None,
    resume: bool = True,
    out: str | Path = "runs",
    *,
    progress: bool = False,
) -> Run:
    """Train a small transformer; the same call again goes on, or returns the finished run.

    With run.parallel = "ddp" or "fsdp" all processes that torchrun started make this call.

    Args:
        config: what to run; None is the default, a 0.3M model on Python's own source.
        resume: go on from the last checkpoint; False deletes what is there.
        out: the folder of all runs, in which this one has its own, named by the config's hash.
        progress: a progress bar on the terminal.

    Returns:
        the run: its status is "finished"; "diverged", with run.nonfinite = "stop"; or "unfinished"
        after SIGTERM or SIGUSR1, at which a checkpoint was written.

    Raises:
        InputError: the config, corpus or folder cannot be used.
        FloatingPointError: the loss is NaN or inf, with run.nonfinite = "raise"; the state is in
            the folder `diagnosis`.
        LostError: another process of the run is gone; the same command goes on.

    Example:
        >>> import tempfile
        >>> sections = {"model": {"width": 16, "layers": 1, "heads": 1, "context": 16}}
        >>> sections |= {"data": {"limit": 50000, "eval_tokens": 256}, "run": {"steps": 3}}
        >>> with tempfile.TemporaryDirectory() as out:
        ...     run = train(Config.of(sections), out=out)
        ...     run.status, run.step
        ('finished', 3)
    """
    config = Config() if config is None else config
    if not isinstance(config, Config):
        raise InputError(f"train takes a Config, not {config!r}; write lm.Config.read(path).")
    with joined(config.run) as world, contextlib.ExitStack() as held:
        path = folder_of(out, config)
        folder = (RunFolder if world.first else Elsewhere)(path, config)

        def ended() -> bool:
            return outcome_of(path) is not None

        if not (resume and world.told(ended)):
            session = Session(config, _tokens(config, world), world)
            world.alone(lambda: held.enter_context(folder.opened(resume)))
            if not world.told(ended):  # another process may have finished it meanwhile
                _work(folder, session, shown=progress)
    return load(path)


def _tokens(config: Config, world: World) -> Tokens:
    tokens = world.agreed(lambda: prepare(config.data))
    if len(set(world.gathered(tokens.sha256))) > 1:
        raise InputError(
            "The processes of this run read different texts; put the same corpus on each machine."
        )
    return tokens


def _work(folder: RunFolder, session: Session, *, shown: bool) -> None:
    world, found = session.world, saving.latest(session, folder.checkpoints)
    if found is None:
        begin(session, folder.path.parent)
    else:
        session.load(found[1])
    progress = Progress(session, folder.path, shown=shown)
    loop = Loop(folder, session, progress)

    def take_up() -> None:
        folder.begin(session.tokens.sha256)
        if found is not None:
            for complaint in found[2]:
                progress.say(f"{complaint} Going on from step {found[0]}.")
            checkpoints.set_aside(folder.checkpoints, after=found[0])
        folder.forget_after(-1 if found is None else session.step)

    world.alone(take_up)
    with progress, Signals() as signals:
        loop.run(signals, resumed=found is not None)
