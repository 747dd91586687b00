"""Learning rates, as the parameters feel them.

gamma is the learning rate of this step. A module whose groups disagree on it has none: null.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading


@METRICS.register(ref="defazio2024", tex=r"\gamma_t (1 - \beta_t (1 - c_t))")
def effective_lr_y(s: Reading) -> Tensor:
    """γ (1 - β (1 - c)), the coefficient of the base step in y_{t+1} - y_t; else the plain γ."""
    return s.gamma * (1 - s.beta * (1 - s.c))


@METRICS.register(tex=r"\gamma_t / \|w_t\|^2", sequence=True)
def lr_over_w2(s: Reading) -> Tensor:
    """γ / ‖w_t‖², the effective learning rate of SGD where the loss ignores the scale of w."""
    return s.ratio(s.gamma, s.dot("w", "w"))


@METRICS.register(tex=r"\gamma_t \|g_t\|^2")
def lr_times_g2(s: Reading) -> Tensor:
    """γ ‖g_t‖², the decrease of the loss that a small step of gradient descent promises."""
    return s.gamma * s.dot("g", "g")


@METRICS.register(tex=r"\|z_{t+1} - z_t\| / (\gamma_t \sqrt{n})")
def rms_update(s: Reading) -> Tensor:
    """RMS of the normalised update (z_{t+1} - z_t) / γ over n entries, with its weight decay.

    The base step's point is z for a schedule-free method and the parameters for any other.
    """
    base = s.at("z") if s.has_sequences else s
    return s.ratio(base.norm("dw"), s.gamma * s.size.sqrt())


@METRICS.register(ref="defazio2026", tex=r"f(y_t) - f^* + \langle g_t, z_t - y_t \rangle")
def polyak_numerator(s: Reading) -> Tensor:
    """f(y_t) - f* + <g_t, z_t - y_t>, for the whole model; null until a loss is observed."""
    ahead = s.dot("g", "z-y") if s.has_sequences else 0.0
    return torch.where(s.whole, s.gap + ahead, torch.nan)
