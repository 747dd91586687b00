"""The weighted average of subgradient steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import distance, gradient_norms, number, with_last
from sftheory.core.errors import InputError, steps


@BOUNDS.register(
    ref="nemirovski2009",
    tex=r"\frac{D^2 + \sum_{t \leq N+1} \gamma_t^2 G_t^2}{2 \sum_{t \leq N+1} \gamma_t}",
    assumes=("convex", "lipschitz"),
    attained="by constant steps for N + 1 = 2, 4, 8 (semidefinite programs), always asymptotically",
    of="PolyakAverage(weights='gamma')",
)
def averaged(gamma: ArrayLike, *, D: float, G: float | ArrayLike, last: float | None = None) -> Any:
    r"""Bound on the average of SGD's points weighted by the steps.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t; reported is Σ gamma_t x_t / Σ gamma_t over t <= N + 1.
    Guarantee: f(average) - f* <= (D² + Σ_{t<=N+1} gamma_t² G_t²) / (2 Σ_{t<=N+1} gamma_t).
        Constant steps D / (G sqrt(N + 1)) give D G / sqrt(N + 1), the minimax value.
    Shapes and units:
        gamma: (..., N), >= 0.  D: > 0.  G: > 0, one or N + 1.  last: the weight gamma_{N+1} > 0 of
        the last point, None repeats gamma_N.  Returns (...), units D G.

    Raises:
        InputError: a step is negative, all are zero, or a constant is missing.

    References: nemirovski2009, eq. 2.18 [number recalled].

    Example:
        >>> round(averaged([0.5] * 3, D=1, G=1), 9)  # 1 / sqrt(3 + 1)
        0.5
    """
    return weighted_by_steps("averaged", gamma, D, G, last)


def weighted_by_steps(
    bound: str, gamma: ArrayLike, D: float, G: float | ArrayLike, last: float | None
) -> Any:
    """(D² + Σ gamma_t² G_t²) / (2 Σ gamma_t) over t = 1, ..., N + 1."""
    gamma = steps("gamma", gamma)
    G = gradient_norms(bound, G, gamma.shape[-1])
    gamma = with_last(bound, gamma, last)
    total = gamma.sum(axis=-1)
    if (np.asarray(total) == 0).any():
        raise InputError(f"bounds.{bound} needs a positive step; all of gamma are zero.")
    return number((distance(bound, D) ** 2 + (gamma**2 * G**2).sum(axis=-1)) / (2 * total))
