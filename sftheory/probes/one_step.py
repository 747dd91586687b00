"""The inner products of one logged step, taken before and after the optimizer moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from sftheory.probes.inner_products import inner_products, local, sum_over_shards
from sftheory.probes.layout import Layout
from sftheory.probes.reading import Pair
from sftheory.probes.sequences import Sequences

_TRUE_GRADIENT = {"g", "first"}


def _kind(pair: Pair) -> str:
    names = set(pair)
    if "first" in names:
        return "first"
    if "g" in names:
        return "backward"
    if "used" in names:
        return "used"
    return "after" if any(name.startswith("dw") for name in names) else "before"


class OneStep:
    """Products (pairs, parameters) that are filled in stages, for one layout.

    Stages: "first" and "backward" when a backward pass has ended, "before" the step, "after" it,
    and "used" for those with the gradient that the step was given.
    """

    def __init__(
        self,
        layout: Layout,
        optimizer: torch.optim.Optimizer,
        sequences: Sequences,
        pairs: Sequence[Pair],
        device: torch.device,
        dtype: torch.dtype,
        start: dict[int, Tensor],
    ) -> None:
        self._layout, self._optimizer, self._sequences = layout, optimizer, sequences
        self._device, self._dtype = device, dtype
        self.pairs: dict[str, list[Pair]] = {}
        for pair in pairs:
            self.pairs.setdefault(_kind(pair), []).append(pair)
        moving = {
            name for kind in ("after", "used") for p in self.pairs.get(kind, ()) for name in p
        }
        self._kept: dict[str, list[Tensor]] = {
            point: [torch.empty_like(local(p)) for p in layout.parameters]
            for point in ("", "x", "z")
            if {f"{name}.{point}".rstrip(".") for name in ("w", "dw", "moved")} & moving
        }
        self.start: dict[int, Tensor] = {}  # parameters that were here before keep theirs
        if any("moved" in name for pair in pairs for name in pair):
            self.start = {
                id(p): start[id(p)] if id(p) in start else local(p).clone()
                for p in layout.parameters
            }
        self._copies: list[Tensor | None] | None = None
        self._overwritten = True  # until a step has shown that it leaves gradients alone
        self._found: dict[str, tuple[Tensor, tuple[bool, ...]]] = {}

    def clear(self) -> None:
        """Forget the last step."""
        self._found, self._copies = {}, None

    def backward_ended(self, first: bool) -> None:
        """The gradients are true now."""
        if first:
            self._fill("first", self._gradient_vectors)
        self._fill("backward", self._gradient_vectors)

    def keep_gradients(self) -> None:
        """Copy the gradients that the step will see, if this optimizer may overwrite them."""
        if self._overwritten and "used" in self.pairs:
            self._copies = [
                None if p.grad is None else local(p.grad, p).clone()
                for p in self._layout.parameters
            ]
        self._versions = [
            None if p.grad is None else p.grad._version for p in self._layout.parameters
        ]

    def before(self) -> None:
        """The optimizer is about to move."""
        for point, copies in self._kept.items():
            for copy, here in zip(copies, self._points(point), strict=True):
                copy.copy_(local(here))
        self._fill("before", lambda i: self._before_vectors(i, self._kept))
        self.keep_gradients()

    def after(self) -> None:
        """The optimizer has moved."""
        points = {point: self._points(point) for point in self._kept}
        gradients = self._copies or [
            None if p.grad is None else local(p.grad, p) for p in self._layout.parameters
        ]
        kept = [None if p.grad is None else p.grad._version for p in self._layout.parameters]
        if self._copies is None and kept != self._versions:
            gradients = [None] * len(gradients)  # lost: copied from the next step on
        self._overwritten = kept != self._versions

        def vectors(i: int) -> Callable[[str], Any]:
            def vector(name: str) -> Any:
                kind, _, point = name.partition(".")
                if kind == "used":
                    return gradients[i]
                kept = self._kept[point][i]
                if kind == "dw":
                    return local(points[point][i]), kept
                return (kept, self._start_of(i)) if kind == "moved" else kept

            return vector

        self._fill("after", vectors)
        self._fill("used", vectors, [g is not None for g in gradients])

    def finish(self, scale: Tensor) -> list[tuple[list[Pair], Tensor, tuple[bool, ...]]]:
        """What was found, over all shards: for each stage its pairs, products and who has them."""
        stages = list(self._found)
        if not stages:
            return []
        table = torch.cat([self._found[stage][0] for stage in stages])
        table = sum_over_shards(table, self._layout.parameters)
        answers, row = [], 0
        for stage in stages:
            pairs = self.pairs[stage]
            part, row = table[row : row + len(pairs)], row + len(pairs)
            if stage in ("first", "backward"):
                part = part / torch.stack([_power(scale, pair, part) for pair in pairs])[:, None]
            answers.append((pairs, part, self._found[stage][1]))
        return answers

    def _fill(
        self,
        stage: str,
        vectors: Callable[[int], Callable[[str], Any]],
        present: Sequence[bool] | None = None,
    ) -> None:
        pairs = self.pairs.get(stage)
        if not pairs:
            return
        parameters = self._layout.parameters
        if present is None and stage in ("first", "backward"):
            present = [p.grad is not None for p in parameters]
        present = tuple(present or [True] * len(parameters))
        opened = (vectors(i) if present[i] else None for i in range(len(parameters)))
        self._found[stage] = inner_products(pairs, opened, self._device, self._dtype), present

    def _gradient_vectors(self, i: int) -> Callable[[str], Any]:
        p = self._layout.parameters[i]
        others = self._before_vectors(i, {})

        def vector(name: str) -> Any:
            if name in _TRUE_GRADIENT:
                assert p.grad is not None
                return local(p.grad, p)
            return others(name)

        return vector

    def _before_vectors(self, i: int, copied: Mapping[str, list[Tensor]]) -> Callable[[str], Any]:
        def at(point: str) -> Tensor:
            return copied[point][i] if point in copied else local(self._point(i, point))

        def vector(name: str) -> Any:
            if name in ("z-x", "z-y"):
                return at("z"), at(name[2:].replace("y", ""))
            kind, _, point = name.partition(".")
            here = at(point)
            return (here, self._start_of(i)) if kind == "moved" else here

        return vector

    def _start_of(self, i: int) -> Tensor:
        return self.start[id(self._layout.parameters[i])]

    def _points(self, point: str) -> list[Tensor]:
        return [self._point(i, point) for i in range(len(self._layout.parameters))]

    def _point(self, i: int, point: str) -> Tensor:
        p = self._layout.parameters[i]
        if not point:
            return p
        group = self._optimizer.param_groups[self._layout.groups[i]]
        return self._sequences.point(p, group, point)


def _power(scale: Tensor, pair: Pair, like: Tensor) -> Tensor:
    factor = torch.ones((), dtype=like.dtype, device=like.device)
    for name in pair:
        if name in _TRUE_GRADIENT:
            factor = factor * scale
    return factor
