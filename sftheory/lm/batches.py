"""Samples of the corpus as tensors on the device of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sftheory.lm.order import Order

RESIDENT = 2**31  # bytes of tokens that may live on an accelerator


class Batches:
    """Called with the number of a first sample and a count, gives (count, T + 1) int64 tokens.

    On an accelerator the corpus is kept there where it fits, so that only places are copied.

    Args:
        tokens: (n,) token numbers of 8 or 16 bits.
        context: T.
        seed: of the order.
        device: where batches are wanted.
        resident: whether the corpus is kept there; None decides.
    """

    def __init__(
        self,
        tokens: NDArray[Any],
        context: int,
        seed: int,
        device: torch.device,
        *,
        resident: bool | None = None,
    ) -> None:
        self._tokens, self._device = tokens, device
        self.order = Order(len(tokens), context, seed)
        self._within = np.arange(context + 1)
        if resident is None:
            resident = device.type != "cpu" and tokens.nbytes <= RESIDENT
        self._resident: Tensor | None = None
        if resident:
            bits = np.uint8 if tokens.itemsize == 1 else np.int16  # not every torch has uint16
            self._resident = torch.from_numpy(np.array(tokens).view(bits)).to(device)
            self._steps = torch.arange(context + 1, device=device)

    def __call__(self, first: int, count: int) -> Tensor:
        starts = self.order.starts(first, count)
        if self._resident is not None:
            found = self._resident[self._moved(torch.from_numpy(starts))[:, None] + self._steps]
            return found.to(torch.int64) & 0xFFFF
        found = self._tokens[starts[:, None] + self._within].astype(np.int64)
        return self._moved(torch.from_numpy(found))

    def _moved(self, tensor: Tensor) -> Tensor:
        if self._device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)
