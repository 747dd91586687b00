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
from sftheory.worst_cases.zero_steps import points_asked, spread

Array = NDArray[np.float64]
ACCURACY = 1e-5  # of the scale: what upper - lower must come to, for the program to decide
DEAR = 50  # points from which on a second solution costs seconds: tightened at once
APART = (0.0, 1e-7, 1e-6)  # of the scale: inequalities are tightened until pieces do not tie


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

    As it is first; with all inequalities a little tightened where a gap is left.

    Raises:
        InputError: more points than the program takes.
    """
    h = tableau.effective_schedule()
    if tableau.steps > sdp.LIMIT:
        raise _too_long(tableau.steps + 1, h, D, norms)
    every = points_of(tableau, criterion)
    asked = points_asked(every, tableau, criterion)
    points = Points(every.rows[np.ix_(asked, asked)], every.reported[asked], every.best)
    if len(points) > sdp.LIMIT + 1:
        raise _too_long(len(points), h, D, norms)
    G = float(norms.max()) if norms is not None else float(L or 1.0) * D
    if norms is not None and mu * D > G:  # a strong gradient at x_1: mu |x_1 - x_*| <= |g_1| <= G
        D = G / mu
    of_points = None
    if norms is not None:  # one norm, if there are reported points of their own
        of_points = norms[asked] if len(every) == len(norms) else np.full(len(points), G)
    functions = sdp.Class(
        norms=None if of_points is None else of_points / G,
        L=None if L is None else L * D / G,
        mu=mu * D / G,
    )
    unit = Points(points.rows * (G / D), points.reported, points.best)
    lower, function, proofs = -np.inf, None, []
    tightened = APART[len(points) > DEAR :] if L is None else APART[:1]
    for apart in tightened:
        proofs.append(sdp.solve(unit, functions, apart=apart))
        upper = min(proof.upper for proof in proofs) * D * G
        for candidate in functions_of(proofs[-1], unit, functions, D=D, G=G):
            reached = attained(tableau, candidate, criterion, norms)
            if reached > lower:
                lower, function = reached, candidate
            if upper - lower <= ACCURACY * D * G / 10:
                break
        if upper - lower <= ACCURACY * D * G / 5:
            break
    proof = min(proofs, key=lambda proof: proof.upper)
    upper = proof.upper * D * G
    closed = _closed(lower, upper, D * G)
    if not closed:
        for candidate in _simple(h, D, norms, L, mu):
            reached = attained(tableau, candidate, criterion, norms)
            if reached > lower:
                lower, function = reached, candidate
    assert function is not None
    lam = spread(proof.multipliers, np.append(asked, True))
    found = WorstCase(
        value=float(min(max(proof.value * D * G, lower), upper)),
        lower=float(lower),
        upper=float(upper),
        certified="float" if closed and certify else "none",
        path="sdp",
        function=function,
        multipliers=(lam[-1, :-1], lam[:-1, :-1]),
        gradient=None,
        effective_schedule=h,
        solver=proofs[-1].status,
    )
    rational = certify == "rational" and functions.plain and criterion == "last"
    if not rational or norms is None or tableau.steps > exact.LIMIT:
        return found
    diagonal = spread(proof.diagonal, np.append(True, asked))
    return proved(found, tableau, lam[:-1, :-1], diagonal, function, D, norms)


def proved(
    found: WorstCase,
    tableau: Tableau,
    pairs: Array,
    diagonal: Array,
    function: MaxOfLinear | Interpolation,
    D: float,
    norms: Array,
) -> WorstCase:
    """The same with both ends proved in rationals, from λ_jk and from a maximum of affine ones."""
    if isinstance(function, MaxOfLinear):
        slopes, offsets = function.pieces, -function.gap * np.arange(len(function.x1), dtype=float)
    else:
        slopes, offsets = function.slopes, function.offsets
    short = (1 - 2.0**-48) * slopes  # rounding may make a piece longer than the norm of its step
    lower, upper = outward(
        exact.lower(tableau, short, offsets, function.x1, D, norms),
        exact.upper(tableau, pairs, diagonal, D, norms),
    )
    closed = _closed(lower, upper, D * float(norms.max()))
    value = min(max(found.value, lower), upper)
    certified = "rational" if closed else "none"
    return replace(found, value=value, lower=lower, upper=upper, certified=certified)


def _simple(
    h: Array, D: float, norms: Array | None, L: float | None, mu: float
) -> list[MaxOfLinear | Interpolation]:
    """Functions of the class that need no solver: the worst of h for the least norm, and a slope.

    With L or mu the quadratic from its minimiser.
    """
    if norms is None or mu:
        zero = np.zeros((1, 1))
        return [Interpolation(zero, zero[0], zero[0], L=L, mu=mu)]
    least, total = float(norms.min()), float(h.sum())
    worst = MaxOfLinear.of_steps(np.ascontiguousarray(h[h > 0]), D=D, G=least)
    slope = min(least, D / (2 * total)) if total > 0 else least
    return [worst.separated(), MaxOfLinear.of_steps(np.empty(0), D=D, G=slope)]


def _closed(lower: float, upper: float, scale: float) -> bool:
    """Whether the ends meet, to the accuracy of the scale or, if it is larger, of the value."""
    small = min(ACCURACY * scale, 1e-3 * upper)  # a value far below the scale has digits as well
    return np.isfinite(upper) and upper - lower <= max(small, ACCURACY * upper)


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
    if norms is not None:
        longer = np.array(lengths) > norms[: len(lengths)] * (1 + 1e-12)
        if longer[np.append(tableau.gamma > 0, True)].any():
            return -np.inf
    if criterion == "last":
        return values[-1]
    return min(values) if criterion == "best" else float(np.mean(values))


def _too_long(points: int, h: Array, D: float, norms: Array | None) -> InputError:
    taken = np.ascontiguousarray(h[h > 0])
    verdict = ""
    if norms is not None and len(taken):
        G = float(norms.max())
        W = float(recursion.values(taken[None], D, G)[0]) / (D * G)
        bound = "criterion 'last', convex"
        verdict = f"; the recursion gives {W:.6g} D G for the last iterate of these steps ({bound})"
    return InputError(
        f"The program takes at most {sdp.LIMIT + 1} points and this worst case is about "
        f"{points}; pass fewer steps{verdict}."
    )
