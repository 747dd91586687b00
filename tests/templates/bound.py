"""The distance bound."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import distance, is_last_iterate, number, one_norm, step_sizes
from sftheory.core.tableau import Tableau


@BOUNDS.register(
    ref="nesterov2004",
    tex=r"G (D + G \textstyle\sum_t \gamma_t)",
    assumes=("convex", "lipschitz"),
    attained="never for N >= 1",
    covers=is_last_iterate,
)
def distance_bound(gamma: ArrayLike | Tableau, *, D: float, G: float) -> Any:
    r"""A bound that only uses how far the point can be.

    Problem: minimise a convex f with subgradients |g| <= G, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t; reported is x_{N+1}.
    Guarantee: f(x_{N+1}) - f* <= G |x_{N+1} - x_*| <= G (D + G Σ gamma).
    Shapes and units:
        gamma: (..., N), >= 0.  D, G: > 0.  Returns (...), units D G.

    Raises:
        InputError: a step is negative, or a constant is missing.

    References: nesterov2004.

    Example:
        >>> distance_bound([0.5, 0.5], D=1, G=1)
        2.0
    """
    gamma = step_sizes("distance_bound", gamma)
    D, G = distance("distance_bound", D), one_norm("distance_bound", G)
    return number(G * (D + G * gamma.sum(axis=-1)))
