"""Norms, and how far things are apart."""

from __future__ import annotations

from torch import Tensor

from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading


@METRICS.register(tex=r"\|w_t\|", sequence=True, default=True)
def weight_norm(s: Reading) -> Tensor:
    """‖w_t‖ of the parameters."""
    return s.norm("w")


@METRICS.register(tex=r"\|g_t\|")
def grad_norm(s: Reading) -> Tensor:
    """‖g_t‖ of the true gradient: accumulated, unscaled, before clipping."""
    return s.norm("g")


@METRICS.register(tex=r"\|w_{t+1} - w_t\|", sequence=True, default=True)
def update_norm(s: Reading) -> Tensor:
    """‖w_{t+1} - w_t‖ of the update."""
    return s.norm("dw")


@METRICS.register(tex=r"\|w_{t+1} - w_t\| / \|w_t\|", sequence=True)
def update_ratio(s: Reading) -> Tensor:
    """‖w_{t+1} - w_t‖ / ‖w_t‖, the relative update."""
    return s.ratio(s.norm("dw"), s.norm("w"))


@METRICS.register(tex=r"\|g_t\| / \|w_t\|", sequence=True)
def grad_ratio(s: Reading) -> Tensor:
    """‖g_t‖ / ‖w_t‖, the relative gradient."""
    return s.ratio(s.norm("g"), s.norm("w"))


@METRICS.register(tex=r"\|w_t - w_0\|", sequence=True, default=True)
def distance(s: Reading) -> Tensor:
    """‖w_t - w_0‖, the distance from the parameters when the probe was attached."""
    return s.norm("moved")


@METRICS.register(tex=r"\|z_t - x_t\|")
def z_minus_x(s: Reading) -> Tensor:
    """‖z_t - x_t‖ of a schedule-free method."""
    return s.norm("z-x") if s.has_sequences else s.undefined
