r"""The hull condition: when an averaging method's worst case is that of its effective schedule.

For a chain P_1, ..., P_{N+1} of the effective schedule h (P_k >= ψ_{h_k}(P_{k+1})) the virtual
pair is

    T'_0 = 1,  T'_k = T'_{k-1} (P_{k+1} + h_k) / P_k,  gamma'_k = h_k / T'_k,
    z'_k = x_1 - Σ_{l<k} gamma'_l g_l.

If every oracle point and the report, y_k, lies in the convex hull of z'_k and of y_1, ..., y_{k-1},

    y_k = π_k z'_k + Σ_{j<k} ρ_jk y_j,    π, ρ >= 0,

then the worst case is exactly W(h): the numbers π, ρ make the multipliers of a proof of the upper
bound, and the worst function of h attains it. The natural chain has P_1 = max(M_1, D/G) and
P_{k+1} = max(M_{k+1}, h_k).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sftheory.core.tableau import Tableau
from sftheory.worst_cases.recursion import chain

Array = NDArray[np.float64]
TOLERANCE = 1e-9


def natural_chain(h: Array, D: float, G: float) -> Array:
    """P_1 = max(M_1, D/G), P_{k+1} = max(M_{k+1}, h_k) of steps h > 0, (N + 1,)."""
    M = chain(np.ascontiguousarray(h))
    return np.concatenate([[max(M[0], D / G)], np.maximum(M[1:], h)])


def virtual_steps(h: Array, P: Array) -> Array:
    """gamma' of a chain, (N,)."""
    return h / np.cumprod((P[1:] + h) / P[:-1])


def weights(H: Array, h: Array, P: Array) -> tuple[Array, Array]:
    """π (N + 1,) and ρ (N + 1, N + 1), ρ[j, k] the weight of y_j in y_k, by substitution, O(N³).

    H must have non-zero entries below its diagonal. The hull condition is that all are >= 0.
    """
    N = len(h)
    virtual = virtual_steps(h, P)
    pi, rho = np.zeros(N + 1), np.zeros((N + 1, N + 1))
    pi[0] = 1
    for k in range(1, N + 1):
        pi[k] = H[k, k - 1] / virtual[k - 1]
        # H[k] = pi virtual + Σ_j rho_j H[j]: entry l only meets rows j > l, so solve from the end
        rest = H[k] - pi[k] * np.where(np.arange(N) < k, virtual, 0)
        for row in range(k - 1, 0, -1):
            rho[row, k] = rest[row - 1] / H[row, row - 1]
            rest = rest - rho[row, k] * H[row]
        rho[0, k] = 1 - pi[k] - rho[1:, k].sum()
    return pi, rho


def margin(tableau: Tableau, h: Array, P: Array) -> float:
    r"""The hull condition for a tableau with gamma, c > 0, in O(N): that the margin is >= 0.

    With a_l = gamma'_l / gamma_l (a_0 = 1) and b_k = beta_k + (1 - beta_k) / c_{k-1} (1 for the
    first point and the report), y_k = b_k x_k - (b_k - 1) x_{k-1}, and z'_k is a combination of the
    x_l whose coefficients below l = k - 1 do not depend on k. Written in the y_l they must be <= 0:
    a running threshold suffices.
    """
    N = tableau.steps
    a = np.concatenate([[1.0], virtual_steps(h, P) / tableau.gamma]).tolist()
    c = np.concatenate([[np.nan, 1.0], tableau.c]).tolist()
    beta = tableau.beta.tolist()
    b = [np.nan, 1.0, *(beta[k] + (1 - beta[k]) / c[k + 1] for k in range(1, N)), 1.0]
    threshold, least = 0.0, np.inf
    for k in range(2, N + 2):
        newest = a[k - 1] / c[k]
        before = -a[k - 1] * (1 / c[k] - 1) - (a[k - 1] - a[k - 2]) / c[k - 1]
        slack = threshold - (before + (1 - 1 / b[k]) * newest) / b[k - 1]
        least = min(least, slack * b[k] / newest)
        if k <= N:
            bend = (a[k] - a[k - 1]) * (1 / c[k] - 1) - (a[k - 1] - a[k - 2]) / c[k - 1]
            if abs(bend) < 1e-12 * a[k] / c[k]:
                bend = 0.0  # rounding, which b near 1 would amplify
            rest = b[k - 1] * threshold - bend
            if b[k] > 1:
                threshold = min(0.0, rest / (b[k] - 1))
            else:
                threshold = 0.0 if rest >= 0 else -np.inf
    return float(least)


def multipliers(H: Array, h: Array, P: Array) -> tuple[Array, Array]:
    r"""The multipliers of the upper bound: λ_* (N + 1,) and λ (N + 1, N + 1); H is (N + 1, N).

    λ_{*k} belongs to f_* >= f_k + <g_k, x_* - y_k>, λ[j, k] to f_j >= f_k + <g_k, y_j - y_k>. With
    m_k the probability that the walk "from k go to j with probability ρ_jk, stop with probability
    π_k", started at the report, visits k: λ_{*k} = m_k π_k and λ[j, k] = m_k ρ_jk.
    """
    pi, rho = weights(H, h, P)
    m = np.zeros(len(pi))
    m[-1] = 1
    for k in range(len(pi) - 2, -1, -1):
        m[k] = rho[k] @ m
    return m * pi, m * rho


def diagonal(h: Array, P: Array) -> Array:
    """The multipliers of |x_1 - x_*|² <= D² and of |g_k|² <= G_k² that go with them, (N + 2,)."""
    return np.concatenate([[1 / P[0]], P[:-1] - P[1:] - 2 * h, P[-1:]]) / 2


def schedule_free_upper(tableau: Tableau, h: Array, D: float, G: float) -> float:
    r"""An upper bound for every weighted average and every beta, O(N).

    ½ [D²/P + G² (P - 2 Σ h)] with P the largest of D/G and gamma_1 + ... + gamma_k +
    gamma_k ω_{>k}/ω_k over k.
    inf where a weight is zero but its step is not.
    """
    gamma, c = tableau.gamma, np.concatenate([[1.0], tableau.c])
    with np.errstate(divide="ignore", invalid="ignore"):  # c = 1 forgets; a weight may be 0
        log_kept = np.concatenate([np.cumsum(np.log1p(-c[:0:-1]))[::-1], [0.0]])
        omega = c * np.exp(log_kept)  # the weight of z_k in the report
        after = 1 - np.cumsum(omega)[:-1]
        reach = np.cumsum(gamma) + np.where(gamma > 0, gamma * after / omega[:-1], 0.0)
    used = np.arange(len(gamma)) < len(omega) - np.argmax(omega[::-1] > 0)  # before the last weight
    P = max(D / G, float(np.max(reach[used], initial=0.0)))
    return (D * D / P + G * G * (P - 2 * float(h.sum()))) / 2 if np.isfinite(P) else np.inf
