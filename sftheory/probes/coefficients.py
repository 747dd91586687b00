"""gamma, beta and c of every step, and the schedule that they imply."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftheory.core.tableau import Tableau
from sftheory.probes.buffer import RowBuffer
from sftheory.probes.sequences import Sequences

_ROWS = 1024


class Coefficients:
    """(gamma, beta, c) of one parameter group, one row for each step."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._host = array("d")
        self._device, self._dtype = device, dtype
        self._buffer: RowBuffer | None = None  # once a coefficient lives on the device

    def append(self, row: tuple[Any, Any, Any]) -> None:
        """Store the coefficients of a step."""
        if self._buffer is None and not any(isinstance(value, Tensor) for value in row):
            self._host.extend(row)
            return
        if self._buffer is None:
            self._buffer = RowBuffer(_ROWS, 3, self._device, self._dtype)
        values = torch.stack([on_device(value, self._device, self._dtype) for value in row])
        self._take(self._buffer.append(0, values))

    def tableau(self) -> Tableau:
        """The steps so far, as a method; this waits for the device."""
        if self._buffer is not None:
            self._take(self._buffer.drain())
        return Tableau(*np.array(self._host).reshape(-1, 3).T)

    def _take(self, arrived: list[tuple[list[int], Tensor]]) -> None:
        for _, rows in arrived:
            self._host.extend(rows.double().ravel().tolist())


def on_device(value: Any, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A number or a tensor with one entry, as a scalar on the device; nobody waits."""
    if isinstance(value, Tensor):
        return value.detach().to(device, dtype, non_blocking=True).reshape(())
    return torch.full((), float(value), device=device, dtype=dtype)


def last_step(
    sequences: Sequences, group: dict[str, Any], updates_before: int | None
) -> tuple[Any, Any, Any]:
    """The coefficients of the last step; a step that moved nothing has gamma = c = 0."""
    gamma, beta, c = sequences.coefficients(group)
    updates = sequences.updates(group)
    return (
        (0.0, beta, 0.0) if updates is not None and updates == updates_before else (gamma, beta, c)
    )
