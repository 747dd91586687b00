"""Checkpoints: safetensors and JSON, written whole or not at all, never a pickle.

A checkpoint is a folder step-00001234 of `tensors.safetensors` and `state.json`, which also holds a
checksum of the tensors. It is written beside its place, synced to the disk and renamed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sftheory.core.errors import InputError
from sftheory.lm import shard_files
from sftheory.lm.shard_files import checksum
from sftheory.lm.shards import Pieces, whole

TENSORS, STATE = "tensors.safetensors", "state.json"


def write(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """A checkpoint of a nested state of whole tensors, numbers and texts.

    Raises:
        InputError: the disk is full, or the folder cannot be written; nothing is left behind.
    """
    from safetensors.torch import save_file

    found: dict[str, Any] = {}
    tree = packed(state, found, "")
    tensors = {name: _on_host(value) for name, value in found.items()}
    own, final = unfinished(folder, step), folder / f"step-{step:08d}"
    with told(own, final):
        own.mkdir(parents=True, exist_ok=True)
        save_file(tensors, own / TENSORS)
        record = {"step": step, "crc32": checksum(own / TENSORS), "state": tree}
        complete(own, final, record, [TENSORS])
    return final


def unfinished(folder: Path, step: int) -> Path:
    """Where this process writes a checkpoint before it gets its name."""
    return folder / f".unfinished-{step:08d}-{os.getpid()}"


def complete(own: Path, final: Path, record: dict[str, Any], names: Iterable[str]) -> None:
    """Writes the record beside the files `names`, waits for the disk, and gives the name."""
    (own / STATE).write_text(json.dumps(record), encoding="utf-8")
    for name in (*names, STATE):
        _sync(own / name)
    if final.exists():  # written before a resume; the same step gives the same bits
        shutil.rmtree(own)
        return
    own.rename(final)
    _sync(final.parent)


@contextlib.contextmanager
def told(own: Path, final: Path) -> Iterator[None]:
    """A context of writing `own`, which deletes it and says one sentence where that fails."""
    try:
        yield
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)
        raise InputError(
            f"Cannot write the checkpoint {final}: {error.strerror or error}; make room there and "
            f"start the same command again."
        ) from None
    except Exception as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(own, ignore_errors=True)
        if type(error).__module__.startswith("safetensors"):
            raise InputError(
                f"Cannot write the checkpoint {final}: {error}; make room there and start the same "
                f"command again."
            ) from None
        raise


def read(folder: Path, step: int) -> dict[str, Any]:
    """The state of a checkpoint, of shards too, as whole tensors on the host.

    Raises:
        InputError: it is not there, or damaged.
    """
    from safetensors.torch import load_file

    def load(path: Path, record: dict[str, Any]) -> dict[str, Any]:
        if shard_files.FORMAT in record:
            return shard_files.read_whole(path, record[shard_files.FORMAT])
        if checksum(path / TENSORS) != record["crc32"]:
            raise ValueError("its checksum is another")
        return load_file(path / TENSORS)

    return read_by(load, folder, step)


def read_by(
    load: Callable[[Path, dict[str, Any]], dict[str, Any]], folder: Path, step: int
) -> dict[str, Any]:
    """The state of a checkpoint, whose tensors `load` reads from its folder and record.

    Raises:
        InputError: it is not there, or damaged.
    """
    path = folder / f"step-{step:08d}"
    if not path.is_dir():
        known = ", ".join(map(str, steps(folder))) or "none"
        raise InputError(f"There is no checkpoint of step {step} in {folder}; there are {known}.")
    try:
        record = json.loads((path / STATE).read_text(encoding="utf-8"))
        return unpacked(record["state"], load(path, record))
    except Exception as error:
        raise InputError(
            f"The checkpoint {path} is damaged ({error}); take another step, or delete it."
        ) from None


def latest(
    folder: Path, look: Callable[[Path, int], Any] | None = None
) -> tuple[int, Any, list[str]] | None:
    """Step and state of the last checkpoint that can be read, and what is wrong with later ones.

    Args:
        folder: of the checkpoints.
        look: what is done with one instead of reading it.
    """
    complaints = []
    for step in reversed(steps(folder)):
        try:
            return step, (look or read)(folder, step), complaints
        except InputError as error:
            complaints.append(str(error))
    if complaints:
        raise InputError(f"No checkpoint in {folder} can be read: {complaints[0]}")
    return None


def steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, in order."""
    return sorted(int(path.name[5:]) for path in folder.glob("step-*") if path.name[5:].isdecimal())


def prune(folder: Path, keep: int, kept: Iterable[int]) -> None:
    """Delete all but the last `keep` checkpoints and those of the steps `kept`."""
    kept = set(kept)
    loose = [step for step in steps(folder) if step not in kept]
    for step in loose[: max(0, len(loose) - keep)]:
        shutil.rmtree(folder / f"step-{step:08d}", ignore_errors=True)
    for old in folder.glob(".unfinished-*"):
        shutil.rmtree(old, ignore_errors=True)


def set_aside(folder: Path, after: int) -> None:
    """Rename the checkpoints of later steps, which cannot be read, so that they are made again."""
    for step in steps(folder):
        if step > after:
            shutil.rmtree(folder / f"damaged-{step:08d}", ignore_errors=True)
            (folder / f"step-{step:08d}").rename(folder / f"damaged-{step:08d}")


def packed(value: Any, tensors: dict[str, Any], path: str) -> Any:
    """A nested value as JSON, with its tensors put aside under the names of their places."""
    if isinstance(value, Tensor | Pieces):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, dict):
        return {"entries": [[k, packed(v, tensors, f"{path}/{k}")] for k, v in value.items()]}
    if isinstance(value, (list, tuple)):
        name = "tuple" if isinstance(value, tuple) else "list"
        return {name: [packed(v, tensors, f"{path}/{i}") for i, v in enumerate(value)]}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    raise InputError(f"A {type(value).__name__} at {path} cannot be saved; use numbers or tensors.")


def unpacked(value: Any, tensors: dict[str, Any]) -> Any:
    """What `packed` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "float":
        return float.fromhex(inner)
    if kind == "entries":
        return {k: unpacked(v, tensors) for k, v in inner}
    parts = [unpacked(v, tensors) for v in inner]
    return tuple(parts) if kind == "tuple" else parts


def state_hash(state: dict[str, Any]) -> str:
    """A sha256 of every bit of a state; of shards all processes must ask."""
    import hashlib

    tensors: dict[str, Any] = {}
    tree = json.dumps(packed(state, tensors, ""))
    digest = hashlib.sha256(tree.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(_on_host(tensors[name]).reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _on_host(value: Any) -> Tensor:
    tensor = value.whole() if isinstance(value, Pieces) else whole(value)
    return tensor.cpu().contiguous().clone()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
