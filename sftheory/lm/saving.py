"""Checkpoints of a session: written by one process, or by each of several that hold shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sftheory.lm import checkpoints, shard_files
from sftheory.lm.session import Session


def write(session: Session, folder: Path, facts: dict[str, Any] | None = None) -> None:
    """A checkpoint of where the session is, with `facts` besides; all processes must call this.

    Raises:
        InputError: it cannot be written; what was saved before is as it was.
    """
    world, step, state = session.world, session.step, session.state() | (facts or {})
    if world.kind != "fsdp":
        world.alone(lambda: checkpoints.write(folder, step, state))
        return
    tensors: dict[str, Any] = {}
    tree = checkpoints.packed(state, tensors, "")
    final = folder / f"step-{step:08d}"
    own = Path(world.told(lambda: str(checkpoints.unfinished(folder, step))))

    def alone(act: Callable[[], None]) -> None:
        def told() -> None:
            with checkpoints.told(own, final):
                act()

        world.alone(told)

    alone(lambda: own.mkdir(parents=True, exist_ok=True))
    with checkpoints.told(own, final):
        record = {"step": step, shard_files.FORMAT: shard_files.save(own, tensors), "state": tree}
    alone(lambda: checkpoints.complete(own, final, record, []))


def latest(session: Session, folder: Path) -> tuple[int, dict[str, Any], list[str]] | None:
    """Step and state of the last checkpoint that is whole, and what is wrong with later ones.

    The first process looks, so that all take the same one.
    """
    world = session.world
    if world.size == 1 and world.kind != "fsdp":
        return checkpoints.latest(folder)

    def look() -> tuple[int, list[str]] | None:
        found = checkpoints.latest(folder, lambda *at: checkpoints.read_by(_checked, *at))
        return None if found is None else (found[0], found[2])

    found = world.told(look)
    if found is None:
        return None
    step, complaints = found

    def shards(path: Path, record: dict[str, Any]) -> dict[str, Any]:
        return shard_files.read_shards(path, record[shard_files.FORMAT], session.device)

    if world.kind == "fsdp":
        return step, checkpoints.read_by(shards, folder, step), complaints
    return step, world.agreed(lambda: checkpoints.read(folder, step)), complaints


def state_hash(session: Session) -> str:
    """The sha256 of the session's state; all processes must ask."""
    return checkpoints.state_hash(session.state())


def _checked(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """No tensors, only the question whether they can be read."""
    if shard_files.FORMAT in record:
        shard_files.check(path, record[shard_files.FORMAT])
    elif shard_files.checksum(path / checkpoints.TENSORS) != record["crc32"]:
        raise ValueError("its checksum is another")
    return _Nothing()


class _Nothing(dict[str, Any]):
    def __missing__(self, key: str) -> None:
        return None
