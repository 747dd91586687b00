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
        undefined: (m,), NaN.
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
        self.undefined = torch.full((m,), torch.nan, dtype=self.dtype, device=self.device)
        self._groups = torch.tensor(groups, device=self.device)
        self._indices: dict[tuple[bool, ...], tuple[Tensor, Tensor, Tensor]] = {}

    def sums(self, table: Tensor, present: tuple[bool, ...]) -> Sequence[Tensor]:
        """Rows of (P, n) summed over each module's present parameters; NaN if it has none."""
        rows, columns, empty = self._index(present)
        out = torch.zeros((len(table), len(self.size)), dtype=self.dtype, device=self.device)
        out.index_add_(1, rows, table.index_select(1, columns))
        return torch.where(empty, torch.nan, out).unbind()

    def common(self, values: Sequence[Any]) -> Tensor:
        """One value for each group -> (m,), NaN for a module whose groups disagree."""
        of_groups = torch.stack([on_device(v, self.device, self.dtype) for v in values])
        of_groups = of_groups[: self._groups.shape[1]]
        low = torch.where(self._groups, of_groups, torch.inf).amin(1)
        high = torch.where(self._groups, of_groups, -torch.inf).amax(1)
        return torch.where(low == high, low, torch.nan)

    def _index(self, present: tuple[bool, ...]) -> tuple[Tensor, Tensor, Tensor]:
        if present not in self._indices:  # a copy to the device, when other parameters take part
            kept = [(r, c) for r, c in zip(*self._layout.pairs, strict=True) if present[c]]
            filled = {r for r, _ in kept}
            empty = [r not in filled for r in range(len(self.size))]
            rows, columns = (torch.tensor([k[i] for k in kept], dtype=torch.long) for i in (0, 1))
            self._indices[present] = (
                rows.to(self.device),
                columns.to(self.device),
                torch.tensor(empty, device=self.device),
            )
        return self._indices[present]


class RunningMeans:
    """Means over the rows so far, of values that may be missing; they stay on the device."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def take(self, name: str, value: Tensor) -> Tensor:
        """Count a value and return the mean of those that exist; NaN while none does."""
        known = ~value.isnan()
        total, number = self._sums.get(name, (torch.zeros_like(value), torch.zeros_like(value)))
        total, number = total + torch.where(known, value, 0), number + known
        self._sums[name] = total, number
        return torch.where(number > 0, total / number, torch.nan)
