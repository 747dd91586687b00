"""The weighted average of subgradient steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import (
    averages_steps,
    distance,
    gradient_norms,
    number,
    one_norm,
    step_sizes,
    with_last,
)
from sftheory.core.errors import InputError, steps
from sftheory.core.tableau import Tableau


@BOUNDS.register(
    ref="nemirovski2009",
    tex=r"\frac{D^2 + \sum_{t \leq N+1} \gamma_t^2 G_t^2}{2 \sum_{t \leq N+1} \gamma_t}",
    assumes=("convex", "lipschitz"),
    attained="by constant steps for N + 1 = 2, 4, 8 (semidefinite programs), always asymptotically",
    covers=averages_steps,
    tuned="averaged_tuned",
)
def averaged(
    gamma: ArrayLike | Tableau, *, D: float, G: float | ArrayLike, last: float | None = None
) -> Any:
    r"""Bound on the average of SGD's points weighted by the steps.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t; reported is Σ gamma_t x_t / Σ gamma_t over t <= N + 1.
    Guarantee: f(average) - f* <= (D² + Σ_{t<=N+1} gamma_t² G_t²) / (2 Σ_{t<=N+1} gamma_t).
        Constant steps D / (G sqrt(N + 1)) give D G / sqrt(N + 1), the minimax value.
    Shapes and units:
        gamma: (..., N), >= 0, or a Tableau that averages with these weights.  D: > 0.  G: > 0, one
        or N + 1.  last: the weight gamma_{N+1} > 0 of the last point, None repeats gamma_N.
        Returns (...), units D G.

    Raises:
        InputError: a step is negative, all are zero, or a constant is missing.

    References: nemirovski2009.

    Example:
        >>> round(averaged([0.5] * 3, D=1, G=1), 9)  # 1 / sqrt(3 + 1)
        0.5
    """
    return weighted_by_steps("averaged", gamma, D, G, last)


def averaged_tuned(
    eta: ArrayLike, *, D: float, G: float, last: float | None = None
) -> tuple[Any, Any]:
    r"""The base step for a shape eta that makes `averaged` (and `schedulet`) least, and that value.

    base = D / (G |eta|_2) and value D G |eta|_2 / |eta|_1 over the N + 1 entries.

    Returns:
        (base, value), each (...), units D / G and D G.

    Raises:
        InputError: as `averaged`.
    """
    eta = with_last("averaged_tuned", steps("eta", eta), last)
    D, G = distance("averaged_tuned", D), one_norm("averaged_tuned", G)
    size = np.linalg.norm(eta, axis=-1)
    if (size == 0).any():
        raise InputError("bounds.averaged_tuned needs a positive step; all of eta are zero.")
    return number(D / (G * size)), number(D * G * size / eta.sum(axis=-1))


def weighted_by_steps(
    bound: str, gamma: ArrayLike | Tableau, D: float, G: float | ArrayLike, last: float | None
) -> Any:
    """(D² + Σ gamma_t² G_t²) / (2 Σ gamma_t) over t = 1, ..., N + 1."""
    gamma = step_sizes(bound, gamma)
    G = gradient_norms(bound, G, gamma.shape[-1])
    gamma = with_last(bound, gamma, last)
    total = gamma.sum(axis=-1)
    if (np.asarray(total) == 0).any():
        raise InputError(f"bounds.{bound} needs a positive step; all of gamma are zero.")
    return number((distance(bound, D) ** 2 + (gamma**2 * G**2).sum(axis=-1)) / (2 * total))
