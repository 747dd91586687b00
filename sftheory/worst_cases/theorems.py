"""The worst case of the last iterate, and of what shares it, as theorems give it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sftheory.worst_cases import program, recursion, varying_norms
from sftheory.worst_cases.double_double import SMALLEST
from sftheory.worst_cases.enclosure import enclose, outward
from sftheory.worst_cases.hard_functions import MaxOfLinear
from sftheory.worst_cases.result import WorstCase

Array = NDArray[np.float64]


def one_norm(norms: Array) -> bool:
    """Whether all norms are equal."""
    return bool((norms == norms[0]).all())


def by_theorem(
    h: Array,
    D: float,
    norms: Array,
    certify: str | None,
    path: Literal["last iterate", "hull"],
    multipliers: tuple[Array, Array] | None = None,
) -> WorstCase:
    """The worst case of steps h by the recursion or, for norms that differ, over chains."""
    taken = h > 0  # a step of zero changes nothing
    steps = np.ascontiguousarray(h[taken])
    G = norms if one_norm(norms) else norms[np.append(taken, True)]
    if one_norm(G) or not taken.any():
        value, lower, upper, certified = _recursion(steps, D, float(G[-1]), certify)
        function = MaxOfLinear.of_steps(steps, D=D, G=float(G[-1]))
        gradient = _gradient(h, D, float(G[-1]))
    else:
        saddle = varying_norms.solve(steps, D, G)
        value, lower, upper = saddle.upper, saddle.lower, saddle.upper
        closed = upper - lower <= program.ACCURACY * upper
        certified = certify if certify and closed else "none"
        function = saddle.function(steps, D, G)
        gradient = np.full(len(h), np.nan)  # not known at a step of zero
        gradient[taken] = saddle.gradient(steps, G)
    if path == "hull" and certified == "rational":
        certified = "float"  # the value is, the hull condition was checked in doubles
    return WorstCase(
        value=value,
        lower=lower,
        upper=upper,
        certified=certified,
        path=path,
        function=function,
        multipliers=multipliers,
        gradient=gradient,
        effective_schedule=h,
    )


def _recursion(
    steps: Array, D: float, G: float, certify: str | None
) -> tuple[float, float, float, str]:
    value = float(recursion.values(steps[None], D, G)[0]) if len(steps) else D * G
    if certify is None or len(steps) == 0:
        return value, value, value, certify or "none"
    if certify == "rational" and steps.min() >= SMALLEST * steps.max():
        lower, upper = outward(*enclose(steps, D, G))
        return min(max(value, lower), upper), lower, upper, "rational"
    lower, upper = recursion.directed(steps, D, G)
    return value, lower, upper, "float"


def _gradient(h: Array, D: float, G: float) -> Array:
    """-G² c_k = G² (U_k (1 + q_k) - 1); at a step of zero q_k = 0 if later steps are taken."""
    gradient = np.empty(len(h))
    taken = h > 0
    if not taken.any():
        return np.full(len(h), -G * G)
    _, q, U = recursion.worst_parameters(np.ascontiguousarray(h[taken]), D, G)
    gradient[taken] = G * G * (U * (1 + q) - 1)
    after = np.append(U, U[-1] * (1 - q[-1] ** 2))
    index = np.cumsum(taken)  # of the next step that is taken
    later = index < taken.sum()
    gradient[~taken] = (G * G * (after[index] * np.where(later, 1, 2) - 1))[~taken]
    return gradient
