"""Which execution of a step is used: one compiled pass on processor or CUDA, or lists in chunks."""

from __future__ import annotations

from typing import Any

import torch

from sftheory.optim import arithmetic, device_pass, fused, pieces
from sftheory.optim.pieces import Row, Scratch

BIG = 2**18  # entries from which a compiled pass repays importing the compiler


def run(
    rows: list[Row],
    how: arithmetic.Direction,
    move: arithmetic.Move,
    scratch: Scratch,
    compile: bool | None,
    owners: list[torch.Tensor],
    tally: Any = None,
) -> None:
    """One step of the parameters in `rows`, all of one dtype and device.

    Args:
        rows: the tensors of each parameter, as `arithmetic.step` names them.
        how: the direction.
        move: how far along it.
        scratch: buffers that are kept between steps.
        compile: True and False choose; None compiles where it is worth it.
        owners: the parameters of the rows.
        tally: what a probe wants to know of this step, as in `sftheory.optim.tally`.
    """
    if tally is not None and _sums(rows, how, move, compile, owners, tally):
        return
    if on_device(rows, compile):
        device_pass.step(rows, how, move, scratch)
        return
    flats: list[Row] = []
    for row in rows:
        cut = row if pieces.is_simple(row) else pieces.flat(row)
        if cut is None:
            _in_lists([pieces.whole(row)], how, move, Scratch())
        elif cut["g"].numel():
            flats.append(cut)
    if not flats:
        return
    if _one_pass(flats, how, move, compile):
        from sftheory.optim import one_pass  # numba takes a second to import

        one_pass.step(flats, how, move)
        return
    if on_device(flats, compile):
        device_pass.step(flats, how, move, scratch)
        return
    on_cpu = flats[0]["g"].device.type == "cpu"
    for batch in pieces.batches(flats, pieces.CHUNK if on_cpu else pieces.ACCELERATOR_CHUNK):
        _in_lists(batch, how, move, scratch)


def _sums(
    rows: list[Row],
    how: arithmetic.Direction,
    move: arithmetic.Move,
    compile: bool | None,
    owners: list[torch.Tensor],
    tally: Any,
) -> bool:
    """Whether one pass could take the step and its sums; else what will move is kept."""
    simple = all(pieces.is_simple(row) and row["g"].numel() for row in rows)
    if not simple or not _one_pass(rows, how, move, compile):
        for p in owners:
            tally.keep(p)
        return False
    from sftheory.optim import one_pass

    starts = [tally.starts.get(id(p)) for p in owners]
    sums = one_pass.step(rows, how, move, starts, tally.few)
    assert sums is not None
    tally.sums.update({id(p): row for p, row in zip(owners, sums, strict=True)})
    return True


def _in_lists(
    batch: list[Row], how: arithmetic.Direction, move: arithmetic.Move, scratch: Scratch
) -> None:
    lists = {k: [row[k] for row in batch] for k in batch[0]}
    low = "p" in lists
    needs = how.beta2 is not None or low or arithmetic.decays(how)
    wide = lists["z" if low else "y"]
    buffers = scratch.like(wide, 1 + low, wide[0].dtype) if needs else [[wide[0]]]
    if fused.suits(lists, how, move):
        fused.step(lists, how, move, buffers[0])
    else:
        arithmetic.step(lists, how, move, buffers)


def _one_pass(
    rows: list[Row], how: arithmetic.Direction, move: arithmetic.Move, compile: bool | None
) -> bool:
    """Whether the compiled pass can and should take these rows."""
    first = rows[0]
    if compile is False or first["g"].device.type != "cpu" or torch.compiler.is_compiling():
        return False
    if not {"y", "z"} <= first.keys() or "x" in first:
        return False
    if any(row["g"].dtype != row["y"].dtype for row in rows):
        return False
    if first["y"].dtype not in (torch.float32, torch.float64):
        return False
    if not how.divides or (how.mu is not None and how.beta2 is None):
        return False
    return bool(compile) or sum(row["y"].numel() for row in rows) >= BIG


def on_device(rows: list[Row], compile: bool | None) -> bool:
    """Whether the kernel for CUDA can and should take these rows."""
    if compile is False or not device_pass.suits(rows):
        return False
    if compile:
        return True
    size = sum(row["y"].numel() for row in rows)
    return size >= BIG and device_pass.works(rows[0]["y"].device)
