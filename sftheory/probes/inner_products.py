"""Inner products of parameter-shaped vectors, in pieces, without waiting for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PIECE = 1 << 24  # entries; bounds the scratch memory
_AT_ONCE = 1 << 22  # entries that one compiled pass takes, so that few copies wait for it


def is_sharded(tensor: Any) -> bool:
    """Whether it is a DTensor, whose module takes a second to import."""
    return hasattr(tensor, "device_mesh")


def local(tensor: Any, like: Any = None) -> Tensor:
    """The part of a tensor on this rank, detached; `like` is the parameter whose shards it has."""
    tensor = tensor.detach()
    if is_sharded(tensor):
        if is_sharded(like) and tensor.placements != like.placements:
            tensor = tensor.redistribute(placements=like.placements)
        tensor = tensor.to_local()
    return tensor.to_dense() if tensor.is_sparse else tensor


def flat(tensor: Tensor) -> Tensor:
    """A real vector with the tensor's entries."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor)
    return tensor.reshape(-1)


def inner_products(
    pairs: Sequence[tuple[str, str]],
    vectors: Iterable[Callable[[str], Any] | None],
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """<a, b> for each pair of names and each parameter.

    Args:
        pairs: P pairs of names.
        vectors: for each of n parameters a function name -> tensor, or -> (plus, minus), which
            stands for their difference; None where the parameter has no such vectors.
        device: where the result lives.
        dtype: its precision.

    Returns:
        (P, n), zero for parameters without vectors.
    """
    if device.type == "cpu":
        return torch.from_numpy(in_one_pass(pairs, vectors).T).to(dtype)
    return one_by_one(pairs, vectors, device, dtype)


def one_by_one(
    pairs: Sequence[tuple[str, str]],
    vectors: Iterable[Callable[[str], Any] | None],
    device: torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """`inner_products` on any device, by operations of torch."""
    nothing = [torch.zeros((), dtype=dtype, device=device)] * len(pairs)
    columns: list[Tensor] = []
    for vector in vectors:
        sums = nothing if vector is None else _products(pairs, vector)
        columns += [value.to(device, dtype, non_blocking=True) for value in sums]
    if not columns:
        return torch.zeros((len(pairs), 0), dtype=dtype, device=device)
    return torch.stack(columns).view(-1, len(pairs)).T


def _products(pairs: Sequence[tuple[str, str]], vector: Callable[[str], Any]) -> list[Tensor]:
    names = {name for pair in pairs for name in pair}
    whole = {name: tuple(map(flat, _two(vector(name)))) for name in names}
    first = next(iter(whole.values()))[0]
    n, exact = first.numel(), _exact(first)
    parts: list[list[Tensor]] = [[] for _ in pairs]
    for start in range(0, max(n, 1), _PIECE):
        end = min(start + _PIECE, n)
        cut = {name: _difference(two, start, end, exact) for name, two in whole.items()}
        for sums, (a, b) in zip(parts, pairs, strict=True):
            sums.append(torch.dot(cut[a], cut[b]))
    if len(parts[0]) == 1:
        return [sums[0] for sums in parts]
    wide = exact if first.device.type == "mps" else torch.float64
    return list(torch.stack([torch.stack(sums) for sums in parts]).to(wide).sum(1).unbind())


def in_one_pass(
    pairs: Sequence[tuple[str, str]], vectors: Iterable[Callable[[str], Any] | None]
) -> np.ndarray:
    """`inner_products` on processors, (n, P), compiled."""
    from sftheory.probes.one_pass import products  # numba takes a second to import

    names = sorted({name for pair in pairs for name in pair})
    places = [(names.index(a), names.index(b)) for a, b in pairs]
    tables, waiting, entries, precision = [np.zeros((0, len(pairs)))], [], 0, None
    for vector in vectors:
        own = None if vector is None else [_two(vector(name)) for name in names]
        if own is not None:
            exact = _exact(own[0][0])
            if entries > _AT_ONCE or precision not in (None, exact):
                tables.append(products(waiting, places))
                waiting, entries = [], 0
            own = [tuple([_in_memory(v, exact) for v in two]) for two in own]
            precision, entries = exact, entries + own[0][0].numel()
        waiting.append(own)
    return np.concatenate([*tables, products(waiting, places)])


def _exact(vector: Tensor) -> torch.dtype:
    return torch.float64 if vector.dtype == torch.float64 else torch.float32


def _in_memory(vector: Tensor, exact: torch.dtype) -> Tensor:
    """The vector, or a copy of it, such that all its entries follow its first."""
    if vector.dtype == exact and vector.is_contiguous() and vector.device.type == "cpu":
        return vector
    return flat(vector).to("cpu", exact).contiguous()


def _two(vector: Any) -> tuple[Tensor, ...]:
    return vector if isinstance(vector, tuple) else (vector,)


def _difference(two: tuple[Tensor, ...], start: int, end: int, dtype: torch.dtype) -> Tensor:
    plus, *minus = (v[start:end].to(dtype) for v in two)
    return plus - minus[0] if minus else plus


def sum_over_shards(products: Tensor, parameters: Sequence[Any]) -> Tensor:
    """Local products (P, n) -> those of the whole parameters, on every rank.

    One all-reduce for each mesh dimension over which something is sharded; what is replicated over
    it counts once. All ranks must call this.
    """
    columns: dict[Any, list[int]] = {}
    for i, p in enumerate(parameters):
        if is_sharded(p):
            columns.setdefault(p.device_mesh, []).append(i)
    for mesh, where in columns.items():
        sharded = [[q.is_shard(None) for q in parameters[i].placements] for i in where]
        for dim in range(mesh.ndim):
            if not any(row[dim] for row in sharded):
                continue
            part = torch.stack(
                [
                    products[:, i] if row[dim] else products[:, i] / mesh.size(dim)
                    for i, row in zip(where, sharded, strict=True)
                ]
            )
            torch.distributed.all_reduce(part, group=mesh.get_group(dim))
            products = _with_columns(products, where, part)
    return products


def _with_columns(products: Tensor, where: Sequence[int], rows: Tensor) -> Tensor:
    columns = list(products.unbind(1))
    for i, row in zip(where, rows.unbind(0), strict=True):
        columns[i] = row
    return torch.stack(columns, dim=1)
