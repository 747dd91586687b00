"""The bound B': half of Ω, with the free entry charged four times."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import Array, distance, is_last_iterate, step_sizes
from sftheory.bounds.horizons import all_asked, free_entries
from sftheory.bounds.schaipp2025 import omega, omega_tuned, steps_and_norms
from sftheory.core.errors import constant, steps
from sftheory.core.tableau import Tableau


@BOUNDS.register(
    ref="zamani2023",
    tex=r"B' = \tfrac14 \Big[ \frac{D^2}{S_1 + \tau} + \sum_{k \leq N}"
    r" \frac{\gamma_k^2 G_k^2}{S_{k+1} + \tau} \Big] + \tau G_{N+1}^2, \quad"
    r" S_k = \textstyle\sum_{i \geq k} \gamma_i",
    assumes=("convex", "lipschitz"),
    attained="never; tends to the exact worst case for long runs that decay to zero",
    covers=is_last_iterate,
    tuned="b_prime_tuned",
)
def b_prime(
    gamma: ArrayLike | Tableau,
    *,
    D: float,
    G: float | ArrayLike,
    last: float | ArrayLike | None = None,
    horizons: Literal["all"] | None = None,
) -> Any:
    r"""The bound B' on f(x_{N+1}) - f*: convex in the steps like Ω, and nearly exact.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t; reported is x_{N+1}.
    Guarantee: f(x_{N+1}) - f* <= B'(gamma; tau) for every tau > 0, the free last entry:
        B' = ¼ [D² / (S_1 + tau) + Σ_{k<=N} gamma_k² G_k² / (S_{k+1} + tau)] + tau G_{N+1}²
           = Ω / 2 + ¾ tau G_{N+1}².
        Jointly convex in (gamma, tau).
    Proof: for every sigma > 0, s_{N+1} = sigma, s_k = s_{k+1} + u_k with u_k = gamma_k / s_{k+1},
        the weights lemma gives ½ [D² / s_1² + Σ_{k<=N} u_k² G_k² + sigma² G_{N+1}²]. Now
        s_k² = s_{k+1}² + 2 gamma_k + u_k² >= sigma² + 2 S_k; put sigma² = 2 tau in the bracket.
    Shapes and units:
        gamma: (..., N), >= 0.  D: > 0.  G: > 0, one or N + 1.  last: tau > 0, (...) or a number;
        None takes the best. Returns (...), units D G; with horizons="all" (..., N): entry t - 1
        bounds the point after t steps, with free entry gamma_{t+1}, and `last`, which is then
        required, for t = N. O(N), all horizons O(N log N), to 1e-12 (`chain_tree`).

    Raises:
        InputError: a step is negative, tau is not positive, or a constant is missing.

    References: zamani2023, the weights lemma; the bound is derived here, and we know of no
        published statement.

    Example:
        >>> from sftheory.schedules import Linear
        >>> from sftheory.bounds import last_iterate
        >>> gamma = Linear()(400) / 20
        >>> round(b_prime(gamma, D=1, G=1) / last_iterate(gamma, D=1, G=1), 4)
        1.0074
    """
    gamma, G = steps_and_norms("b_prime", step_sizes("b_prime", gamma), G)
    D = distance("b_prime", D)
    if last is not None:
        last = constant("bounds.b_prime", "last", last)
    if all_asked(horizons):
        extra = 0.75 * free_entries("b_prime", gamma, last) * G[..., 1:] ** 2
        return omega(gamma, D=D, G=G, last=last, horizons=horizons) / 2 + extra
    return omega(gamma, D=D, G=_charged(G), last=last) / 2


def b_prime_tuned(
    eta: ArrayLike, *, D: float, G: float | ArrayLike, last: float | ArrayLike | None = None
) -> tuple[Any, Any]:
    r"""The base step for a shape eta that makes B' least, and that value.

    All N + 1 entries are scaled by the base, as in `omega_tuned`; with last=None the free entry is
    tuned as well.

    Args:
        eta: (..., N), the shape of the steps.
        D: > 0.
        G: > 0, one or N + 1.
        last: the last entry of the shape, scaled with the others; None takes the best.

    Returns:
        (base, value), each (...), units D / G and D G.

    Raises:
        InputError: as `b_prime`, or all steps are zero.

    Example:
        >>> from sftheory.schedules import Linear
        >>> base, value = b_prime_tuned(Linear()(400), D=1, G=1)
        >>> round(base * 20, 4), round(value * 20, 4)
        (0.9914, 1.0062)
    """
    eta, G = steps_and_norms("b_prime_tuned", steps("eta", eta), G)
    if last is not None:
        last = constant("bounds.b_prime_tuned", "last", last)
    base, value = omega_tuned(eta, D=distance("b_prime_tuned", D), G=_charged(G), last=last)
    return base, value / 2


def _charged(G: Array) -> Array:
    """Norms with which Ω / 2 is B': a doubled last one charges the free entry four times."""
    return np.concatenate([G[..., :-1], 2 * G[..., -1:]], axis=-1)
