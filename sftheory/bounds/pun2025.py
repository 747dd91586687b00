"""Any schedule for schedule-free."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import weights_are_steps
from sftheory.bounds.nemirovski2009 import weighted_by_steps
from sftheory.core.tableau import Tableau


@BOUNDS.register(
    ref="pun2025",
    tex=r"\frac{D^2 + \sum_{t \leq N+1} \gamma_t^2 G_t^2}{2 \sum_{t \leq N+1} \gamma_t}",
    assumes=("convex", "lipschitz"),
    attained="exactly where gamma_{N+1} = gamma_N and no step exceeds the sum of the later ones",
    covers=weights_are_steps,
    tuned="averaged_tuned",
)
def schedulet(
    gamma: ArrayLike | Tableau, *, D: float, G: float | ArrayLike, last: float | None = None
) -> Any:
    r"""Bound on schedule-free with any schedule, its averaging weights equal to the steps.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: schedule-free with any beta_t in [0, 1] and c_t = gamma_{t+1} / Σ_{i<=t+1} gamma_i.
    Guarantee: f(x_{N+1}) - f* <= (D² + Σ_{t<=N+1} gamma_t² G_t²) / (2 Σ_{t<=N+1} gamma_t), whatever
        beta; the last entry gamma_{N+1} is the method's own weight. For schedule-free a flat gamma
        is worst-case optimal: linear decay costs 10%.
    Shapes and units:
        gamma: (..., N), >= 0, or a Tableau with these weights.  D: > 0.  G: > 0, one or N + 1.
        last: gamma_{N+1} > 0, None repeats gamma_N, as ScheduleFree(weights="gamma") does.
        Returns (...), units D G.

    Raises:
        InputError: a step is negative, all are zero, or a constant is missing.

    References: pun2025 v1 (derived here; the paper's constants are not verified).

    Example:
        >>> round(schedulet([0.5] * 3, D=1, G=1), 9)
        0.5
    """
    return weighted_by_steps("schedulet", gamma, D, G, last)
