"""The tensors that a metric's names stand for, before the optimizer moves and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sftheory.probes.inner_products import local
from sftheory.probes.layout import Layout
from sftheory.probes.reading import Pair
from sftheory.probes.sequences import Sequences


class Vectors:
    """Vectors of each parameter of a layout; of a parameter that was kept, those before it moved.

    Attributes:
        start: w_0 by the id of a parameter, where it is asked for.
        copies: the gradients that the step was given, where it may overwrite them.
    """

    def __init__(
        self,
        layout: Layout,
        optimizer: torch.optim.Optimizer,
        sequences: Sequences,
        pairs: Iterable[Pair],
        start: dict[int, Tensor],
    ) -> None:
        self._layout, self._optimizer, self._sequences = layout, optimizer, sequences
        self.start: dict[int, Tensor] = {}
        if any(name.startswith("moved") for pair in pairs for name in pair):
            # parameters that were here before keep theirs
            self.start = {
                id(p): start[id(p)] if id(p) in start else local(p).clone()
                for p in layout.parameters
            }
        self._kept: dict[tuple[int, str], Tensor] = {}
        self._moved: set[int] = set()
        self.copies: list[Tensor | None] | None = None

    def keep(self, i: int, points: Iterable[str]) -> None:
        """Copy points of a parameter that is about to move."""
        self._moved.add(i)
        for point in points:
            here = local(self._point(i, point))
            copy = self._kept.get((i, point))
            if copy is None or copy.shape != here.shape:
                self._kept[i, point] = here.clone()
            else:
                copy.copy_(here)

    def copy_gradients(self) -> None:
        """Copy the gradients as they are."""
        self.copies = [
            None if p.grad is None else local(p.grad, p).clone() for p in self._layout.parameters
        ]

    def forget(self) -> None:
        """Nothing has moved; copies become scratch memory."""
        self._moved.clear()
        self.copies = None

    def of(self, i: int) -> Callable[[str], Any]:
        """A function from a name to a tensor, or to two whose difference is meant."""
        return partial(self._vector, i)

    def _vector(self, i: int, name: str) -> Any:
        kind, _, point = name.partition(".")
        if kind in ("g", "first", "used"):
            return self._gradient(i)
        if kind in ("z-x", "z-y"):
            return self._before(i, "z"), self._before(i, kind[2:].replace("y", ""))
        before = self._before(i, point)
        if kind == "dw":
            return local(self._point(i, point)), before
        return (before, self.start[id(self._layout.parameters[i])]) if kind == "moved" else before

    def _gradient(self, i: int) -> Tensor | None:
        if self.copies is not None:
            return self.copies[i]
        p = self._layout.parameters[i]
        return None if p.grad is None else local(p.grad, p)

    def _before(self, i: int, point: str) -> Tensor:
        if i in self._moved and (i, point) in self._kept:
            return self._kept[i, point]
        return local(self._point(i, point))

    def _point(self, i: int, point: str) -> Tensor:
        p = self._layout.parameters[i]
        if not point:
            return p
        group = self._optimizer.param_groups[self._layout.groups[i]]
        return self._sequences.point(p, group, point)


def points_of(pairs: Iterable[Pair]) -> list[str]:
    """Which of y (''), x and z these pairs are about."""
    names = {name for pair in pairs for name in pair}
    asked = {name.partition(".")[2] for name in names if name[0] in "wdm"}
    for name in names & {"z-x", "z-y"}:
        asked |= {"z", name[2:].replace("y", "")}
    return sorted(asked)
