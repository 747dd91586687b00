"""What a probe was asked, and everything that follows from which parameters there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from sftheory.core.errors import InputError
from sftheory.probes.chosen import Chosen, choose
from sftheory.probes.coefficients import on_device
from sftheory.probes.evaluating import Evaluation, Taken
from sftheory.probes.hessian import curvatures
from sftheory.probes.inner_products import is_sharded
from sftheory.probes.layout import read_layout
from sftheory.probes.modules import Modules
from sftheory.probes.one_step import OneStep
from sftheory.probes.reading import Pair, asked_by
from sftheory.probes.sequences import Sequences
from sftheory.probes.tallying import Tally
from sftheory.probes.vectors import Vectors


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
        if modules is not None and not modules:
            raise InputError("modules is empty; name at least one, or pass None for all.")
        chosen = choose(metrics, has_sequences)
        return Question(chosen, modules, *asked_by(chosen, has_sequences))


class Plan:
    """Products, rows and module tables for one set of parameters."""

    def __init__(
        self,
        question: Question,
        optimizer: torch.optim.Optimizer,
        model: Module,
        sequences: Sequences,
        start: dict[int, Tensor],
    ) -> None:
        self._question, self._optimizer, self._model = question, optimizer, model
        self.layout = read_layout(optimizer, model, question.modules)
        parameters = self.layout.parameters
        if question.curvatures and any(map(is_sharded, parameters)):
            raise InputError("Sharpness needs whole parameters, these are sharded; leave it out.")
        self.modules = Modules(self.layout)
        device, dtype = self.modules.device, self.modules.dtype
        pairs = question.products
        self.vectors = Vectors(self.layout, optimizer, sequences, pairs, start)
        common = self.layout, self.vectors, pairs, device, dtype
        along = Tally.suits(optimizer, self.layout, pairs)
        self.products = Tally(*common, optimizer) if along else OneStep(*common)
        self.keys = [(m, metric.name) for metric in question.metrics for m in self.layout.modules]
        self.rows = Evaluation(question.metrics, self.modules, sequences.exist)
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

    def take(
        self,
        step: int,
        coefficients: list[tuple[Any, Any, Any]],
        scale: Any,
        gap: Any,
        backwards: int,
        batches: int,
    ) -> list[tuple[list[int], Tensor]]:
        """Store one step; returns the rows that have arrived on the host, in the order of `keys`.

        Coefficients that are tensors are copied: their owner may change them in place.
        """
        device, dtype = self.modules.device, self.modules.dtype
        if scale is not None:
            scale = on_device(scale, device, dtype)
        own = [
            [on_device(v, device, dtype).clone() if isinstance(v, Tensor) else v for v in values]
            for values in zip(*coefficients, strict=True)
        ]
        found = self.products.finish(scale)
        return self.rows.append(Taken(step, found, own, gap, backwards, batches, self._curvature))
