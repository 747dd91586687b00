"""How far the gradient points back to the start."""

from __future__ import annotations

from torch import Tensor

from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading


@METRICS.register(tex=r"\cos(g_t, w_t - w_0)")
def homesickness(s: Reading) -> Tensor:
    """cos(g_t, w_t - w_0): positive where the gradient would rather be nearer to the start."""
    return s.ratio(s.dot("g", "moved"), s.norm("g") * s.norm("moved"))
