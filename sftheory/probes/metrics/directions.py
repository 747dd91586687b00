"""Which way the update points."""

from __future__ import annotations

import torch
from torch import Tensor

from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading


@METRICS.register(tex=r"\angle(w_t, w_{t+1})", sequence=True)
def angle(s: Reading) -> Tensor:
    r"""The angle between w_t and w_{t+1}, in radians.

    With p = <w, Δ>/‖w‖ it is atan2(sqrt(‖Δ‖² - p²), ‖w‖ + p): small angles keep their digits, which
    the arc cosine of a quotient loses. Of an update that is nearly along w it keeps fewer, for sums
    are in float32: it is off by up to 3e-4 ‖Δ‖/‖w‖. Null where w_t or w_{t+1} is zero.
    """
    w, update = s.norm("w"), s.dot("dw", "dw")
    along = s.ratio(s.dot("w", "dw"), w)
    across = (update - along**2).clamp(min=0).sqrt()
    found = torch.atan2(across, w + along)
    return torch.where((across == 0) & (w + along == 0), torch.nan, found)


@METRICS.register(tex=r"\cos(w_{t+1} - w_t, -g_t)", sequence=True)
def cosine(s: Reading) -> Tensor:
    """The cosine of the angle between the update and minus the gradient that the step was given."""
    return s.ratio(-s.dot("used", "dw"), s.norm("used") * s.norm("dw"))
