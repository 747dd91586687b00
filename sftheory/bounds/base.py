"""What the bounds share: their arguments, checked, and sums that do not cancel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError, constant, steps
from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]


def suffix_sums(a: Array) -> Array:
    """S_k = a_k + ... + a_N along the last axis, summed from the tail: nothing is subtracted."""
    return np.cumsum(a[..., ::-1], axis=-1)[..., ::-1]


def step_sizes(bound: str, gamma: Any) -> Array:
    """The steps of a bound on the last iterate: an array, or a last-iterate tableau's gamma.

    Raises:
        InputError: negative or not finite steps, or a tableau of another method; the sentence
            names the bounds for it.
    """
    if isinstance(gamma, Tableau):
        if (gamma.c == 1).all():
            return gamma.gamma
        raise InputError(
            f"bounds.{bound} covers the last iterate of SGD (c = 1), and this tableau averages; "
            f"use bounds.averaged, schedulet or schedule_free for averages whose weights are the "
            f"steps, bounds.certificate(traj) for any other."
        )
    return steps("gamma", gamma)


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
    last = constant(f"bounds.{bound}", "last", last)
    return np.concatenate([gamma, np.broadcast_to(last, (*gamma.shape[:-1], 1))], axis=-1)


def number(value: Array) -> Any:
    """A float if there is no batch axis, else the array."""
    return float(value) if np.ndim(value) == 0 else value
