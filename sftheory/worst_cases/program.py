"""A worst case by the semidefinite program: bounded from both sides, whatever the solver says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, iterate
from sftheory.worst_cases import exact, recursion, sdp
from sftheory.worst_cases.enclosure import outward
from sftheory.worst_cases.hard_functions import MaxOfLinear
from sftheory.worst_cases.interpolation import Interpolation, functions_of
from sftheory.worst_cases.points import Criterion, Points, points_of
from sftheory.worst_cases.result import WorstCase

Array = NDArray[np.float64]
ACCURACY = 1e-5  # of the scale: what upper - lower must come to, for the program to decide
APART = 1e-7  # of the scale: by how much all inequalities are tightened where pieces must not tie


def decide(
    tableau: Tableau,
    criterion: Criterion,
    D: float,
    norms: Array | None,
    L: float | None,
    mu: float,
    certify: str | None,
) -> WorstCase:
    """The program's value with a repaired bound above and an attained value below.

    The causal inequalities first; all of them, a little tightened, where a gap is left.

    Raises:
        InputError: more points than the program takes.
    """
    points = points_of(tableau, criterion)
    h = tableau.effective_schedule()
    if len(points) > sdp.LIMIT + 1:
        raise _too_long(points, h, D, norms)
    G = float(norms.max()) if norms is not None else float(L or 1.0) * D
    if norms is not None and len(points) > len(norms):  # reported points of their own
        norms = np.full(len(points), G)
    functions = sdp.Class(
        norms=None if norms is None else norms / G,
        L=None if L is None else L * D / G,
        mu=mu * D / G,
    )
    unit = Points(points.rows * (G / D), points.reported, points.best)
    attempts = [(not functions.plain, 0.0 if functions.plain or L else APART)]
    if functions.plain and len(points) <= sdp.FULL_LIMIT + 1:
        attempts.append((True, APART))
    lower, function, proofs = -np.inf, None, []
    for full, apart in attempts:
        proofs.append(sdp.solve(unit, functions, full=full, apart=apart))
        upper = min(proof.upper for proof in proofs) * D * G
        for candidate in functions_of(proofs[-1], unit, functions, D=D, G=G):
            reached = attained(tableau, candidate, criterion, norms)
            if reached > lower:
                lower, function = reached, candidate
            if upper - lower <= ACCURACY * D * G / 5:
                break
        if upper - lower <= ACCURACY * D * G:
            break
    proof = min(proofs, key=lambda proof: proof.upper)
    upper = proof.upper * D * G
    assert function is not None
    closed = upper - lower <= ACCURACY * D * G
    M = len(points)
    found = WorstCase(
        value=float(min(max(proofs[-1].value * D * G, lower), upper)),
        lower=float(lower),
        upper=float(upper),
        certified="float" if closed and certify else "none",
        path="sdp",
        function=function,
        multipliers=(proof.multipliers[M, :M], proof.multipliers[:M, :M]),
        gradient=None,
        effective_schedule=h,
        solver=proofs[-1].status,
    )
    rational = certify == "rational" and functions.plain and criterion == "last"
    if not rational or norms is None or tableau.steps > exact.LIMIT:
        return found
    affine = function.slopes, function.offsets, function.start
    return proved(found, tableau, proof.multipliers[:M, :M], proof.diagonal, affine, D, norms)


def proved(
    found: WorstCase,
    tableau: Tableau,
    pairs: Array,
    diagonal: Array,
    affine: tuple[Array, Array, Array],
    D: float,
    norms: Array,
) -> WorstCase:
    """The same with both ends proved in rationals, from λ_jk and from a maximum of affine ones."""
    lower, upper = outward(
        exact.lower(tableau, *affine, D, norms), exact.upper(tableau, pairs, diagonal, D, norms)
    )
    closed = upper - lower <= ACCURACY * D * float(norms.max())
    value = min(max(found.value, lower), upper)
    certified = "rational" if closed else "none"
    return replace(found, value=value, lower=lower, upper=upper, certified=certified)


def attained(
    tableau: Tableau,
    function: MaxOfLinear | Interpolation,
    criterion: Criterion = "last",
    norms: Array | None = None,
) -> float:
    """What the criterion says of the method's run on the function: a lower bound.

    -inf where a subgradient is longer than its norm.
    """
    values = [float(function.value(function.x1))]
    x = function.x1
    lengths = []
    for x, _, _, g in iterate(tableau, function.x1, function.subgradient):
        values.append(float(function.value(x)))
        lengths.append(float(np.linalg.norm(g)))
    lengths.append(float(np.linalg.norm(function.subgradient(x))))
    if norms is not None and (np.array(lengths) > norms[: len(lengths)] * (1 + 1e-12)).any():
        return -np.inf
    if criterion == "last":
        return values[-1]
    return min(values) if criterion == "best" else float(np.mean(values))


def _too_long(points: Points, h: Array, D: float, norms: Array | None) -> InputError:
    taken = np.ascontiguousarray(h[h > 0])
    verdict = ""
    if norms is not None and len(taken):
        W = float(recursion.values(taken[None], D, float(norms.max()))[0])
        bound = "criterion 'last', convex"
        verdict = f"; the recursion gives {W:.6g} for the last iterate of these steps ({bound})"
    return InputError(
        f"The program takes at most {sdp.LIMIT + 1} points and this worst case is about "
        f"{len(points)}; pass fewer steps{verdict}."
    )
