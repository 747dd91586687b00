"""The bound Ω on the last iterate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import (
    Array,
    distance,
    gradient_norms,
    is_last_iterate,
    number,
    step_sizes,
    suffix_sums,
)
from sftheory.bounds.horizons import all_asked, free_entries
from sftheory.core.errors import InputError, constant, steps
from sftheory.core.tableau import Tableau


@BOUNDS.register(
    ref="schaipp2025",
    tex=r"\Omega = \tfrac12 \Big[ \frac{D^2}{S_1 + \tau} + \sum_{k \leq N}"
    r" \frac{\gamma_k^2 G_k^2}{S_{k+1} + \tau} + \tau G_{N+1}^2 \Big], \quad"
    r" S_k = \textstyle\sum_{i \geq k} \gamma_i",
    assumes=("convex", "lipschitz"),
    attained="never; twice the exact worst case for long runs that decay to zero",
    covers=is_last_iterate,
    tuned="omega_tuned",
)
def omega(
    gamma: ArrayLike | Tableau,
    *,
    D: float,
    G: float | ArrayLike,
    last: float | ArrayLike | None = None,
    horizons: Literal["all"] | None = None,
) -> Any:
    r"""The bound Ω on f(x_{N+1}) - f* for any steps and any gradient norms.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t; reported is x_{N+1}.
    Guarantee: f(x_{N+1}) - f* <= Ω(gamma; tau) for every tau > 0, the free last entry:
        Ω = ½ [D² / (S_1 + tau) + Σ_{k<=N} gamma_k² G_k² / (S_{k+1} + tau) + tau G_{N+1}²].
        This is the paper's double sum, telescoped (`omega_terms` has the paper's three terms).
        Jointly convex in (gamma, tau). Where it decays to zero it tends to twice the exact value.
    Shapes and units:
        gamma: (..., N), >= 0.  D: > 0.  G: > 0, one or N + 1.  last: tau > 0, (...) or a number;
        None takes the best. Returns (...), units D G; with horizons="all" (..., N): entry t - 1
        bounds the point after t steps, with free entry gamma_{t+1}, and `last`, which is then
        required, for t = N. O(N), all horizons O(N log N), to 1e-12 (`chain_tree`).
    Index map: a paper's Ω_T over eta_1, ..., eta_T is omega(eta[:-1], last=eta[-1]), T = N + 1, and
        with horizons="all" that is Ω_2, ..., Ω_T.

    Raises:
        InputError: a step is negative, tau is not positive, or a constant is missing.

    References: schaipp2025, Thm. 1; defazio2023, Thm. 10 [numbers recalled].

    Example:
        >>> from sftheory.schedules import Linear
        >>> eta = Linear()(400) / 20
        >>> bool(1.95 < 20 * omega(eta[:-1], D=1, G=1, last=eta[-1]) < 2.02)
        True
    """
    gamma, G = steps_and_norms("omega", step_sizes("omega", gamma), G)
    D = distance("omega", D)
    if all_asked(horizons):
        return _all_horizons(gamma, D, G, free_entries("omega", gamma, last))
    tau = _best_last(gamma, D, G) if last is None else _given(last)
    b, v = _parts(gamma, D, G, tau)
    return number(b + v)


def omega_terms(
    gamma: ArrayLike | Tableau, *, D: float, G: float | ArrayLike, last: float | None = None
) -> tuple[Any, Any, Any]:
    r"""The three terms of Ω as the paper writes it, over the N + 1 entries eta = (gamma, last):

        t1 = D² / (2 B_1),    t2 = Γ_1 / (2 B_1),    t3 = ½ Σ_{k<=N} eta_k Γ_k / (B_{k+1} B_k)

    with B_k = Σ_{t>=k} eta_t and Γ_k = Σ_{t>=k} eta_t² G_t². Their sum is `omega`.

    Returns:
        (t1, t2, t3), each (...).

    Raises:
        InputError: as `omega`.
    """
    gamma, G = steps_and_norms("omega_terms", step_sizes("omega", gamma), G)
    D = distance("omega_terms", D)
    tau = _best_last(gamma, D, G) if last is None else _given(last)
    eta = np.concatenate([gamma, np.broadcast_to(tau, gamma.shape[:-1])[..., None]], axis=-1)
    B, Gamma = suffix_sums(eta), suffix_sums(eta**2 * G**2)
    t3 = (eta[..., :-1] * Gamma[..., :-1] / (B[..., 1:] * B[..., :-1])).sum(axis=-1) / 2
    return number(D**2 / (2 * B[..., 0])), number(Gamma[..., 0] / (2 * B[..., 0])), number(t3)


def omega_tuned(
    eta: ArrayLike, *, D: float, G: float | ArrayLike, last: float | ArrayLike | None = None
) -> tuple[Any, Any]:
    r"""The base step for a shape eta that makes Ω least, and that value.

    Scaling all N + 1 entries by rho gives Ω = b / rho + v rho, so base = sqrt(b / v) and the value
    is 2 sqrt(b v). With last=None the free entry is tuned as well.

    Args:
        eta: (..., N), the shape of the steps.
        D: > 0.
        G: > 0, one or N + 1.
        last: the last entry of the shape, scaled with the others; None takes the best.

    Returns:
        (base, value), each (...), units D / G and D G.

    Raises:
        InputError: as `omega`, or all steps are zero.

    Example:
        >>> from sftheory.schedules import Linear
        >>> eta = Linear()(400)
        >>> base, value = omega_tuned(eta[:-1], D=1, G=1, last=eta[-1])
        >>> round(base * 20, 4), round(value * 20, 4)
        (0.9913, 2.0126)
    """
    eta = steps("eta", eta)
    if (eta.max(axis=-1) == 0).any():
        raise InputError("bounds.omega_tuned needs a positive step; all of eta are zero.")
    eta, G = steps_and_norms("omega_tuned", eta, G)
    D = distance("omega_tuned", D)
    if last is not None:
        b, v = _parts(eta, D, G, _given(last))
        return number(np.sqrt(b / v)), number(2 * np.sqrt(b * v))
    b, v = _parts(eta, D, G, _best_last_tuned(eta, G))
    return number(np.sqrt(b / v)), number(2 * np.sqrt(b * v))


def steps_and_norms(bound: str, gamma: Array, G: Any) -> tuple[Array, Array]:
    """Steps (..., N) and norms (..., N + 1) with the same batch axes.

    Raises:
        InputError: a norm is not positive, or the lengths or batch axes do not fit.
    """
    G = gradient_norms(bound, G, gamma.shape[-1])
    try:
        batch = np.broadcast_shapes(gamma.shape[:-1], G.shape[:-1])
    except ValueError:
        raise InputError(
            f"bounds.{bound} got steps of shape {gamma.shape} and norms of shape {G.shape}; "
            f"make their batch axes equal."
        ) from None
    return (
        np.broadcast_to(gamma, (*batch, gamma.shape[-1])),
        np.broadcast_to(G, (*batch, G.shape[-1])),
    )


def _given(last: Any) -> Array:
    return np.asarray(constant("bounds.omega", "last", last))


def _parts(gamma: Array, D: float, G: Array, tau: Array) -> tuple[Array, Array]:
    """(b, v): the term with D and the two others; a step of zero adds nothing."""
    S, after = _sums(gamma)
    noise = (gamma**2 * G[..., :-1] ** 2 / (after + tau[..., None])).sum(axis=-1)
    return D**2 / (S + tau) / 2, (noise + tau * G[..., -1] ** 2) / 2


def _sums(gamma: Array) -> tuple[Array, Array]:
    """S_1 and all S_{k+1}."""
    S = suffix_sums(gamma)
    return S[..., 0], np.concatenate([S[..., 1:], np.zeros_like(S[..., :1])], axis=-1)


def _best_last(gamma: Array, D: float, G: Array) -> Array:
    """The tau > 0 that makes Ω least.

    There (D / (S_1 + tau))² + Σ (gamma_k G_k / (S_{k+1} + tau))² = G_{N+1}².
    """
    S, after = _sums(gamma)
    top = np.full_like(S, D)[..., None]
    r = np.concatenate([top, gamma * G[..., :-1]], axis=-1) / G[..., -1:]
    after = np.concatenate([S[..., None], after], axis=-1)

    def excess(tau: Array) -> tuple[Array, Array]:
        pull = (r / (after + tau)) ** 2
        return pull.sum(axis=-1) - 1, 2 * (pull / (after + tau)).sum(axis=-1)

    return _rising_newton(excess, start=np.max(r - after, axis=-1))


def _best_last_tuned(eta: Array, G: Array) -> Array:
    """The tau > 0 that makes b v least, the base step being tuned as well.

    There Σ q_k [2 s_k + (S_1 - S_{k+1}) s_k²] = S_1 with s_k = 1 / (S_{k+1} + tau) and
    q_k = (eta_k G_k / G_{N+1})²: the derivative of log b v is zero.
    """
    S, after = _sums(eta)
    ahead = S[..., None] - after
    q = (eta * G[..., :-1] / G[..., -1:]) ** 2

    def excess(tau: Array) -> tuple[Array, Array]:
        s = 1 / (after + tau)
        value = (q * s * (2 + ahead * s)).sum(axis=-1) - S
        return value, 2 * (q * s * s * (1 + ahead * s)).sum(axis=-1)

    # a single term balances the right side where q d s² + 2 q s = S; the largest such tau is left
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = (q + np.sqrt(q * q + q * ahead * S[..., None])) / S[..., None] - after
    return _rising_newton(excess, start=np.max(alone, axis=-1))


def _rising_newton(excess: Callable[[Array], tuple[Array, Array]], start: Array) -> Array:
    """The root of a decreasing, convex function of tau from a point left of it.

    Newton's iterates rise to it, so that none passes it and each at the end squares the error.
    """
    tau = start
    for _ in range(200):
        value, fall = excess(tau[..., None])
        move = value / fall
        tau = tau + np.maximum(move, 0)
        if (move <= 1e-15 * tau).all():
            break
    return tau


def _all_horizons(gamma: Array, D: float, G: Array, tau: Array) -> Array:
    """Ω after t = 1, ..., N steps; a free entry of zero bounds nothing, and gives inf."""
    from sftheory.bounds.chain_tree import every_horizon  # compiled, so imported when it is needed

    S, V = every_horizon(gamma, gamma * G[..., :-1], tau, curved=False)
    with np.errstate(divide="ignore"):
        values = (D**2 / S + 2 * V + tau * G[..., 1:] ** 2) / 2
    return np.where(tau > 0, values, np.inf)
