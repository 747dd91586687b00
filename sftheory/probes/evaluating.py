"""The values of many logged steps at once, so that a step only stores what it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from sftheory.probes.buffer import Leaving
from sftheory.probes.chosen import Chosen
from sftheory.probes.modules import Modules, RunningMeans
from sftheory.probes.one_step import Found
from sftheory.probes.reading import Pair, Reading

_STEPS = 64


@dataclass(frozen=True)
class Taken:
    """What one logged step was; the fields are those of a `Reading`.

    Attributes:
        step: its number.
        found: pairs, what gives their products (pairs, parameters), and who has them.
        coefficients: gamma, beta and c, each for every group.
    """

    step: int
    found: list[Found]
    coefficients: Sequence[Sequence[Any]]
    gap: Any
    backwards: int
    batches: int
    curvature: dict[bool, Tensor]

    def kind(self) -> Any:
        """Steps of one kind are evaluated together."""
        there = [(pairs, present) for pairs, _, present in self.found]
        return self.backwards, self.batches, there, bool(self.curvature)


class Evaluation:
    """Steps that were taken and rows on their way: (steps, metrics x modules)."""

    def __init__(self, metrics: list[Chosen], modules: Modules, has_sequences: bool) -> None:
        self._metrics, self._modules, self._has_sequences = metrics, modules, has_sequences
        self._means = RunningMeans(len(modules.size))
        self._taken: list[Taken] = []
        self._leaving = Leaving()

    def append(self, taken: Taken) -> list[tuple[list[int], Tensor]]:
        """Store one step; returns what has arrived on the host: steps and rows."""
        self._taken.append(taken)
        if len(self._taken) < _STEPS:
            return []
        arrived = self._leaving.arrive()
        self._leave()
        return arrived

    def drain(self) -> list[tuple[list[int], Tensor]]:
        """Everything stored and not yet returned; this waits for the device."""
        self._leave()
        return self._leaving.arrive()

    @torch.no_grad()
    def _leave(self) -> None:
        taken, self._taken = self._taken, []
        if taken:
            rows = [self._rows([*alike]) for _, alike in groupby(taken, Taken.kind)]
            self._leaving.put([one.step for one in taken], torch.cat(rows))

    def _rows(self, taken: list[Taken]) -> Tensor:
        """Steps of one kind; each step's modules follow on those of the step before."""
        modules, first = self._modules, taken[0]
        products: dict[Pair, Tensor] = {}
        for k, (pairs, _, present) in enumerate(first.found):
            sums = modules.sums([one.found[k][1]() for one in taken], present)
            products.update(zip(pairs, sums, strict=True))
        each = zip(*(one.coefficients for one in taken), strict=True)
        gamma, beta, c = (modules.common(values) for values in each)
        gap = modules.scalars([one.gap for one in taken]).repeat_interleave(len(modules.size))
        undefined = torch.full_like(gamma, torch.nan)
        reading = Reading(
            product=lambda pair: products.get(pair, undefined),
            curvature=lambda *, preconditioned: torch.cat(
                [one.curvature[preconditioned] for one in taken]
            ),
            average=self._means.take,
            gamma=gamma,
            beta=beta,
            c=c,
            size=modules.size.repeat(len(taken)),
            whole=modules.whole.repeat(len(taken)),
            gap=gap,
            backwards=first.backwards,
            batches=first.batches,
            has_sequences=self._has_sequences,
        )
        values = [metric(reading).reshape(len(taken), -1) for metric in self._metrics]
        return torch.cat(values, dim=1)
