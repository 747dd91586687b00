"""What a probe was asked, and everything that follows from which parameters there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from sftheory.core.errors import InputError
from sftheory.probes.buffer import RowBuffer
from sftheory.probes.chosen import Chosen, choose
from sftheory.probes.coefficients import on_device
from sftheory.probes.hessian import curvatures
from sftheory.probes.inner_products import is_sharded
from sftheory.probes.layout import read_layout
from sftheory.probes.modules import Modules, RunningMeans
from sftheory.probes.one_step import OneStep
from sftheory.probes.reading import Pair, Reading, asked_by
from sftheory.probes.sequences import Sequences

_ROWS = 64


@dataclass(frozen=True)
class Question:
    """Metrics and modules, with what the metrics need."""

    metrics: list[Chosen]
    modules: Sequence[str] | None
    products: list[Pair]
    curvatures: set[bool]

    @staticmethod
    def of(
        metrics: Sequence[str] | None, modules: Sequence[str] | None, has_sequences: bool
    ) -> Question:
        """Raises InputError where there is no such metric."""
        if isinstance(modules, str):
            raise InputError(f"modules={modules!r} is one name; pass a list of names.")
        chosen = choose(metrics, has_sequences)
        return Question(chosen, modules, *asked_by(chosen, has_sequences))


class Plan:
    """Products, buffer and module tables for one set of parameters."""

    def __init__(
        self,
        question: Question,
        optimizer: torch.optim.Optimizer,
        model: Module,
        sequences: Sequences,
        start: dict[int, Tensor],
    ) -> None:
        self._question, self._optimizer, self._model = question, optimizer, model
        self._has_sequences = sequences.exist
        self.layout = read_layout(optimizer, model, question.modules)
        parameters = self.layout.parameters
        if question.curvatures and any(map(is_sharded, parameters)):
            raise InputError("Sharpness needs whole parameters, these are sharded; leave it out.")
        self.modules = Modules(self.layout)
        device, dtype = self.modules.device, self.modules.dtype
        self.products = OneStep(
            self.layout, optimizer, sequences, question.products, device, dtype, start
        )
        self.keys = [(m, metric.name) for metric in question.metrics for m in self.layout.modules]
        self.buffer = RowBuffer(_ROWS, len(self.keys), device, dtype)
        self._means = RunningMeans()
        self._curvature: dict[bool, Tensor] = {}

    def sample(self, loss: Callable[[], Tensor] | None) -> None:
        """The curvatures that were asked for, at the parameters as they are."""
        if loss is not None and self._question.curvatures:
            self._curvature = curvatures(
                loss,
                self._model,
                self.layout,
                self._optimizer,
                self._question.curvatures,
                every_module=self._question.modules is not None,
            )

    def row(
        self,
        coefficients: list[tuple[Any, Any, Any]],
        *,
        scale: Any,
        gap: Any,
        backwards: int,
        batches: int,
    ) -> Tensor:
        """The values of one step, in the order of `keys`."""
        modules = self.modules
        products: dict[Pair, Tensor] = {}
        scale, gap = (on_device(value, modules.device, modules.dtype) for value in (scale, gap))
        for pairs, table, present in self.products.finish(scale):
            products.update(zip(pairs, modules.sums(table, present), strict=True))
        gamma, beta, c = (modules.common(values) for values in zip(*coefficients, strict=True))
        reading = Reading(
            product=lambda pair: products.get(pair, modules.undefined),
            curvature=lambda *, preconditioned: self._curvature[preconditioned],
            average=self._means.take,
            gamma=gamma,
            beta=beta,
            c=c,
            size=modules.size,
            whole=modules.whole,
            gap=gap,
            backwards=backwards,
            batches=batches,
            has_sequences=self._has_sequences,
        )
        return torch.cat([metric(reading) for metric in self._question.metrics])
