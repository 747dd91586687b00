"""Rows that leave the device without anyone waiting for them."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor


class Leaving:
    """Rows on their way to the host; they are asked for when the next ones leave.

    On CUDA they are copied to pinned memory with an event behind the copy. The stream keeps the
    order, so that their memory may be used again at once.
    """

    def __init__(self) -> None:
        self._leaving: deque[tuple[list[int], Tensor, Any]] = deque()

    def put(self, labels: list[int], rows: Tensor) -> None:
        """Send labelled rows (labels, width) off."""
        event = None
        if rows.is_cuda:
            host = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
            host.copy_(rows, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(rows.device))
        else:
            host = rows.to("cpu", copy=True)
        self._leaving.append((labels, host, event))

    def arrive(self) -> list[tuple[list[int], Tensor]]:
        """What was sent off; this waits for it."""
        arrived = []
        while self._leaving:
            labels, host, event = self._leaving.popleft()
            if event is not None:
                event.synchronize()
            arrived.append((labels, host))
        return arrived


class RowBuffer:
    """A device buffer (rows, width), copied out when it is full and read one filling later."""

    def __init__(self, rows: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        self._rows = torch.empty((rows, width), device=device, dtype=dtype)
        self._labels: list[int] = []
        self._leaving = Leaving()

    def append(self, label: int, row: Tensor) -> list[tuple[list[int], Tensor]]:
        """Store one row; returns what has arrived on the host: labels and rows."""
        self._rows[len(self._labels)].copy_(row)
        self._labels.append(label)
        if len(self._labels) < len(self._rows):
            return []
        arrived = self._leaving.arrive()
        self._leave()
        return arrived

    def drain(self) -> list[tuple[list[int], Tensor]]:
        """Everything stored and not yet returned; this waits for the device."""
        self._leave()
        return self._leaving.arrive()

    def _leave(self) -> None:
        if self._labels:
            self._leaving.put(self._labels, self._rows[: len(self._labels)])
            self._labels = []
