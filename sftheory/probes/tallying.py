"""Inner products that an optimizer's own step takes along, so that memory is read once.

An optimizer that offers this has `tallies`, the pairs that it can sum, and `tally`, where it finds
who wants them; `sftheory.optim` says what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftheory.probes.inner_products import inner_products
from sftheory.probes.layout import Layout
from sftheory.probes.one_step import OneStep
from sftheory.probes.reading import Pair
from sftheory.probes.vectors import Vectors, points_of


class Tally(OneStep):
    """As `OneStep`; what the step does not sum is read after it, from copies where it moved.

    Attributes:
        starts: w_0 by the id of a parameter, or empty.
        few: whether the optimizer's cheapest sums are enough.
        sums: by the id of a parameter, in the optimizer's order of pairs.
    """

    def __init__(
        self,
        layout: Layout,
        vectors: Vectors,
        pairs: Sequence[Pair],
        device: torch.device,
        dtype: torch.dtype,
        optimizer: Any,
    ) -> None:
        super().__init__(layout, vectors, pairs, device, dtype)
        self._optimizer = optimizer
        self.starts, self.few = vectors.start, _are(pairs, getattr(optimizer, "tallies_few", ()))
        self.sums: dict[int, np.ndarray] = {}
        self._points = points_of(pairs)
        self._place = {pair: k for k, pair in enumerate(optimizer.tallies)}
        self._index = {id(p): i for i, p in enumerate(layout.parameters)}
        self._motion, self._used = self._pairs("before", "after"), self._pairs("used")
        self._true = self._pairs("first", "backward")
        self._seen: list[Any] | None = None  # versions of gradients that were read
        self._unread: list[Any] | None = None  # of gradients that the step will sum
        self._waits = False  # whether the step may be the first to read the gradients
        self._overwritten = False  # whoever sums leaves gradients alone; checked where it did not
        self._alone = True  # whether nothing ever changed them between backward() and the step

    @staticmethod
    def suits(optimizer: Any, layout: Layout, pairs: Sequence[Pair]) -> bool:
        """Whether the optimizer offers all these pairs, on processors."""
        return (
            bool(pairs)
            and _are(pairs, getattr(optimizer, "tallies", ()))
            and all(
                type(p) is torch.nn.Parameter and p.device.type == "cpu" for p in layout.parameters
            )
        )

    def clear(self) -> None:
        """Forget the last step."""
        super().clear()
        self._seen, self._unread = None, None
        if self._optimizer.tally is self:
            self._optimizer.tally = None

    def backward_ended(self, first: bool, inside: bool = False) -> None:
        """The gradients are true now, and are read in the step if so far nothing came between.

        A gradient that is then changed for the first time is missed once, and read here ever after.
        """
        if self._waits and first and not inside:
            self._unread = self._gradient_versions()
            return
        self._waits, self._unread = False, None
        super().backward_ended(first, inside)
        if first and not inside:
            self._seen = self._gradient_versions()

    def before(self, scaled: bool = False) -> None:
        """The optimizer is about to move; if `scaled` a GradScaler has divided the gradients.

        It does so without a new version, so gradients are read before it from the first step on.
        """
        self.vectors.forget()
        self.keep_gradients()
        known = self._unread or self._seen
        if scaled or (known and known != self._versions):
            self._alone, self._unread = False, None
        self._waits = self._alone and bool(known)
        self.sums = {}
        if self._optimizer.tally is None:
            self._optimizer.tally = self
        else:  # the step sums for another probe
            for i in range(len(self._parameters)):
                self.vectors.keep(i, self._points)

    @torch.compiler.disable
    def keep(self, p: Tensor) -> None:
        """The step is about to move p, and will not sum."""
        self.vectors.keep(self._index[id(p)], self._points)

    def after(self) -> None:
        """The optimizer has moved."""
        gradients = self._used if self._unread is None else [*self._used, *self._true]
        if len(self.sums) == len(self._parameters):
            self._gather("all", self._motion + gradients, [True] * len(self.sums))
            return
        there = self._given()
        self._gather("motion", self._motion, [True] * len(there))
        self._gather("gradients", gradients, there)

    def _gather(self, name: str, pairs: list[Pair], present: list[bool]) -> None:
        if not pairs:
            return
        table = None
        if len(self.sums) < len(present):
            rest = [
                ok and id(p) not in self.sums
                for p, ok in zip(self._parameters, present, strict=True)
            ]
            opened = (self.vectors.of(i) if ok else None for i, ok in enumerate(rest))
            table = inner_products(pairs, opened, self._device, self._dtype).numpy()
        read = partial(self._table, pairs, self.sums, table)
        self._found[name,] = pairs, read, tuple(present)

    def _table(
        self, pairs: list[Pair], sums: dict[int, np.ndarray], table: np.ndarray | None
    ) -> Tensor:
        """The products of a step; those that it summed replace the table's."""
        if table is None:
            table = np.empty((len(pairs), len(self._parameters)))
        if sums:
            places = [self._place[_as_used(pair)] for pair in pairs]
            rows = np.concatenate([*sums.values()]).reshape(len(sums), -1)
            table[:, [self._index[key] for key in sums]] = rows.T[places]
        return torch.from_numpy(table)


def _are(pairs: Sequence[Pair], offered: Any) -> bool:
    return {_as_used(pair) for pair in pairs} <= {*offered}


def _as_used(pair: Pair) -> Pair:
    """The pair with the step's own gradient for the true one."""
    first, second = sorted("used" if name in ("g", "first") else name for name in pair)
    return first, second
