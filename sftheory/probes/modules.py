"""From values of parameters to values of modules, on the device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sftheory.probes.coefficients import on_device
from sftheory.probes.layout import Layout


class Modules:
    """Sums and common values over the m modules of a layout; index tensors are made once.

    Attributes:
        device, dtype: of every value; float64 wherever the device has it.
        size: (m,), the number of entries.
        whole: (m,), True for ''.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.device = layout.parameters[0].device
        self.dtype = torch.float32 if self.device.type == "mps" else torch.float64
        m = len(layout.modules)
        sizes, groups = [0.0] * m, [[False] * (max(layout.groups) + 1) for _ in range(m)]
        for row, column in zip(*layout.pairs, strict=True):
            p = layout.parameters[column]
            sizes[row] += p.numel() * (2 if p.is_complex() else 1)
            groups[row][layout.groups[column]] = True
        self.size = torch.tensor(sizes, dtype=self.dtype, device=self.device)
        self.whole = torch.tensor([name == "" for name in layout.modules], device=self.device)
        self._groups = torch.tensor(groups, device=self.device)
        self._indices: dict[tuple[bool, ...], tuple[Tensor, Tensor, Tensor]] = {}

    def sums(self, tables: Sequence[Tensor], present: tuple[bool, ...]) -> Sequence[Tensor]:
        """Rows of S tables (P, n) over each module's present parameters: P sums (S m,).

        They are NaN for a module without such parameters.
        """
        rows, columns, empty = self._index(present)
        table = torch.stack([*tables], dim=1)
        out = empty.expand(*table.shape[:2], -1).clone()
        out.index_add_(2, rows, table.index_select(2, columns))
        return out.flatten(1).unbind()

    def common(self, values: Sequence[Sequence[Any]]) -> Tensor:
        """S lists of one value for each group -> (S m,), NaN for a module whose groups disagree."""
        some = [value for one in values for value in one[: self._groups.shape[1]]]
        of_groups = self.scalars(some).view(len(values), 1, -1)
        low = torch.where(self._groups, of_groups, torch.inf).amin(-1)
        high = torch.where(self._groups, of_groups, -torch.inf).amax(-1)
        return torch.where(low == high, low, torch.nan).flatten()

    def scalars(self, values: Sequence[Any]) -> Tensor:
        """Numbers and tensors with one entry as one tensor; nobody waits."""
        if not any(isinstance(value, Tensor) for value in values):
            pinned = self.device.type == "cuda"
            found = torch.tensor(values, dtype=self.dtype, pin_memory=pinned)
            return found.to(self.device, non_blocking=True)
        return torch.stack([on_device(value, self.device, self.dtype) for value in values])

    def _index(self, present: tuple[bool, ...]) -> tuple[Tensor, Tensor, Tensor]:
        if present not in self._indices:  # a copy to the device, when other parameters take part
            kept = [(r, c) for r, c in zip(*self._layout.pairs, strict=True) if present[c]]
            filled = {r for r, _ in kept}
            empty = [0.0 if r in filled else torch.nan for r in range(len(self.size))]
            rows, columns = (torch.tensor([k[i] for k in kept], dtype=torch.long) for i in (0, 1))
            self._indices[present] = (
                rows.to(self.device),
                columns.to(self.device),
                torch.tensor(empty, dtype=self.dtype, device=self.device),
            )
        return self._indices[present]


class RunningMeans:
    """Means over the steps so far, of values that may be missing; they stay on the device."""

    def __init__(self, modules: int) -> None:
        self._modules = modules
        self._sums: dict[str, Tensor] = {}

    def take(self, name: str, values: Tensor) -> Tensor:
        """Count values (S m,) and return the mean of those up to each step; NaN while none is."""
        steps = values.view(-1, self._modules)
        known = ~steps.isnan()
        sums = torch.stack([torch.where(known, steps, 0), known.to(steps)]).cumsum(1)
        if name in self._sums:
            sums = sums + self._sums[name]
        self._sums[name] = sums[:, -1:]
        total, number = sums.flatten(1)
        return torch.where(number > 0, total / number, torch.nan)
