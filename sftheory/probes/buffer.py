"""Rows that leave the device without anyone waiting for them."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor


class RowBuffer:
    """A device buffer (rows, width) that is copied out when it is full, and read one filling later.

    On CUDA the copy goes to pinned memory with an event behind it. The stream keeps the order, so
    that the next rows may overwrite the buffer at once.
    """

    def __init__(self, rows: int, width: int, device: torch.device, dtype: torch.dtype) -> None:
        self._rows = torch.empty((rows, width), device=device, dtype=dtype)
        self._labels: list[int] = []
        self._leaving: deque[tuple[list[int], Tensor, Any]] = deque()

    def append(self, label: int, row: Tensor) -> list[tuple[list[int], Tensor]]:
        """Store one row; returns what has arrived on the host: labels and rows."""
        self._rows[len(self._labels)].copy_(row)
        self._labels.append(label)
        if len(self._labels) < len(self._rows):
            return []
        arrived = self._arrive()
        self._leave()
        return arrived

    def drain(self) -> list[tuple[list[int], Tensor]]:
        """Everything stored and not yet returned; this waits for the device."""
        self._leave()
        return self._arrive()

    def _leave(self) -> None:
        if not self._labels:
            return
        filled = self._rows[: len(self._labels)]
        event = None
        if filled.is_cuda:
            host = torch.empty(filled.shape, dtype=filled.dtype, pin_memory=True)
            host.copy_(filled, non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(filled.device))
        else:
            host = filled.to("cpu", copy=True)
        self._leaving.append((self._labels, host, event))
        self._labels = []

    def _arrive(self) -> list[tuple[list[int], Tensor]]:
        arrived = []
        while self._leaving:
            labels, host, event = self._leaving.popleft()
            if event is not None:
                event.synchronize()
            arrived.append((labels, host))
        return arrived
