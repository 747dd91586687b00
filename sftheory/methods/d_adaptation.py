"""Steps from a lower bound of the distance to a minimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sftheory.core.errors import InputError, constant, steps
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Controller, coefficients, in_unit


@METHODS.register(
    ref="dadaptation2023",
    tex=r"\gamma_t = d_t / \sqrt{G^2 + \textstyle\sum_{i<t} \|g_i\|^2},\quad"
    r" d_{t+1} = \max(d_t,\ \textstyle\sum_{i \leq t} \gamma_i \langle g_i, z_1 - z_i \rangle"
    r" / \|z_1 - z_{t+1}\|),\quad c_t = \gamma_{t+1} / \textstyle\sum_{i \leq t+1} \gamma_i",
)
@dataclass(frozen=True)
class DAdaptation(Controller):
    r"""D-Adaptation's gradient steps inside schedule-free: it needs neither D nor f_star.

    With weights equal to the steps, online-to-batch says 0 <= S_t (f(x_t) - f_star) <=
    Σ γ_i <g_i, z_i - x_star> over i <= t, S_t = Σ γ_i. The right side is at most D |z_1 - z_{t+1}|
    minus M_t = Σ γ_i <g_i, z_1 - z_i>, so M_t / |z_1 - z_{t+1}| is a lower bound of D.

    Guarantee, for convex f, exact subgradients, scale = 1 and d1 <= D: d_t <= D at every t, for
        every beta. If also |g_t| <= G, then with L = log2(1 + t)
            f(x_t) - f_star <= D d_{t+1} (2 + sqrt(L) + L/2) / S_t,
        which is O(D G log(t) / sqrt(t)) as t grows: |z_1 - z_{t+1}| <= 2 d_{t+1} + sqrt(V) with
        V = Σ γ_i² |g_i|² <= d_{t+1}² L, and M_t = (|z_1 - z_{t+1}|² - V) / 2.

    The published gradient-descent variant has |g_t|² in the root of γ_t as well. Without it the
    weight of a point is known when the point is averaged, so that beta > 0 is possible.

    Args:
        beta: in [0, 1]; 0 averages plain steps, the published variant.
        d1: > 0, the first estimate; far below D.
        G: a bound on the subgradient norms; None takes |g_1|.
        scale: multiplies the step; a number, or (..., 1) for a batch.

    Raises:
        InputError: beta outside [0, 1], d1 or G not positive, or scale negative or one per step.
    """

    beta: float | Array = 0.9
    d1: float = 1e-6
    G: float | None = None
    scale: float | Array = 1.0

    needs_f_star: ClassVar[bool] = False

    def __post_init__(self) -> None:
        in_unit("DAdaptation's beta", self.beta)
        constant("DAdaptation", "d1", self.d1)
        if self.G is not None:
            constant("DAdaptation", "G", self.G)
        if steps("DAdaptation's scale", np.atleast_1d(self.scale)).shape[-1] != 1:
            raise InputError(
                f"DAdaptation's scale has shape {np.shape(self.scale)}; pass one number, or "
                f"(..., 1) for a batch."
            )

    def template(self, N: int) -> Tableau:
        scale = np.broadcast_to(self.scale, np.broadcast_shapes(np.shape(self.scale), (N,)))
        return Tableau(scale, self.beta, coefficients(np.ones(N + 1), start_counts=True))

    def start(self) -> Callable[..., tuple[Any, Any]]:
        d: Any = self.d1
        cap: Any = None if self.G is None else self.G**2
        met: Any = 0.0  # Σ |g|²
        moved: Any = 0.0  # M, then V and S
        spread: Any = 0.0
        total: Any = 0.0

        def choose(*, scale: Any, squared_norm: Any, back: Any, **_: Any) -> tuple[Any, Any]:
            nonlocal d, cap, met, moved, spread, total
            if cap is None:
                cap = squared_norm
            gamma = scale * _over_root(d, cap + met) + 0 * squared_norm
            moved = moved + gamma * back
            spread = spread + gamma * gamma * squared_norm
            total = total + gamma
            met = met + squared_norm
            found = _over_root(moved, 2 * moved + spread)  # |z_1 - z_{t+1}|² = 2 M + V
            grows = found > d
            d = found * grows + d * ~grows
            later = scale * _over_root(d, cap + met)
            return gamma, later / (total + later + (total == 0))

        return choose


def _over_root(a: Any, square: Any) -> Any:
    """a / sqrt(square), and 0 where the square is 0 or rounds below it."""
    positive = square > 0
    return a * positive / (square * positive + 1.0 * (square <= 0)) ** 0.5
