"""`worst_case`: the exact value where a theorem gives it, a program or a bracket otherwise."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant, real
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import exact, hull, program, sdp, varying_norms, zero_steps
from sftheory.worst_cases.hard_functions import MaxOfLinear
from sftheory.worst_cases.points import Criterion, points_of
from sftheory.worst_cases.result import WorstCase, WorstCases
from sftheory.worst_cases.theorems import by_theorem, one_norm
from sftheory.worst_cases.units import Scaled

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
            no gradient and its norm plays no role; any other gradient has its norm, even if the
            report gives it no weight.
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

    if criterion != "last" and norms is not None and not one_norm(norms):
        raise InputError(
            f"criterion {criterion!r} looks at points of which N+1 norms say nothing; pass one G."
        )

    def one(tableau: Tableau) -> WorstCase:
        asked = None if norms is None else zero_steps.norms_asked(norms, tableau.gamma)
        scaled = Scaled(tableau, D, asked, L, mu).near_one()
        return scaled.restored(_of_all_steps(scaled, criterion, certify))

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


def _of_all_steps(case: Scaled, criterion: Criterion, certify: str | None) -> WorstCase:
    """By the method without its first steps of zero, unless these count in an average."""
    last_iterate = (case.tableau.c == 1).all()  # whose theorem leaves them out itself
    kept = criterion == "average" or last_iterate
    first = 0 if kept else zero_steps.first_move(case.tableau)
    tableau, norms = zero_steps.since(case.tableau, first), case.norms
    if norms is None or case.mu or criterion != "last":
        since = None if norms is None else norms[first:]
        found = program.decide(tableau, criterion, case.D, since, case.L, case.mu, certify)
    else:
        found = _of_last_point(tableau, case.D, norms[first:], certify)
    return zero_steps.delayed(found, case.tableau.effective_schedule()) if first else found


def _of_last_point(tableau: Tableau, D: float, norms: Array, certify: str | None) -> WorstCase:
    h = tableau.effective_schedule()
    if not h.any():
        least = zero_steps.least_norm_at_the_start(tableau, norms)
        if least == norms.min():  # a function with this slope is in the class
            return by_theorem(h, D, np.full(len(norms), least), certify, "last iterate")
    elif (tableau.c == 1).all():
        return by_theorem(h, D, norms, certify, "last iterate")
    elif (tableau.c > 0).all() and (tableau.gamma > 0).all():
        saddle = None if one_norm(norms) else varying_norms.solve(h, D, norms)
        P = saddle.P if saddle else hull.natural_chain(h, D, float(norms[0]))
        if hull.margin(tableau, h, P) >= -hull.TOLERANCE:
            return _by_hull(tableau, h, P, D, norms, certify)
    if tableau.steps <= sdp.LIMIT:
        return program.decide(tableau, "last", D, norms, None, 0.0, certify)
    return _bracket(tableau, h, D, norms)


def _by_hull(
    tableau: Tableau, h: Array, P: Array, D: float, norms: Array, certify: str | None
) -> WorstCase:
    N = tableau.steps
    if N > MULTIPLIERS_LIMIT:
        return by_theorem(h, D, norms, certify, "hull")
    star, pairs = hull.multipliers(points_of(tableau).rows[:, :N], h, P)
    found = by_theorem(h, D, norms, certify, "hull", (star, pairs))
    if certify != "rational" or N > exact.LIMIT:
        return found
    unit = float(norms.max()) / D  # hull.diagonal in units of D and the largest norm
    diagonal = hull.diagonal(h * unit, P * unit)
    assert isinstance(found.function, MaxOfLinear)
    floor = found.function.floor
    if (
        floor is not None and np.isfinite(floor).any()
    ):  # a jump's piece is chosen, and a proof cannot
        return found
    apart = found.function.separated(1e-13)
    proof = program.proved(found, tableau, pairs, diagonal, apart, D, norms)
    return proof if proof.certified == "rational" else found


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
