"""Schedule-free: exact value at constant steps, online-to-batch, a-posteriori certificates."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from sftheory.bounds import BOUNDS
from sftheory.bounds.base import (
    Array,
    distance,
    gradient_norms,
    is_uniform_constant,
    number,
    one_norm,
    step_sizes,
)
from sftheory.core.errors import InputError, count, numbers, steps
from sftheory.core.tableau import Tableau
from sftheory.core.trajectory import Trajectory


@BOUNDS.register(
    ref="defazio2024",
    tex=r"\tfrac12 \Big( \frac{D^2}{\gamma (N+1)} + \gamma G^2 \Big) \text{ if } \gamma \geq"
    r" \frac{D}{G (N+1)}, \text{ else } D G - \tfrac12 \gamma G^2 N",
    assumes=("convex", "lipschitz"),
    attained="exactly, for every N, gamma and beta",
    covers=is_uniform_constant,
    tuned="schedule_free_tuned",
)
def schedule_free(gamma: ArrayLike | Tableau, N: int | None = None, *, D: float, G: float) -> Any:
    r"""Worst case of schedule-free with one constant step, exact for every beta_t in [0, 1].

    Problem: minimise a convex f with subgradients |g| <= G, from x_1 with |x_1 - x_*| <= D.
    Update: schedule-free with c_t = 1 / (t + 1); beta = 0 is Polyak, beta = 1 primal averaging.
    Guarantee: sup f(x_{N+1}) - f* is ½ (D² / (gamma (N + 1)) + gamma G²) if gamma >= D / (G (N +
        1)), otherwise D G - ½ gamma G² N. At gamma = D / (G sqrt(N + 1)) it is the minimax D G /
        sqrt(N + 1). It is `last_iterate` of the steps gamma (1 - k / (N + 1)).
    Shapes and units:
        gamma: a number or array (...) of constant steps, > 0, with N whole, >= 1; or a Tableau with
        one constant step and uniform weights, which has its own N.  D, G: > 0.
        Returns (...), units D G.

    Raises:
        InputError: gamma is negative, N < 1, or a constant is missing.

    References: defazio2024, Thm. 1 [number recalled] for the upper bound at the tuned step.

    Example:
        >>> round(schedule_free(0.5, 3, D=1, G=1), 9)
        0.5
    """
    if isinstance(gamma, Tableau):
        if N not in (None, gamma.steps):
            raise InputError(f"The tableau has N={gamma.steps} steps but N={N}; leave N out.")
        step, N = step_sizes("schedule_free", gamma)[..., 0], gamma.steps
    else:
        step = steps("gamma", np.atleast_1d(gamma)).reshape(np.shape(gamma))
    if N is None:
        raise InputError("bounds.schedule_free takes one constant step and N; pass N=..., too.")
    N = count("N", N)
    D, G = distance("schedule_free", D), one_norm("schedule_free", G)
    large = step * G * (N + 1) >= D
    safe = np.where(large, step, 1.0)
    exact = (D**2 / (safe * (N + 1)) + safe * G**2) / 2
    return number(np.where(large, exact, D * G - step * G**2 * N / 2))


def schedule_free_tuned(eta: ArrayLike, *, D: float, G: float) -> tuple[Any, Any]:
    """The base step for constant entries eta that makes `schedule_free` least, and that value.

    base * eta = D / (G sqrt(N + 1)), and the value is the minimax D G / sqrt(N + 1).

    Returns:
        (base, value), each (...), units D / G and D G.

    Raises:
        InputError: the entries are not constant and positive, or a constant is missing.
    """
    eta = steps("eta", eta)
    if (eta != eta[..., :1]).any() or (eta == 0).any():
        raise InputError("bounds.schedule_free_tuned needs one constant, positive step.")
    D, G = distance("schedule_free_tuned", D), one_norm("schedule_free_tuned", G)
    root = np.sqrt(eta.shape[-1] + 1)
    return number(D / (G * root * eta[..., 0])), number(D * G / (root * np.ones(eta.shape[:-1])))


@BOUNDS.register(
    ref="defazio2024",
    tex=r"\frac{\text{regret}}{\sum_t w_t}, \quad"
    r"\text{regret} \geq \textstyle\sum_{t \leq N+1} w_t \langle g_t, z_t - x_\star \rangle",
    assumes=("convex",),
    attained="where f is linear between the points",
)
def online_to_batch(weights: ArrayLike, *, regret: ArrayLike) -> Any:
    r"""The online-to-batch theorem as a calculator: regret / Σ w.

    Problem: minimise a convex F; stochastic gradients g_t at y_t = (1 - beta_t) z_t + beta_t x_t.
    Update: any base sequence z_t; x_t the mean of z_1, ..., z_t with weights w that are independent
        of the noise to come, beta_t in [0, 1].
    Guarantee: E[F(x_{N+1}) - F*] <= E[Σ_{t<=N+1} w_t <g_t, z_t - x_*>] / Σ w_t.
    Shapes and units:
        weights: (..., N + 1), >= 0.  regret: (...), a bound on the weighted linear regret, such as
        `regret_ogd`.  Returns (...).

    Raises:
        InputError: a weight is negative, or all are zero.

    References: defazio2024, Thm. 2 [number recalled].

    Example:
        >>> w = [1.0] * 4
        >>> round(online_to_batch(w, regret=regret_ogd([0.5] * 3, w, D=1, G=1)), 9)
        0.5
    """
    weights = steps("weights", weights)
    total = weights.sum(axis=-1)
    if (np.asarray(total) == 0).any():
        raise InputError("bounds.online_to_batch needs a positive weight; all are zero.")
    shape = np.shape(regret)
    return number(numbers("regret", np.atleast_1d(regret)).reshape(shape) / total)


def regret_ogd(gamma: ArrayLike, weights: ArrayLike, D: float, G: float | ArrayLike) -> Any:
    r"""Weighted regret of online gradient descent, z_{t+1} = z_t - gamma_t g_t.

    ½ [rho_1 D² + G² Σ_{t<=N+1} w_t gamma_t], rho_t = w_t / gamma_t, which must not increase, and
    gamma_{N+1} = w_{N+1} / rho_N: the last point's gradient is charged as if it were stepped on.

    Args:
        gamma: (..., N), > 0.
        weights: (..., N + 1), > 0.
        D: > 0, the distance to the comparator.
        G: > 0, one or N + 1.

    Returns:
        (...), units of weight times D G.

    Raises:
        InputError: a step or weight is zero or negative, the lengths do not fit, or rho_t increases
            (the sentence names t).
    """
    gamma, w = steps("gamma", gamma), steps("weights", weights)
    N = gamma.shape[-1]
    if w.shape[-1] != N + 1:
        raise InputError(
            f"regret_ogd needs N+1={N + 1} weights for N={N} steps, not {w.shape[-1]}."
        )
    if (gamma == 0).any() or (w == 0).any():
        raise InputError("regret_ogd divides weights by steps; pass steps and weights > 0.")
    norms = gradient_norms("regret_ogd", G, N)
    rho = w[..., :-1] / gamma
    rises = np.diff(rho, axis=-1) > 1e-12 * rho[..., :-1]
    if rises.any():
        t = int(np.argwhere(rises)[0][-1]) + 1
        raise InputError(
            f"regret_ogd needs w_t / gamma_t not to increase, but it does after step {t}; "
            f"use weights that grow no faster than the steps, such as weights = gamma."
        )
    charged = np.concatenate([gamma, w[..., -1:] / rho[..., -1:]], axis=-1)
    D = distance("regret_ogd", D)
    return number((rho[..., 0] * D**2 + (w * charged * norms**2).sum(axis=-1)) / 2)


def online_to_batch_run(traj: Trajectory, *, horizons: Literal["all"] | None = None) -> Array:
    r"""The online-to-batch bound that a run realised: Σ w_t <g_t, z_t - x_*> / Σ w_t.

    The weights are those that the tableau's c gives, whatever beta_t; for a stochastic oracle the
    bound holds in expectation, for a deterministic one on the run itself.

    Returns:
        (batch..., seed), for the reported point; with horizons="all" (batch..., seed, recorded
        step).

    Raises:
        InputError: the problem is not convex, or no minimiser is known.

    References: defazio2024, Thm. 2 [number recalled].
    """
    return _horizon(_needs("online_to_batch_run", traj, "linear_regret", "x_star"), horizons)


def certificate(traj: Trajectory, *, horizons: Literal["all"] | None = None) -> Array:
    r"""A bound on the run's own gap from what it saw: f_star, but no D, no G, no x_star.

    Problem: minimise a convex f; every tableau with beta_t, c_t in [0, 1], any base step.
    Guarantee: f(x_t) - f* <= C_t, where A_t = f(y_t) - f* + beta_t <g_t, z_t - x_t> is averaged as
        the points are, C_1 = A_1 and C_{t+1} = (1 - c_t) C_t + c_t A_{t+1}; and A_t <= <g_t,
        z_t - x_*>, so it is never above `online_to_batch_run`. For the last iterate (c = 1) it is
        the gap itself and says nothing new. A lower bound in place of f* keeps
        it valid. Stochastic oracles: in expectation.

    Returns:
        (batch..., seed), for the reported point; with horizons="all" (batch..., seed, recorded
        step).

    Raises:
        InputError: the problem is not convex, or f_star is not known.

    References: defazio2024, App. C; the form with known f* and the proof are in docs/theory.
    """
    return _horizon(_needs("certificate", traj, "certificate", "f_star"), horizons)


def _needs(bound: str, traj: Any, name: str, what: str) -> Array:
    if not isinstance(traj, Trajectory):
        raise InputError(f"bounds.{bound} reads a run: pass the Trajectory that run() returned.")
    sums = getattr(traj, name)
    if sums is None and not traj.convex:
        raise InputError(f"bounds.{bound} needs a convex problem, and {traj.problem} is not.")
    if sums is None:
        raise InputError(
            f"bounds.{bound} needs {what}, which {traj.problem} does not know; "
            f"set it on the problem, a lower bound in place of f_star will do."
        )
    return sums


def _horizon(sums: Array, horizons: str | None) -> Array:
    if horizons not in (None, "all"):
        raise InputError(f"horizons is None or 'all', not {horizons!r}.")
    return sums if horizons == "all" else sums[..., -1]
