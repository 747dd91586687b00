"""The validation loss at any point of a run: one scratch model, one graph, no deep copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftheory.lm.arranging import arranged
from sftheory.lm.parallel import World
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
        micro: windows of one process at once; 0 takes `batch`.
        world: the processes that share the windows; all of them must evaluate, and all get the
            same loss.
    """

    def __init__(
        self,
        scratch: Transformer,
        tokens: Tokens,
        count: int,
        batch: int,
        compiled: Callable[[Any], Any],
        *,
        micro: int = 0,
        world: World | None = None,
    ) -> None:
        self.model, self._world = scratch.eval(), world or World()
        T = scratch.shape.context
        length = min(T, len(tokens.val) - 1)
        fit = (len(tokens.val) - 1) // length
        wanted = min(fit, max(1, count // length))
        batch = min(batch, wanted)
        wanted -= wanted % batch  # one shape, so that one graph is compiled
        starts = np.linspace(0, len(tokens.val) - 1 - length, wanted).astype(np.int64)
        windows = np.stack([tokens.val[s : s + length + 1].astype(np.int64) for s in starts])
        size = math.gcd(batch, micro) if 0 < micro < batch else batch
        self._mine, self._count = self._shared(torch.from_numpy(windows).split(size))
        self.flat, self._loss = arranged(scratch, self._world, compiled, trains=False)

    def _shared(self, parts: Sequence[Tensor]) -> tuple[list[tuple[Tensor, bool]], int]:
        """The parts of this process, and how many there are.

        All processes have equally many, because all gather the weights together; one that has too
        few takes the last part again, which does not count.
        """
        world, device = self._world, self.model.cos.device
        rounds = -(-len(parts) // world.size)
        places = range(world.rank, rounds * world.size, world.size)
        last = len(parts) - 1
        return [(parts[min(i, last)].to(device), i <= last) for i in places], len(parts)

    @torch.no_grad()
    def __call__(self, theta: Tensor | None = None) -> float:
        """The loss in nats per token at weights like `flat.theta`; None leaves those that are."""
        if theta is not None:
            self.flat.put(theta)
        total = torch.zeros((), dtype=torch.float64, device=self.model.cos.device)
        for part, counts in self._mine:
            loss = self._loss(part)[1]
            if counts:
                total += loss
        return float(self._world.sum(total)) / self._count
