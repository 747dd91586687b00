"""The exact worst case of the last iterate."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import Array, distance, is_last_iterate, number, one_norm, step_sizes
from sftheory.bounds.horizons import all_asked
from sftheory.core.errors import InputError, steps
from sftheory.core.tableau import Tableau


@BOUNDS.register(
    ref="zamani2023",
    tex=r"\tfrac12 [D^2 / P + G^2 V], \quad P, V \text{ by a backward recursion over the steps}",
    assumes=("convex", "lipschitz"),
    attained="by an explicit maximum of linear functions, for every gamma >= 0",
    covers=is_last_iterate,
    tuned="last_iterate_tuned",
)
def last_iterate(
    gamma: ArrayLike | Tableau, *, D: float, G: float, horizons: Literal["all"] | None = None
) -> Any:
    r"""Worst case of f(x_{N+1}) - f* for subgradient steps of any sizes, exact, in O(N).

    Problem: minimise a convex f with subgradients |g| <= G, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t with g_t in ∂f(x_t); reported is x_{N+1}.
    Guarantee: f(x_{N+1}) - f* <= (D²/P + G² V) / 2, with P = 2 w and V = 2 a by the backward
        recursion in the code; D G - G² Σ gamma where G P < D. Upper bound by the weights lemma of
        zamani2023; attained by an explicit function, also for steps that the recursion clips.
        Linear decay with peak D N / (G (N + 1)^{3/2}) gives D G / sqrt(N + 1), the least that N
        subgradients allow (drori2016).
    Shapes and units:
        gamma: (..., N), >= 0, units D / G, or a last-iterate Tableau.  D, G: > 0, one number each.
        Returns (...), units D G; with horizons="all" (..., N): entry t - 1 is the worst case after
        t steps, all of them in O(N log N), to 1e-12 (`chain_tree`).

    Raises:
        InputError: a step is negative or not finite, or a constant is missing.

    References: zamani2023, drori2016.

    Example:
        >>> from sftheory.schedules import Linear
        >>> round(last_iterate(0.375 * Linear()(3), D=1, G=1), 9)  # 1 / sqrt(3 + 1)
        0.5
    """
    gamma = step_sizes("last_iterate", gamma)
    D, G = distance("last_iterate", D), one_norm("last_iterate", G)
    if all_asked(horizons):
        return _all_horizons(gamma, D, G)
    rows = gamma.reshape(-1, gamma.shape[-1])
    values = np.array([_value(row.tolist(), D, G) for row in rows])
    return number(values.reshape(gamma.shape[:-1]))


def last_iterate_gradient(gamma: ArrayLike, *, D: float, G: float) -> Array:
    r"""Gradient of `last_iterate` in the steps, in O(N).

    With D = G = 1: q_k = min(1, h_k / (2 w_{k+1})), u_1 = 1 - p², u_{k+1} = u_k (1 - q_k²), and
    ∂W/∂h_k = -c_k = u_k (1 + q_k) - 1; in general -G² c_k at h = gamma G / D. W is convex and
    continuously differentiable where the steps are positive.

    Returns:
        (..., N), units of G².

    Raises:
        InputError: as `last_iterate`.
    """
    gamma = step_sizes("last_iterate", gamma)
    D, G = distance("last_iterate_gradient", D), one_norm("last_iterate_gradient", G)
    rows = (gamma * G / D).reshape(-1, gamma.shape[-1])
    gradients = np.array([_gradient(row.tolist()) for row in rows])
    return G**2 * gradients.reshape(gamma.shape)


def last_iterate_tuned(eta: ArrayLike, *, D: float, G: float) -> tuple[Any, Any]:
    r"""The base step for a shape eta that makes its exact worst case least, and that value.

    gamma = base * eta with base = D / (G sqrt(P V)) and value D G sqrt(V / P), P and V of eta.

    Returns:
        (base, value), each (...), units D / G and D G.

    Raises:
        InputError: as `last_iterate`, or all steps are zero.
    """
    eta = steps("eta", eta)
    D, G = distance("last_iterate_tuned", D), one_norm("last_iterate_tuned", G)
    rows = eta.reshape(-1, eta.shape[-1])
    a, w = np.array([_sums(row.tolist())[:2] for row in rows]).T.reshape(2, *eta.shape[:-1])
    if (w == 0).any():
        raise InputError("bounds.last_iterate_tuned needs a positive step; all of eta are zero.")
    return number(D / (2 * G * np.sqrt(w * a))), number(D * G * np.sqrt(a / w))


def _sums(h: list[float]) -> tuple[float, float, float]:
    """(a, w, S) with w = P / 2, a = V / 2 = w - S, S = Σ h; every term added is positive."""
    a = S = w = 0.0
    for x in reversed(h):
        a = a + x * x / (4 * w) if x < 2 * w else x - S
        S += x
        w = a + S
    return a, w, S


def _value(gamma: list[float], D: float, G: float) -> float:
    a, w, S = _sums(gamma)
    return G * G * a + D * D / (4 * w) if 2 * G * w >= D and w > 0 else D * G - G * G * S


def _all_horizons(h: Array, D: float, G: float) -> Array:
    from sftheory.bounds.chain_tree import every_horizon  # compiled, so imported when it is needed

    S, V = every_horizon(h, h, np.zeros(h.shape), curved=True)
    P = 2 * S + V
    with np.errstate(divide="ignore"):
        return np.where(G * P >= D, (D * D / P + G * G * V) / 2, D * G - G * G * S)


def _gradient(h: list[float]) -> list[float]:
    a = S = w = 0.0
    after = []  # w_{k+1}, from the last step to the first
    for x in reversed(h):
        after.append(w)
        a = a + x * x / (4 * w) if x < 2 * w else x - S
        S += x
        w = a + S
    p = min(1.0, 1 / (2 * w)) if w > 0 else 1.0
    u = 1 - p * p
    gradient = []
    for x, w in zip(h, reversed(after), strict=True):
        q = min(1.0, x / (2 * w)) if w > 0 else 1.0
        gradient.append(u * (1 + q) - 1)
        u *= 1 - q * q
    return gradient
