"""What the bounds share: their arguments, checked, and sums that do not cancel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.bounds import BOUNDS
from sftheory.core.errors import InputError, constant, steps
from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]


def suffix_sums(a: Array) -> Array:
    """S_k = a_k + ... + a_N along the last axis, summed from the tail: nothing is subtracted."""
    return np.cumsum(a[..., ::-1], axis=-1)[..., ::-1]


def step_sizes(bound: str, gamma: Any) -> Array:
    """The steps that a bound is given: an array, or the gamma of a tableau that it covers.

    Raises:
        InputError: negative or not finite steps, or a tableau of a method that the bound does not
            cover; the sentence names the bounds that do.
    """
    if not isinstance(gamma, Tableau):
        return steps("gamma", gamma)
    if not covers(bound, gamma):
        raise not_covered(bound, gamma)
    return gamma.gamma


def covers(bound: str, tableau: Tableau) -> bool:
    """Whether a registered bound holds for a tableau."""
    predicate = (BOUNDS[bound].facts or {}).get("covers")
    return predicate is not None and bool(predicate(tableau))


def not_covered(bound: str, tableau: Tableau) -> InputError:
    """The error for a tableau that a bound does not cover."""
    others = [f"bounds.{name}" for name in BOUNDS.names() if covers(name, tableau)]
    if others:
        return InputError(f"bounds.{bound} does not cover this method; use {' or '.join(others)}.")
    return InputError(f"bounds.{bound} does not cover this method; {NO_BOUND}.")


NO_BOUND = (
    "averages are covered where their weights are the steps (weights='gamma': schedulet, averaged) "
    "or uniform with one constant step (schedule_free), any other by bounds.certificate(traj) "
    "after a run"
)


def is_last_iterate(tableau: Tableau) -> bool:
    """c = 1: x is z, whatever beta."""
    return bool((tableau.c == 1).all())


def weights_are_steps(tableau: Tableau) -> bool:
    """c_t = gamma_{t+1} / (gamma_1 + ... + gamma_{t+1}) with gamma_{N+1} = gamma_N."""
    gamma = with_last("", tableau.gamma, None)
    total = np.cumsum(gamma, axis=-1)
    c = np.divide(gamma, total, out=np.zeros_like(total), where=total > 0)[..., 1:]
    return bool(np.allclose(tableau.c, c, rtol=1e-12, atol=0))


def averages_steps(tableau: Tableau) -> bool:
    """Weights equal to the steps, and gradients at the base sequence: beta = 0."""
    return bool((tableau.beta == 0).all()) and weights_are_steps(tableau)


def is_uniform_constant(tableau: Tableau) -> bool:
    """One constant step, and c_t = 1 / (t + 1)."""
    c = 1 / np.arange(2, tableau.steps + 2)
    constant_steps = (tableau.gamma == tableau.gamma[..., :1]).all()
    return bool(constant_steps) and bool(np.allclose(tableau.c, c, rtol=1e-12, atol=0))


def gradient_norms(bound: str, G: Any, N: int) -> Array:
    """G as an array that broadcasts to (..., N + 1).

    Raises:
        InputError: G is missing or not positive, or is an array of another length.
    """
    G = np.asarray(constant(f"bounds.{bound}", "G", G))
    if G.ndim and G.shape[-1] != N + 1:
        raise InputError(
            f"bounds.{bound} needs one G or N+1={N + 1} of them, the last at the reported point, "
            f"but got {G.shape[-1]}."
        )
    return G if G.ndim else np.broadcast_to(G, (N + 1,))


def one_norm(bound: str, G: Any) -> float:
    """G as one number.

    Raises:
        InputError: G is missing, not positive, or an array.
    """
    G = constant(f"bounds.{bound}", "G", G)
    if not isinstance(G, float):
        raise InputError(
            f"bounds.{bound} holds for one G; pass G=G.max(), or use bounds.omega with N+1 norms."
        )
    return G


def distance(bound: str, D: Any) -> float:
    """D as one number.

    Raises:
        InputError: D is missing, not positive, or an array.
    """
    D = constant(f"bounds.{bound}", "D", D)
    if not isinstance(D, float):
        raise InputError(f"bounds.{bound} needs one distance D, but got {len(D)} of them.")
    return D


def with_last(bound: str, gamma: Array, last: float | None) -> Array:
    """gamma and the weight of the reported point: `last`, or gamma_N again; (..., N + 1).

    Raises:
        InputError: last is not positive.
    """
    if last is None:
        return np.concatenate([gamma, gamma[..., -1:]], axis=-1)
    tau = np.asarray(constant(f"bounds.{bound}", "last", last))
    return np.concatenate([gamma, np.broadcast_to(tau, (*gamma.shape[:-1], 1))], axis=-1)


def number(value: Any) -> Any:
    """A float if there is no batch axis, else the array."""
    return float(value) if np.ndim(value) == 0 else value
