"""The tensors of a sharded checkpoint: each process writes its own, any number of them reads.

The files are those of torch.distributed.checkpoint. A record beside them says along which axis a
tensor is sharded, of which pieces a vector of all parameters is made, and the checksum of each
file. Nothing in it depends on how many processes wrote it.
"""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import inspect
import warnings
import zlib
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from sftheory.lm.shards import Pieces, is_sharded

FORMAT = "shards"


def save(folder: Path, tensors: dict[str, Any]) -> dict[str, Any]:
    """Every process writes what it holds; returns the record. All processes must call this.

    Raises:
        OSError: a process cannot write; it is raised by all.
    """
    import torch.distributed.checkpoint as dcp

    single: dict[str, Any] = {}
    pieces: dict[str, list[str]] = {}
    for name, value in tensors.items():
        if isinstance(value, Pieces):
            pieces[name] = [f"{name}/{part}" for part in value]
            single |= {f"{name}/{part}": tensor for part, tensor in value.items()}
        else:
            single[name] = value.detach()
    axes = {name: t.placements[0].dim for name, t in single.items() if is_sharded(t)}
    try:
        dcp.save(single, storage_writer=dcp.FileSystemWriter(folder))
    except dcp.CheckpointException as error:  # no Exception, so that nobody else catches it
        cause = next(iter(error.failures.values()))[0]
        raise OSError(0, getattr(cause, "strerror", None) or str(cause)) from None
    mine = folder.glob(f"__{dist.get_rank()}_*")
    sums: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(sums, {path.name: checksum(path) for path in mine})
    files = {name: crc for part in sums for name, crc in part.items()}
    return {"files": files, "axes": axes, "pieces": pieces}


def check(folder: Path, record: dict[str, Any]) -> None:
    """Raises ValueError or OSError where a file is not the one that was written."""
    for name, crc in record["files"].items():
        if checksum(folder / name) != crc:
            raise ValueError(f"the checksum of {name} is another")
    _metadata(folder)


def read_whole(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """All tensors, whole and on the host, in one process or in each of several.

    Raises:
        ValueError: a file is damaged.
    """
    check(folder, record)
    found = _metadata(folder)
    tensors: dict[str, Any] = {
        name: torch.empty(size, dtype=t) for name, (size, t) in found.items()
    }
    _load(tensors, folder, alone=True)
    stacked = {name: record["axes"][parts[0]] for name, parts in record["pieces"].items()}
    for name, parts in record["pieces"].items():
        own = [tensors.pop(part).flatten(stacked[name]) for part in parts]
        tensors[name] = torch.cat(own, dim=stacked[name])
    return tensors


def read_shards(folder: Path, record: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The tensors sharded over the processes that there are now; all of them must call this."""
    from torch.distributed import init_device_mesh
    from torch.distributed.tensor import Shard, empty

    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    tensors: dict[str, Any] = {}
    for name, (size, dtype) in _metadata(folder).items():
        axis = record["axes"].get(name)
        if axis is None:
            tensors[name] = torch.empty(size, dtype=dtype)
        else:
            tensors[name] = empty(size, dtype=dtype, device_mesh=mesh, placements=[Shard(axis)])
    _load(tensors, folder, alone=False)
    for name, parts in record["pieces"].items():
        own = {part.removeprefix(f"{name}/"): tensors.pop(part) for part in parts}
        tensors[name] = Pieces(own)
    return tensors


def checksum(path: Path) -> int:
    """The crc32 of a file."""
    value = 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            value = zlib.crc32(block, value)
    return value


def _metadata(folder: Path) -> dict[str, tuple[torch.Size, torch.dtype]]:
    import torch.distributed.checkpoint as dcp

    entries: Any = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
    return {name: (entry.size, entry.properties.dtype) for name, entry in entries.items()}


def _load(tensors: dict[str, Any], folder: Path, *, alone: bool) -> None:
    import torch.distributed.checkpoint as dcp

    known = inspect.signature(dcp.load).parameters
    how: Any = {"no_dist": True} if alone and "no_dist" in known else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says that one process reads alone
            dcp.load(tensors, storage_reader=dcp.FileSystemReader(folder), **how)
    except dcp.CheckpointException as error:
        raise ValueError(str(next(iter(error.failures.values()))[0])) from None
