"""The inner products of one logged step, taken before and after the optimizer moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sftheory.probes.inner_products import inner_products, is_sharded, sum_over_shards
from sftheory.probes.layout import Layout
from sftheory.probes.reading import Pair
from sftheory.probes.stages import stage_of, unscaled
from sftheory.probes.vectors import Vectors, points_of

Found = tuple[list[Pair], Callable[[], Tensor], tuple[bool, ...]]


class OneStep:
    """Products (pairs, parameters) that are filled in stages, for one layout.

    Stages: "first" and "backward" when a backward pass has ended, "before" the step, "after" it,
    and "used" for those with the gradient that the step was given.
    """

    def __init__(
        self,
        layout: Layout,
        vectors: Vectors,
        pairs: Sequence[Pair],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._parameters, self.vectors = layout.parameters, vectors
        self._device, self._dtype = device, dtype
        self._stages: dict[str, list[Pair]] = {}
        for pair in pairs:
            self._stages.setdefault(stage_of(pair), []).append(pair)
        self._points = points_of(self._pairs("after", "used"))
        if {*points_of(self._pairs("before"))} <= {*self._points}:  # copies are read with the rest
            self._stages["after"] = self._pairs("before", "after")
            self._stages.pop("before", None)
        self._sharded = any(map(is_sharded, layout.parameters))
        self._overwritten = True  # until a step has shown that it leaves gradients alone
        self._versions: list[Any] = []
        self._found: dict[tuple[str, ...], Found] = {}

    def clear(self) -> None:
        """Forget the last step."""
        self._found = {}
        self.vectors.forget()

    def backward_ended(self, first: bool, inside: bool = False) -> None:
        """The gradients are true now; `inside` of a step, where a closure made them."""
        if not inside:
            self.vectors.forget()
        there = [p.grad is not None for p in self._parameters]
        self._fill(there, *(["first"] * first), "backward")

    def keep_gradients(self) -> None:
        """Copy the gradients that the step will see, if this optimizer may overwrite them."""
        if self._overwritten and "used" in self._stages:
            self.vectors.copy_gradients()
        self._versions = self._gradient_versions()

    def before(self, scaled: bool = False) -> None:
        """The optimizer is about to move; if `scaled` a GradScaler has divided the gradients."""
        self.vectors.forget()
        self.keep_gradients()
        everyone = range(len(self._parameters))
        for i in everyone:
            self.vectors.keep(i, self._points)
        self._fill([True for _ in everyone], "before")

    def after(self) -> None:
        """The optimizer has moved."""
        there = self._given()
        if all(there):
            self._fill(there, "after", "used")
        else:
            self._fill([True] * len(there), "after")
            self._fill(there, "used")

    def finish(self, scale: Tensor | None) -> list[Found]:
        """What was found, over all shards: pairs, a function that gives products, and who has them.

        True gradients are multiplied by the scale; None where they are not.
        """
        found = list(self._found.values())
        if not found or (scale is None and not self._sharded):
            return found
        table = torch.cat([read() for _, read, _ in found])
        if self._sharded:
            table = sum_over_shards(table, self._parameters)
        if scale is not None:
            table = unscaled(table, [pair for pairs, _, _ in found for pair in pairs], scale)
        parts = table.split([len(pairs) for pairs, _, _ in found])
        return [
            (pairs, partial(_itself, part), there)
            for (pairs, _, there), part in zip(found, parts, strict=True)
        ]

    def _pairs(self, *stages: str) -> list[Pair]:
        return [pair for stage in stages for pair in self._stages.get(stage, ())]

    def _gradient_versions(self) -> list[Any]:
        grads = [p.grad for p in self._parameters]
        return [None if g is None else (id(g), g._version) for g in grads]

    def _given(self) -> list[bool]:
        """Which parameters have the gradient that the step was given."""
        there = [version is not None for version in self._versions]
        self._overwritten = self._gradient_versions() != self._versions
        if self._overwritten and self.vectors.copies is None:
            return [False] * len(there)  # lost: copied from the next step on
        return there

    def _fill(self, present: Sequence[bool], *stages: str) -> None:
        pairs = self._pairs(*stages)
        if pairs:
            opened = (self.vectors.of(i) if ok else None for i, ok in enumerate(present))
            table = inner_products(pairs, opened, self._device, self._dtype)
            self._found[stages] = pairs, partial(_itself, table), tuple(present)


def _itself(table: Tensor) -> Tensor:
    return table
