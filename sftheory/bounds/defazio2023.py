"""Schedules refined by gradient norms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import Array, distance, number, suffix_sums
from sftheory.core.errors import InputError, constant, numbers


@dataclass(frozen=True, eq=False)
class RefinedSchedule:
    """N steps gamma (..., N) and the worst case `value` (...) that they attain."""

    gamma: Array
    value: Any


@BOUNDS.register(
    ref="defazio2023",
    tex=r"D / \sqrt{\textstyle\sum_{t \leq N+1} G_t^{-2}}, \quad"
    r"\gamma_t = D\, \bar W^{-3/2} w_t \textstyle\sum_{i > t} w_i,\ w_t = G_t^{-2}",
    assumes=("convex", "lipschitz"),
    attained="exactly, and no steps have a smaller worst case for these norms",
)
def refined(G: ArrayLike, *, D: float) -> RefinedSchedule:
    r"""The best steps for known gradient norms G_1, ..., G_{N+1}, and their worst case.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: SGD's last iterate with gamma_t = D W^{-3/2} w_t Σ_{i>t} w_i, w_t = G_t^{-2}, W = Σ w.
    Guarantee: f(x_{N+1}) - f* <= D / sqrt(W), the least over all steps; constant norms give exactly
        linear decay and D G / sqrt(N + 1).
    Shapes and units:
        G: (..., N + 1), > 0: N + 1 norms make N steps.  D: > 0.  value: (...), units D G.

    Raises:
        InputError: a norm is not positive, or there is only one.

    References: defazio2023, Alg. 1 [number recalled].

    Example:
        >>> plan = refined([2.0] * 4, D=1)
        >>> plan.gamma.tolist(), plan.value
        ([0.1875, 0.125, 0.0625], 1.0)
    """
    G = numbers("G", G)
    constant("bounds.refined", "G", G)
    if G.shape[-1] < 2:
        raise InputError("bounds.refined makes N steps from N+1 norms; pass at least two.")
    D = distance("refined", D)
    w = G**-2.0
    tails = suffix_sums(w)
    W = tails[..., 0]
    gamma = D * W[..., None] ** -1.5 * w[..., :-1] * tails[..., 1:]
    return RefinedSchedule(gamma, number(D / np.sqrt(W)))
