"""`worst_case`: the exact value where a theorem gives it, a program or a bracket otherwise."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant, real
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import exact, hull, program, recursion, sdp, varying_norms
from sftheory.worst_cases.double_double import SMALLEST
from sftheory.worst_cases.enclosure import enclose, outward
from sftheory.worst_cases.hard_functions import MaxOfLinear
from sftheory.worst_cases.points import Criterion, points_of
from sftheory.worst_cases.result import WorstCase, WorstCases

Array = NDArray[np.float64]
BRACKET_LIMIT = 10_000  # steps; N² operations
MULTIPLIERS_LIMIT = 200  # steps; the hull's multipliers are N² numbers from N³ operations


def worst_case(
    method: Tableau | ArrayLike,
    *,
    D: float,
    G: float | ArrayLike | None = None,
    certify: Literal["float", "rational"] | None = "float",
    criterion: Criterion = "last",
    L: float | None = None,
    mu: float = 0.0,
) -> Any:
    r"""The worst case of f(x_{N+1}) - f* over all f of a class with |x_1 - x_*| <= D.

    The class: convex with subgradients |g_t| <= G_t where the method looks (G); L-smooth (L);
    also mu-strongly convex (mu).

    Args:
        method: a Tableau, or the steps (..., N) of the last iterate.
        D: > 0.
        G: > 0, one, or N + 1 norms, the last at the report; None with L. A step of zero asks for
            no gradient, and its norm is not used.
        certify: how both ends are proved: in doubles, in rationals or 106-bit arithmetic, or not.
        criterion: of the report x_{N+1}, or of the "best" or the "average" of f(x_t), t <= N + 1.
        L: > mu, the smoothness; None without.
        mu: >= 0, the strong convexity.

    Returns:
        A `WorstCase`; for batch axes `WorstCases`, indexed as the batch is.

    Guarantee: "last iterate" and "hull" are exact by theorem (docs/theory); "hull" up to its
        condition, which is checked in doubles to 1e-9, or with certify="rational" replaced by
        proofs of both ends up to 60 steps. "sdp": `upper` is a dual feasible point, `lower` is
        attained by a function that is run. Up to 75 points the program decides what the hull
        condition does not; beyond, a bracket.

    Raises:
        InputError: a constant is missing or does not fit the class, a negative step, an unknown
            certify or criterion, or more points than the program takes.

    References: zamani2023, drori2014, taylor2017.

    Example:
        >>> from sftheory.schedules import Linear
        >>> wc = worst_case(0.375 * Linear()(3), D=1, G=1)
        >>> round(wc.value, 12), wc.path, wc.lower <= 0.5 <= wc.upper
        (0.5, 'last iterate', True)
    """
    if certify not in (None, "float", "rational"):
        raise InputError(f"certify is None, 'float' or 'rational', not {certify!r}.")
    if criterion not in ("last", "best", "average"):
        raise InputError(f"criterion is 'last', 'best' or 'average', not {criterion!r}.")
    tableau = method if isinstance(method, Tableau) else Tableau(method, 0.0, 1.0)
    D, norms, L, mu = _constants(tableau.steps, D, G, L, mu)

    if criterion != "last" and norms is not None and not _one(norms):
        raise InputError(
            f"criterion {criterion!r} looks at points of which N+1 norms say nothing; pass one G."
        )

    def one(tableau: Tableau) -> WorstCase:
        if norms is None or mu or criterion != "last":
            return program.decide(tableau, criterion, D, norms, L, mu, certify)
        return _of_last_point(tableau, D, norms, certify)

    if not tableau.batch:
        return one(tableau)
    return WorstCases(tableau.batch, tuple(one(tableau[i]) for i in np.ndindex(*tableau.batch)))


def _constants(
    N: int, D: Any, G: Any, L: Any, mu: Any
) -> tuple[float, Array | None, float | None, float]:
    """D, the norms (N + 1,) or None, L and mu, checked."""
    D = constant("worst_case", "D", D)
    if not isinstance(D, float):
        raise InputError(f"worst_case needs one D, not {len(D)} of them.")
    mu = real("mu", mu, 0)
    if L is not None:
        if G is not None:
            raise InputError(
                "worst_case takes G or L, not both: for smooth functions with bounded gradients "
                "no exact program is known; the smaller of the two values is a bound."
            )
        L = constant("worst_case", "L", L)
        if not isinstance(L, float) or L <= mu:
            raise InputError(f"worst_case needs one L > mu={mu:g}, but got {L!r}.")
        return D, None, L, mu
    norms = np.asarray(constant("worst_case", "G", G))
    if norms.ndim > 1 or norms.size not in (1, N + 1):
        raise InputError(
            f"worst_case needs one G or N+1={N + 1} of them, the last at the reported point, "
            f"but got an array of shape {norms.shape}."
        )
    return D, np.array(np.broadcast_to(norms, N + 1), dtype=np.float64), None, mu


def _of_last_point(tableau: Tableau, D: float, norms: Array, certify: str | None) -> WorstCase:
    h = tableau.effective_schedule()
    if not h.any():  # a report that is x_1 is SGD without steps
        return _exact(h, D, norms, certify, "last iterate")
    if (tableau.c == 1).all():
        return _exact(h, D, norms, certify, "last iterate")
    if (tableau.c > 0).all() and (tableau.gamma > 0).all():
        saddle = None if _one(norms) else varying_norms.solve(h, D, norms)
        P = saddle.P if saddle else hull.natural_chain(h, D, float(norms[0]))
        if hull.margin(tableau, h, P) >= -hull.TOLERANCE:
            return _by_hull(tableau, h, P, D, norms, certify)
    if tableau.steps <= sdp.LIMIT:
        return program.decide(tableau, "last", D, norms, None, 0.0, certify)
    return _bracket(tableau, h, D, norms)


def _one(norms: Array) -> bool:
    return bool((norms == norms[0]).all())


def _exact(
    h: Array,
    D: float,
    norms: Array,
    certify: str | None,
    path: Literal["last iterate", "hull"],
    multipliers: tuple[Array, Array] | None = None,
) -> WorstCase:
    """The value by the recursion or, for norms that differ, by the program over chains."""
    taken = h > 0  # a step of zero changes nothing
    steps = np.ascontiguousarray(h[taken])
    G = norms if _one(norms) else norms[np.append(taken, True)]
    if _one(G) or not taken.any():
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


def _by_hull(
    tableau: Tableau, h: Array, P: Array, D: float, norms: Array, certify: str | None
) -> WorstCase:
    N = tableau.steps
    if N > MULTIPLIERS_LIMIT:
        return _exact(h, D, norms, certify, "hull")
    star, pairs = hull.multipliers(points_of(tableau).rows[:, :N], h, P)
    found = _exact(h, D, norms, certify, "hull", (star, pairs))
    if certify != "rational" or N > exact.LIMIT:
        return found
    unit = float(norms.max()) / D  # hull.diagonal in units of D and the largest norm
    diagonal = hull.diagonal(h * unit, P * unit)
    assert isinstance(found.function, MaxOfLinear)
    if found.function.floor is not None:  # jumps need a choice of pieces, which a proof has not
        return found
    apart = found.function.separated(1e-13)
    heights = -apart.gap * np.arange(len(apart.q) + 1.0)
    affine = apart.pieces, heights, apart.x1
    return program.proved(found, tableau, pairs, diagonal, affine, D, norms)


def _bracket(tableau: Tableau, h: Array, D: float, norms: Array) -> WorstCase:
    """Off the theorems and too long for the program: O(N) above, one run below."""
    if tableau.steps > BRACKET_LIMIT:
        raise InputError(
            f"This method is off the theorems, and a bracket runs it on a function with N pieces: "
            f"N={tableau.steps} is too many, pass at most {BRACKET_LIMIT} steps."
        )
    steps = np.ascontiguousarray(h[h > 0])
    function = MaxOfLinear.of_steps(steps, D=D, G=float(norms.min())).separated()
    return WorstCase(
        value=np.nan,
        lower=program.attained(tableau, function),
        upper=hull.schedule_free_upper(tableau, h, D, float(norms.max())),
        certified="none",
        path="bracket",
        function=function,
        multipliers=None,
        gradient=None,
        effective_schedule=h,
    )
