"""The validation loss at any point of a run: one scratch model, one graph, no deep copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftheory.lm.flat import Flat
from sftheory.lm.tokens import Tokens
from sftheory.lm.transformer import Transformer


class Evaluator:
    """Mean cross-entropy on evenly spaced windows of the validation tokens, the same every time.

    Args:
        scratch: a model of the run's shape, whose weights are overwritten.
        tokens: of the run.
        count: how many tokens to evaluate, at most all.
        batch: windows at once.
        compiled: wraps the scratch model's loss.
    """

    def __init__(
        self,
        scratch: Transformer,
        tokens: Tokens,
        count: int,
        batch: int,
        compiled: Callable[[Any], Any],
    ) -> None:
        self.model, self.flat = scratch.eval(), Flat(scratch)
        T = scratch.shape.context
        length = min(T, len(tokens.val) - 1)
        fit = (len(tokens.val) - 1) // length
        wanted = min(fit, max(1, count // length))
        batch = min(batch, wanted)
        wanted -= wanted % batch  # one shape, so that one graph is compiled
        starts = np.linspace(0, len(tokens.val) - 1 - length, wanted).astype(np.int64)
        windows = np.stack([tokens.val[s : s + length + 1].astype(np.int64) for s in starts])
        device = self.flat.theta.device
        self._parts = torch.from_numpy(windows).to(device).split(batch)
        self._loss = compiled(scratch.loss)

    @torch.no_grad()
    def __call__(self, theta: Tensor | None = None) -> float:
        """The loss in nats per token at (n,) weights; None takes those in the scratch model."""
        if theta is not None:
            self.flat.theta.copy_(theta)
        total = torch.zeros((), dtype=torch.float64, device=self.flat.theta.device)
        for part in self._parts:
            total += self._loss(part)[1]
        return float(total) / len(self._parts)
