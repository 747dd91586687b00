r"""When a tableau is stable on a quadratic.

With frozen step γ, interpolation β, averaging c and inner momentum μ, (z, x, m) of a mode λ follow
a constant matrix; the method is stable where its spectral radius is at most 1. Its determinant is
(1 - c) μ, and trace and sum of principal minors are affine in a = γ λ,

    T = 2 - c + μ - (1 - μ)(1 - β + c β) a,  M = 1 - c + μ (2 - c) - (1 - μ)(1 - β)(1 - c) a,

so that each of Jury's conditions 1 + T + M + det > 0 and |M - det T| < 1 - det² is a bound on a.
Without momentum only the first binds:

    γ λ < 2 (2 - c) / (2 (1 - β) + c (2 β - 1)),   which tends to 2 / (1 - β) as c -> 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, numbers, real
from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]


def critical_step(
    beta: ArrayLike, c: ArrayLike = 0.0, *, momentum: float = 0.0, decay: ArrayLike = 0.0
) -> Array:
    r"""The largest stable γ λ of a schedule-free method with frozen settings.

    Args:
        beta: in [0, 1].
        c: in [0, 1]; 0 is the limit of vanishing averaging weights.
        momentum: μ in [0, 1), of m_t = μ m_{t-1} + (1 - μ) g_t inside the method.
        decay: γ times the weight decay at y, added to the gradient, z <- z - γ (g + decay y); it
            adds to γ λ (with momentum only if it passes through m). With a preconditioner P, λ is
            an eigenvalue of P^-1 H.

    Returns:
        The threshold of γ λ, broadcast over beta, c and decay; inf for beta = 1 at c = 0.

    Raises:
        InputError: beta, c or momentum is out of range.

    References: song2025 for c -> 0; the rest from the characteristic polynomial.

    Example:
        >>> round(float(critical_step(0.9)), 9), round(float(critical_step(0.9, c=1.0)), 9)
        (20.0, 2.0)
    """
    beta, c, decay = np.broadcast_arrays(*(np.asarray(v, float) for v in (beta, c, decay)))
    for name, value in (("beta", beta), ("c", c)):
        if not ((value >= 0) & (value <= 1)).all():
            raise InputError(f"{name} must lie in [0, 1], but got {value!r}.")
    mu = real("momentum", momentum, 0)
    if mu >= 1:
        raise InputError(f"momentum must be in [0, 1), but got {momentum!r}.")
    det, t1 = (1 - c) * mu, (1 - mu) * (1 - beta + c * beta)
    m1 = (1 - mu) * (1 - beta) * (1 - c)
    T, M = 2 - c + mu, 1 - c + mu * (2 - c)
    room, first, slope = 1 - det * det, M - det * T, det * t1 - m1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        signs = (1 + T + M + det) / (t1 + m1)  # an eigenvalue reaches -1
        turns = np.where(slope > 0, room - first, room + first) / np.abs(slope)  # a complex pair
    return np.minimum(signs, np.where(slope == 0, np.inf, turns)) - decay


def transition(step: float, beta: float, c: float, momentum: float = 0.0) -> Array:
    """The matrix of (z, x, m) for γ = 1, λ = step, (3, 3)."""
    u, w = (1 - momentum) * step * (1 - beta), (1 - momentum) * step * beta
    z = np.array([1 - u, -w, -momentum])
    x = c * z + np.array([0, 1 - c, 0])
    return np.array([z, x, [u, w, momentum]])


def spectral_radius(step: ArrayLike, beta: float, c: float, *, momentum: float = 0.0) -> Array:
    """Largest modulus of the eigenvalues of `transition`, for every γ λ in `step`."""
    critical_step(beta, c, momentum=momentum)  # checks the ranges
    steps = numbers("step", np.atleast_1d(np.asarray(step)))
    matrices = np.array([transition(s, beta, c, momentum) for s in steps.ravel()])
    radius = np.abs(np.linalg.eigvals(matrices)).max(axis=-1)
    return radius.reshape(np.shape(step))


def transient_growth(step: float, tableau: Tableau, *, momentum: float = 0.0) -> Array:
    r"""How far a mode that starts at 1 is driven out before it settles: |x_t|, (N + 1,).

    Schedule-free is stable up to its limit threshold, but c_t = 1/t approaches the limit slowly:
    between the threshold of c_t and that of c = 0 a mode grows for many steps first.

    Args:
        step: λ times the unit of gamma, >= 0.
        tableau: one method; γ_t λ is step times gamma_t.
        momentum: inner momentum.
    """
    if tableau.batch:
        raise InputError("transient_growth takes one tableau; index the batch.")
    z = x = 1.0
    m, path = 0.0, [1.0]
    arrays = (part.tolist() for part in (tableau.gamma, tableau.beta, tableau.c))
    for gamma, beta, c in zip(*arrays, strict=True):
        m = momentum * m + (1 - momentum) * step * ((1 - beta) * z + beta * x)
        z -= gamma * m
        x = (1 - c) * x + c * z
        path.append(abs(x))
    out = np.array(path)
    return np.where(np.isnan(out), np.inf, out)


def stability_map(
    betas: ArrayLike, steps: ArrayLike, c: float = 0.0, *, momentum: float = 0.0
) -> Array:
    """Spectral radius over a grid, (len(betas), len(steps)); steps are values of γ λ."""
    return np.array(
        [
            spectral_radius(np.asarray(steps, float), float(b), c, momentum=momentum)
            for b in np.atleast_1d(np.asarray(betas, float))
        ]
    )


def threshold_broken(tableau: Tableau, lam: Array, momentum: float) -> float:
    """γ_N λ_max over the largest stable value at the settings of the last step."""
    last = (float(part[-1]) for part in (tableau.gamma, tableau.beta, tableau.c))
    gamma, beta, c = last
    return gamma * float(np.max(lam)) / float(critical_step(beta, c, momentum=momentum))
