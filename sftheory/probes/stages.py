"""When the vectors of an inner product are there, and by what its gradients are scaled."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sftheory.probes.reading import Pair

TRUE_GRADIENT = {"g", "first"}


def stage_of(pair: Pair) -> str:
    """Where its vectors are: "first" and "backward" when a backward pass has ended.

    "before" and "after" the step, and "used" after it with the gradient that the step was given.
    """
    names = set(pair)
    if "first" in names:
        return "first"
    if "g" in names:
        return "backward"
    if "used" in names:
        return "used"
    return "after" if any(name.startswith("dw") for name in names) else "before"


def unscaled(products: Tensor, pairs: Sequence[Pair], scale: Tensor) -> Tensor:
    """Products (pairs, parameters) without the scale that true gradients have."""
    one = torch.ones((), dtype=products.dtype, device=products.device)
    factors = [scale ** sum(name in TRUE_GRADIENT for name in pair) * one for pair in pairs]
    return products / torch.stack(factors)[:, None]
