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
from sftheory.probes.stages import TRUE_GRADIENT, stage_of, unscaled
from sftheory.probes.tallying import Tally


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
            self.pairs.setdefault(stage_of(pair), []).append(pair)
        moving = {
            name for kind in ("after", "used") for p in self.pairs.get(kind, ()) for name in p
        }
        self._points_kept = [
            point
            for point in ("", "x", "z")
            if {f"{name}.{point}".rstrip(".") for name in ("w", "dw", "moved")} & moving
        ]
        self._kept: dict[str, list[Any]] = {
            point: [None] * len(layout.parameters) for point in self._points_kept
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
        every = [pair for kind in self.pairs.values() for pair in kind]
        self._tally = Tally.of(optimizer, every, self.start, self._keep, layout.parameters)
        self._early: dict[tuple[str, int], Tensor] = {}  # products of what moved without sums
        self._seen: list[Any] = []
        self._unread: list[Any] | None = None  # versions of gradients that a step will sum
        self._waits = False  # whether the step may be the first to read the gradients
        self._alone = True  # whether nothing ever changed them between backward() and the step

    def clear(self) -> None:
        """Forget the last step."""
        self._found, self._copies, self._unread, self._seen = {}, None, None, []
        if self._tally is not None:
            self._optimizer.tally = None  # pyright: ignore[reportAttributeAccessIssue]

    def backward_ended(self, first: bool, inside: bool = False) -> None:
        """The gradients are true now.

        Where a step takes sums along they are read there, if so far nothing came between; a
        gradient that is then changed for the first time is missed once, and read here ever after.
        """
        if self._waits and first and not inside:
            self._unread = self._gradient_versions()
            return
        self._waits, self._unread = False, None
        if first:
            self._fill("first", self._gradient_vectors)
        self._fill("backward", self._gradient_vectors)
        if first and not inside and self._tally is not None:
            self._seen = self._gradient_versions()

    def _gradient_versions(self) -> list[Any]:
        grads = [p.grad for p in self._layout.parameters]
        return [None if g is None else (id(g), g._version) for g in grads]

    def keep_gradients(self) -> None:
        """Copy the gradients that the step will see, if this optimizer may overwrite them."""
        if self._overwritten and "used" in self.pairs:
            self._copies = [
                None if p.grad is None else local(p.grad, p).clone()
                for p in self._layout.parameters
            ]
        self._versions = self._gradient_versions()

    def before(self) -> None:
        """The optimizer is about to move."""
        self.keep_gradients()
        if self._tally is None:
            for i in range(len(self._layout.parameters)):
                self._keep(i)
            self._fill("before", lambda i: self._before_vectors(i, self._kept))
            return
        now = self._versions
        if (self._unread or self._seen or now) != now:
            self._alone, self._unread = False, None
        self._waits = self._alone and bool(self._unread or self._seen)
        self._early = {}
        self._tally.begin()
        self._optimizer.tally = self._tally  # pyright: ignore[reportAttributeAccessIssue]

    def _keep(self, i: int) -> None:
        """Copy the points of a parameter that is about to move."""
        for point, copies in self._kept.items():
            here = local(self._point(i, point))
            copy = copies[i]
            if copy is None or copy.shape != here.shape:
                copies[i] = here.clone()
            else:
                copy.copy_(here)
        if self._tally is not None:
            vectors = [self._gradient_vectors(i)]
            for stage in self._early_stages():
                found = inner_products(self.pairs[stage], vectors, self._device, self._dtype)
                self._early[stage, i] = found[:, 0]

    def _early_stages(self) -> list[str]:
        """What must be read before a parameter moves."""
        stages = ["before", "first", "backward"] if self._unread is not None else ["before"]
        return [stage for stage in stages if stage in self.pairs]

    def after(self) -> None:
        """The optimizer has moved."""
        gradients = self._copies or [
            None if p.grad is None else local(p.grad, p) for p in self._layout.parameters
        ]
        kept = self._gradient_versions()
        if self._copies is None and kept != self._versions:
            gradients = [None] * len(gradients)  # lost: copied from the next step on
        self._overwritten = kept != self._versions
        moved = [self._tally is None or i in self._tally.kept for i in range(len(gradients))]

        def vectors(i: int) -> Callable[[str], Any]:
            def vector(name: str) -> Any:
                kind, _, point = name.partition(".")
                if kind == "used":
                    return gradients[i]
                now = local(self._point(i, point))
                kept = self._kept[point][i] if moved[i] else now
                if kind == "dw":
                    return now, kept
                return (kept, self._start_of(i)) if kind == "moved" else kept

            return vector

        there = [g is not None for g in gradients]
        if self._tally is None:
            self._fill("after", vectors)
            self._fill("used", vectors, there)
            return
        for stage in (*self._early_stages(), "after", "used"):
            present = there if stage in ("first", "backward", "used") else [True] * len(there)
            early = stage not in ("after", "used")
            self._gather(stage, self._gradient_vectors if early else vectors, present)

    def _gather(
        self, stage: str, vectors: Callable[[int], Callable[[str], Any]], present: list[bool]
    ) -> None:
        """A stage from the step's own sums, what was read before it, and what did not move."""
        if stage not in self.pairs:
            return
        assert self._tally is not None
        summed = self._tally.summed()
        known = {*summed, *(i for name, i in self._early if name == stage)}
        rest = [vectors(i) if ok and i not in known else None for i, ok in enumerate(present)]
        pairs = self.pairs[stage]
        if any(rest):
            table = inner_products(pairs, rest, self._device, self._dtype).clone()
        else:
            table = torch.zeros((len(pairs), len(rest)), dtype=self._dtype, device=self._device)
        if summed:
            table[:, summed] = self._tally.products(self.pairs[stage]).to(table)
        for (name, i), products in self._early.items():
            if name == stage:
                table[:, i] = products
        self._found[stage] = table, tuple(present)

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
                part = unscaled(part, pairs, scale)
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
            if name in TRUE_GRADIENT:
                assert p.grad is not None
                return local(p.grad, p)
            return others(name)

        return vector

    def _before_vectors(self, i: int, copied: Mapping[str, list[Any]]) -> Callable[[str], Any]:
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

    def _point(self, i: int, point: str) -> Tensor:
        p = self._layout.parameters[i]
        if not point:
            return p
        group = self._optimizer.param_groups[self._layout.groups[i]]
        return self._sequences.point(p, group, point)
