"""The gradients of one step: which parameters have one, and whether all are finite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from sftheory.core.errors import InputError
from sftheory.optim.pieces import local, total

POLICIES = ("propagate", "raise", "skip")


@dataclass(frozen=True)
class Gradients:
    """The groups with the parameters in them that have a gradient; empty groups are left out."""

    groups: list[tuple[dict[str, Any], list[torch.Tensor]]]

    @staticmethod
    def of(param_groups: list[dict[str, Any]]) -> Gradients:
        """Raises InputError where a gradient is sparse."""
        groups = []
        for group in param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.layout != torch.strided:
                    raise InputError(
                        f"A parameter of shape {tuple(p.shape)} has a sparse gradient, which the "
                        f"averages cannot use; build its layer with sparse=False."
                    )
            if params:
                groups.append((group, params))
        return Gradients(groups)

    def __bool__(self) -> bool:
        return bool(self.groups)

    @property
    def params(self) -> list[torch.Tensor]:
        """All parameters with a gradient."""
        return [p for _, params in self.groups for p in params]

    def finite(self) -> bool:
        """Whether every entry is; of sharded gradients, on every rank."""
        bad = []
        for p in self.params:
            g = local(p.grad)  # pyright: ignore[reportArgumentType]
            g = torch.view_as_real(g) if g.is_complex() else g
            largest = torch.linalg.vector_norm(g, float("inf")) if g.numel() else g.new_zeros(())
            bad.append((~largest.isfinite()).to(torch.float32))
        return not bool(total(self.params, bad))

    def complaint(self) -> str:
        """The sentence for gradients that are not finite."""
        bad = next(i for i, p in enumerate(self.params) if not local(p.grad).isfinite().all())  # pyright: ignore
        return (
            f"The gradient of parameter {bad}, of shape {tuple(self.params[bad].shape)}, is not "
            f"finite; lower lr or clip, or pass nonfinite='skip' to leave such steps out."
        )
