"""Tensors as flat pieces of bounded size, so that a step needs a fixed scratch and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch

CHUNK = 2**18  # entries; a few such buffers fit in a processor's cache
ACCELERATOR_CHUNK = 2**25  # there launches cost more than memory

Row = dict[str, torch.Tensor]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor: the shard of a DTensor, else the tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor  # pyright: ignore


def total(params: list[torch.Tensor], parts: list[torch.Tensor]) -> torch.Tensor:
    """The sum of one scalar per parameter, taken from its shard, over all shards on all ranks.

    Replicated parameters are counted once; what is sharded alike is reduced together.
    """
    sums: dict[tuple, torch.Tensor] = {}
    for p, part in zip(params, parts, strict=True):
        mesh = getattr(p, "device_mesh", None)
        axes = () if mesh is None else tuple(i for i, s in enumerate(p.placements) if s.is_shard())  # pyright: ignore
        key = (mesh, axes) if axes else ()
        sums[key] = sums[key] + part.to(sums[key].device) if key in sums else part
    for key, part in sums.items():
        for axis in key[1] if key else ():
            torch.distributed.all_reduce(part, group=key[0].get_group(axis))  # pyright: ignore
    first, *others = sums.values()
    for part in others:
        first = first + part.to(first.device)
    return first


def is_simple(row: Row) -> bool:
    """Whether the tensors are contiguous and real and no subclass of Tensor, as most are."""
    return all(
        type(t) in (torch.Tensor, torch.nn.Parameter) and t.is_contiguous() and not t.is_complex()
        for t in row.values()
    )


def flat(row: Row) -> Row | None:
    """The tensors of one parameter as flat real views in one order of entries.

    A tensor in another memory order than the first is copied to that order: this is only ever the
    gradient, which is read. None if the first does not fill its memory.
    """
    row = {k: local(t.detach()) for k, t in row.items()}
    row = {k: torch.view_as_real(t) if t.is_complex() else t for k, t in row.items()}
    lead = next(iter(row.values()))
    if all(t.is_contiguous() for t in row.values()):
        return {k: t.view(-1) for k, t in row.items()}
    order = sorted(range(lead.ndim), key=lead.stride, reverse=True)
    if not lead.permute(order).is_contiguous():
        return None
    for k, t in row.items():
        if not t.permute(order).is_contiguous():
            row[k] = torch.empty_like(lead, dtype=t.dtype).copy_(t)
    return {k: t.permute(order).view(-1) for k, t in row.items()}


def whole(row: Row) -> Row:
    """The tensors of one parameter that does not fill its memory, as they are."""
    row = {k: local(t.detach()) for k, t in row.items()}
    return {k: torch.view_as_real(t) if t.is_complex() else t for k, t in row.items()}


def batches(rows: Iterable[Row], chunk: int) -> Iterator[list[Row]]:
    """Rows cut and packed so that each batch has at most `chunk` entries."""
    batch: list[Row] = []
    used = 0
    for row in rows:
        size = row["g"].numel()
        if size > chunk:
            row = {k: t.view(-1) for k, t in row.items()}
        for start in range(0, size, chunk):
            length = min(chunk, size - start)
            if used + length > chunk and batch:
                yield batch
                batch, used = [], 0
            cut = row if length == size else {k: t[start : start + length] for k, t in row.items()}
            batch.append(cut)
            used += length
    if batch:
        yield batch


class Scratch:
    """Buffers of one chunk for each dtype and device, made when first needed.

    Attributes:
        tables: what `device_pass` knows of the addresses of a step; captured: those of graphs.
    """

    def __init__(self) -> None:
        self.buffers: dict[tuple[torch.device, torch.dtype], list[torch.Tensor]] = {}
        self.tables: dict[Any, Any] = {}
        self.captured: list[Any] = []

    def like(self, tensors: list[torch.Tensor], count: int, dtype: torch.dtype) -> list:
        """`count` lists of tensors shaped like flat `tensors`, all of one buffer each."""
        device, total = tensors[0].device, sum(t.numel() for t in tensors)
        buffers = self.buffers.setdefault((device, dtype), [])
        if len(buffers) < count or buffers[0].numel() < total:
            buffers[:] = [torch.empty(total, dtype=dtype, device=device) for _ in range(count)]
        lists = []
        for buffer in buffers[:count]:
            cuts, start = [], 0
            for t in tensors:
                cuts.append(buffer[start : start + t.numel()].view(t.shape))
                start += t.numel()
            lists.append(cuts)
        return lists
