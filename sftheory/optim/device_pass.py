r"""The step of `arithmetic` on CUDA in one pass and one launch, where Triton is installed.

Lists move y, z, v and scratch several times; the kernel of `device_kernel` moves 28 bytes for each
float32 parameter of schedule-free AdamW, for all tensors in one launch. Where the tensors are is a
table on the device. It is sent, from pinned memory, when an address has changed; numbers that are
tensors are read on the device: the host never waits.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import torch

from sftheory.optim.arithmetic import Direction, Move
from sftheory.optim.pieces import Row, Scratch

PLAIN = {torch.Tensor, torch.nn.Parameter}
DTYPE, DEVICE = attrgetter("dtype"), attrgetter("device")
DEVICES = {"cuda"}


def suits(rows: list[Row]) -> bool:
    """Whether the kernels take these tensors."""
    points = rows[0].keys()
    if torch.compiler.is_compiling() or rows[0]["g"].device.type not in DEVICES:
        return False
    if not _installed() or "y" not in points or "x" in points:
        return False
    tensors = [t for row in rows for t in row.values()]  # maps: the GPU may wait for this
    return (
        all(row.keys() == points for row in rows)
        and PLAIN.issuperset(map(type, tensors))
        and {torch.float32}.issuperset(map(DTYPE, tensors))
        and {rows[0]["g"].device}.issuperset(map(DEVICE, tensors))
        and all(map(torch.Tensor.is_contiguous, tensors))
    )


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


@cache
def works(device: torch.device) -> bool:
    """Whether a kernel can be built and run there: Triton needs a C compiler when it starts."""
    row = {k: torch.zeros(1, device=device) for k in ("y", "z", "g", "v")}
    try:
        step([row], Direction(1.0, 0.9, 1.0), Move(0.5, 0.0, 0.0, 0.5, 0.9, 0.9), Scratch())
    except Exception as problem:
        reason = str(problem).strip().partition("\n")[0]
        warnings.warn(
            f"Triton could not build the optimizer's kernel ({reason}); lists take its steps, "
            f"several times slower.",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


@dataclass
class Table:
    """Where the tensors of a step are, on the host and on the device.

    Attributes:
        host: int64, a row for each parameter, as in `device_kernel.COLUMNS`.
        sent: the same on the device.
        programs: int32 on the device, the row of each program.
        pinned: the memory that both were copied from.
    """

    host: np.ndarray
    sent: torch.Tensor
    programs: torch.Tensor
    pinned: tuple[torch.Tensor, torch.Tensor]


def step(rows: list[Row], how: Direction, move: Move, scratch: Scratch) -> None:
    """One step in place of contiguous float32 rows with y, g and, where they exist, z, v and m."""
    from sftheory.optim import device_kernel

    keep = {"v": how.beta2 is not None, "m": how.mu is not None}
    keys = [k for k in device_kernel.COLUMNS if k in rows[0] and keep.get(k, True)]
    first = rows[0]["y"]
    with torch.cuda.device_of(first):
        table = _table(rows, keys, scratch)
        if not table.programs.numel():
            return
        mu, beta2 = how.mu or 0.0, how.beta2 or 0.0
        ends = (how.decay_y, how.decay_z, move.toward, move.along_y, move.along_z)
        device_kernel.move[(table.programs.numel(),)](
            table.sent,
            table.programs,
            *(float(a) for a in (1 - mu, beta2, 1 - beta2)),
            *(_number(a, first.device) for a in (how.eps, *ends)),
            has_z="z" in keys,
            has_v="v" in keys,
            has_m="m" in keys,
            divides=how.divides,
            stored=sum(2**i for i, a in enumerate((*ends, how.eps)) if isinstance(a, torch.Tensor)),
            block=device_kernel.BLOCK,
            **device_kernel.OPTIONS,
        )


def total(rows: list[Row], what: int, scratch: Scratch) -> torch.Tensor:
    """Σ g (z - y), Σ |g| or Σ g² over all rows, as what is 0, 1 or 2; float64, on the device.

    A program sums its entries in float32.
    """
    from sftheory.optim import device_kernel

    first = rows[0]["y"]
    with torch.cuda.device_of(first):
        table = _table(rows, [k for k in ("y", "z", "g") if k in rows[0]], scratch)
        count = table.programs.numel()
        parts = torch.empty(count, dtype=torch.float32, device=first.device)
        if count:
            device_kernel.summed[(count,)](
                table.sent,
                table.programs,
                parts,
                what=what,
                block=device_kernel.BLOCK,
                **device_kernel.OPTIONS,
            )
        return parts.sum(dtype=torch.float64)


def _number(a: Any, device: torch.device) -> Any:
    return a.to(device, non_blocking=True) if isinstance(a, torch.Tensor) else float(a)


def _table(rows: list[Row], keys: list[str], scratch: Scratch) -> Table:
    """The table of these rows: the last one that began with this parameter, if it still holds."""
    from sftheory.optim.device_kernel import BLOCK, COLUMNS, EVEN, FIRST, LENGTH, WIDTH

    host = np.zeros((len(rows), WIDTH), np.int64)
    for key in keys:
        host[:, COLUMNS.index(key)] = list(map(torch.Tensor.data_ptr, map(itemgetter(key), rows)))
    host[:, LENGTH] = [row["y"].numel() for row in rows]
    programs = -(-host[:, LENGTH] // BLOCK)
    host[:, FIRST] = np.cumsum(programs) - programs
    host[:, EVEN] = (host[:, : len(COLUMNS)] % 16 == 0).all(axis=1)
    device = rows[0]["y"].device
    place = (device, int(host[0, 0]), *keys)
    last = scratch.tables.get(place)
    alike = last is not None and np.array_equal(last.host[:, LENGTH], host[:, LENGTH])
    if last is not None and alike and _capturing(device):
        scratch.captured.append(scratch.tables.pop(place))
        if not np.array_equal(last.host, host):
            last.pinned[0].copy_(torch.from_numpy(host))
            last.sent.copy_(last.pinned[0], non_blocking=True)
            last.host = host
        return last
    if last is not None and np.array_equal(last.host, host):
        return last
    sent, pinned = _sent(host, device)
    if last is not None and alike:
        order, also = last.programs, last.pinned[1]
    else:
        order, also = _sent(np.repeat(np.arange(len(rows), dtype=np.int32), programs), device)
    table = scratch.tables[place] = Table(host, sent, order, (pinned, also))
    return table


def _capturing(device: torch.device) -> bool:
    """Whether the step becomes part of a graph, whose replays read its table, copy included.

    Then the table of the step before, which is at hand, is theirs from now on: memory cannot be
    pinned here, and another step must find none that only a replay fills.
    """
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def _sent(array: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The array on the device, on its way there, and the memory that it is copied from."""
    host = torch.from_numpy(array)
    host = host.pin_memory() if device.type == "cuda" else host.clone()
    return host.to(device, non_blocking=True), host
