r"""How far schedule-free with Adam's scaling bounces across a valley at the edge of stability.

Schedule-free with one adaptive scale, ν <- β2 ν + (1 - β2) |g|² and steps γ g / sqrt(ν), sharpens
until the largest curvature S of f reaches 2 sqrt(ν) / ((1 - β1) γ), where y starts to bounce along
the top eigenvector of the Hessian. The mean of y then follows a flow in which the bouncing enters
through its variance σ² alone,

    dy/dt = -(1 - β1) γ / sqrt(ν) (∇f + ½ σ² ∇S),   dν/dt = k (|∇f|² + S² σ² - ν),

k = (1 - β2) / β2, and σ² is what keeps S / sqrt(ν) = 2 / ((1 - β1) γ) true.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant, real

Array = NDArray[np.float64]


def variance_at_the_edge(
    sharpness: ArrayLike,
    sharpness_gradient: ArrayLike,
    gradient: ArrayLike,
    *,
    gamma: float,
    beta1: float,
    beta2: float,
) -> Array:
    r"""The variance of y along the top eigenvector, at the edge of stability.

    Formula: with A = 2 k / ((1 - β1) γ)², k = (1 - β2) / β2,
        σ² = (½ k S² - 2 <∇S, ∇f> - A |∇f|²) / (|∇S|² + A S²),
        and 0 where that is negative: there the flow leaves the edge by itself. It decreases in β1.
        Where ∇f and ∇S are small σ = (1 - β1) γ / 2: each step throws y across the valley.
    Shapes and units:
        sharpness: (...), S > 0, the largest eigenvalue of the Hessian at the mean of y.
        sharpness_gradient, gradient: (..., d), ∇S and ∇f there. gamma: > 0, the constant step.
        Returns (...), the square of a distance.

    Args:
        sharpness: as above.
        sharpness_gradient: as above.
        gradient: as above.
        gamma: as above.
        beta1: the interpolation of schedule-free, in [0, 1).
        beta2: the decay of ν, in (0, 1).

    Raises:
        InputError: a constant is out of range, or the shapes do not fit.

    References: song2025 has a central flow for this method; its display was not readable, and this
        is derived anew from the two equations of the module's docstring.

    Example:
        >>> flat = dict(sharpness_gradient=[0.0], gradient=[0.0])
        >>> float(variance_at_the_edge(3.0, **flat, gamma=0.1, beta1=0.5, beta2=0.99)) ** 0.5
        0.025
    """
    gamma = constant("variance_at_the_edge", "gamma", gamma)
    beta1, beta2 = real("beta1", beta1, 0, 1), real("beta2", beta2, 0, 1)
    if beta1 == 1 or beta2 in (0, 1):
        raise InputError(
            f"variance_at_the_edge needs beta1 < 1 and 0 < beta2 < 1, but got {beta1:g}, {beta2:g}."
        )
    S = np.asarray(sharpness, dtype=float)
    slope = np.asarray(sharpness_gradient, dtype=float)
    g = np.asarray(gradient, dtype=float)
    if slope.shape != g.shape or slope.shape[:-1] != S.shape or not (S > 0).all():
        raise InputError(
            f"sharpness must be > 0 with shape (...) and both gradients (..., d), but the shapes "
            f"are {S.shape}, {slope.shape} and {g.shape}, the least sharpness {S.min():g}."
        )
    k = (1 - beta2) / beta2
    A = 2 * k / ((1 - beta1) * gamma) ** 2
    pull = k / 2 * S**2 - 2 * (slope * g).sum(-1) - A * (g * g).sum(-1)
    return np.maximum(pull / ((slope * slope).sum(-1) + A * S**2), 0)
