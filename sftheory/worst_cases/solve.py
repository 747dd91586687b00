"""`worst_case`: the exact value where a theorem gives it, a bracket or a program otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant
from sftheory.core.tableau import Tableau, iterate
from sftheory.worst_cases import hull, recursion, sdp
from sftheory.worst_cases.enclosure import enclose
from sftheory.worst_cases.hard_functions import Interpolation, MaxOfLinear

Array = NDArray[np.float64]
Path = Literal["last iterate", "hull", "bracket", "sdp"]
SDP_ACCURACY = 1e-5  # of D G: what upper - lower must come to, for the program to decide
BRACKET_LIMIT = 10_000  # steps; N² operations
MULTIPLIERS_LIMIT = 200  # steps; the hull's multipliers are N² numbers from N³ operations


@dataclass(frozen=True, eq=False)
class WorstCase:
    r"""How bad a method can be on convex f with |g| <= G and |x_1 - x_*| <= D.

    Attributes:
        value: sup f(x_{N+1}) - f*; for "sdp" what the solver says, for "bracket" nan.
        lower, upper: lower <= sup <= upper.
        certified: "rational" (outward-rounded decimal arithmetic), "float" (outward-rounded
            doubles; for "sdp" upper - lower <= 1e-5 D G), "none" (rounding to nearest, or a gap).
        path: "last iterate" (theorem), "hull" (theorem, its condition checked), "sdp" (solver,
            repaired), "bracket".
        function: a function that attains `lower`: value, subgradient, oracle, x1, x_star.
        multipliers: (λ_*, λ) of the upper bound's proof for "hull" up to 200 steps, else None.
        gradient: ∂W/∂h of the effective schedule, (N,), None for a bracket and the program.
        effective_schedule: h, (N,).
    """

    value: float
    lower: float
    upper: float
    certified: str
    path: Path
    function: MaxOfLinear | Interpolation
    multipliers: tuple[Array, Array] | None
    gradient: Array | None
    effective_schedule: Array

    def __repr__(self) -> str:
        return (
            f"WorstCase({self.value:.12g} in [{self.lower:.12g}, {self.upper:.12g}], "
            f"path={self.path!r}, certified={self.certified!r})"
        )


def worst_case(
    method: Tableau | ArrayLike,
    *,
    D: float,
    G: float,
    certify: Literal["float", "rational"] | None = "float",
) -> WorstCase:
    r"""The worst case of f(x_{N+1}) - f* over all convex G-Lipschitz f with |x_1 - x_*| <= D.

    Args:
        method: a Tableau without batch axes, or the steps (N,) of the last iterate.
        D: > 0.
        G: > 0.
        certify: how the value is enclosed: outward-rounded doubles, decimal arithmetic of 34
            digits, or not at all.

    Guarantee: "last iterate" and "hull" are exact by theorem (docs/theory); "hull" up to its
        condition, which is checked in doubles to 1e-9. "sdp": `upper` is a dual feasible point,
        `lower` is attained by a function that is run. Up to 60 steps the program decides what the
        hull condition does not; beyond, a bracket.

    Raises:
        InputError: a batch of tableaus, a negative step, a constant that is missing, certify
            unknown, or more than 10,000 steps of a method off the theorems.

    Example:
        >>> from sftheory.schedules import Linear
        >>> wc = worst_case(0.375 * Linear()(3), D=1, G=1)
        >>> round(wc.value, 12), wc.path, wc.lower <= 0.5 <= wc.upper
        (0.5, 'last iterate', True)
    """
    if certify not in (None, "float", "rational"):
        raise InputError(f"certify is None, 'float' or 'rational', not {certify!r}.")
    D = _one("D", D)
    G = _one("G", G)
    tableau = method if isinstance(method, Tableau) else Tableau(method, 0.0, 1.0)
    if tableau.batch:
        raise InputError(
            f"worst_case takes one method at a time, not a batch {tableau.batch}; "
            f"for many last iterates use bounds.last_iterate."
        )
    h = tableau.effective_schedule()
    if (tableau.c == 1).all() or not h.any():  # a report that is x_1 is SGD without steps
        return _exact(h, D, G, certify, "last iterate")
    if hull.margin(tableau, h, D, G) >= -hull.TOLERANCE:
        multipliers = None
        if tableau.steps <= MULTIPLIERS_LIMIT:
            multipliers = hull.multipliers(hull.step_rows(tableau), h, D, G)
        return _exact(h, D, G, certify, "hull", multipliers)
    return _bracketed(tableau, h, D, G)


def _one(name: str, value: Any) -> float:
    checked = constant("worst_case", name, value)
    if not isinstance(checked, float):
        raise InputError(f"worst_case needs one {name}, not {len(checked)} of them.")
    return checked


def _exact(
    h: Array,
    D: float,
    G: float,
    certify: str | None,
    path: Path,
    multipliers: tuple[Array, Array] | None = None,
) -> WorstCase:
    taken = np.ascontiguousarray(h[h > 0])  # a step of zero changes nothing
    value = float(recursion.values(h[None], D, G)[0])
    lower, upper, certified = value, value, "none"
    if len(taken) == 0:
        lower = upper = D * G
    elif certify == "float":
        lower, upper = recursion.directed(taken, D, G)
        certified = "float"
    elif certify == "rational":
        low, high = enclose(taken.tolist(), D, G)
        lower, upper = float(np.nextafter(float(low), 0)), float(np.nextafter(float(high), np.inf))
        certified = "rational"
    if path == "hull" and certified == "rational":
        certified = "float"  # the value is, the hull condition was checked in doubles
    return WorstCase(
        value=value,
        lower=lower,
        upper=upper,
        certified=certified,
        path=path,
        function=MaxOfLinear.of_steps(taken, D=D, G=G),
        multipliers=multipliers,
        gradient=_gradient(h, D, G),
        effective_schedule=h,
    )


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


def _bracketed(tableau: Tableau, h: Array, D: float, G: float) -> WorstCase:
    positive = np.ascontiguousarray(h[h > 0])
    if tableau.steps > BRACKET_LIMIT:
        raise InputError(
            f"This method is off the theorems, and a bracket runs it on a function with N pieces: "
            f"N={tableau.steps} is too many, pass at most {BRACKET_LIMIT} steps."
        )
    function: MaxOfLinear | Interpolation = MaxOfLinear.of_steps(positive, D=D, G=G).separated()
    lower = attained(tableau, function)
    upper = hull.schedule_free_upper(tableau, h, D, G)
    if tableau.steps > sdp.LIMIT:
        return _bracket(np.nan, lower, upper, "bracket", "none", function, h)
    H = hull.step_rows(tableau) * (G / D)
    for full in (False, True):
        found = sdp.solve(H, full=full)
        upper = min(upper, found.upper * D * G)
        for candidate in Interpolation.of_gram(found.gram, found.values, H, D=D, G=G):
            reached = attained(tableau, candidate)
            if reached > lower:
                lower, function = reached, candidate
            if upper - lower <= SDP_ACCURACY * D * G / 5:
                break
        if upper - lower <= SDP_ACCURACY * D * G or tableau.steps > sdp.FULL_LIMIT:
            break
    closed = upper - lower <= SDP_ACCURACY * D * G
    value = min(max(found.value * D * G, lower), upper)
    return _bracket(value, lower, upper, "sdp", "float" if closed else "none", function, h)


def _bracket(
    value: float,
    lower: float,
    upper: float,
    path: Path,
    certified: str,
    function: MaxOfLinear | Interpolation,
    h: Array,
) -> WorstCase:
    return WorstCase(
        value=float(value),
        lower=lower,
        upper=float(upper),
        certified=certified,
        path=path,
        function=function,
        multipliers=None,
        gradient=None,
        effective_schedule=h,
    )


def attained(tableau: Tableau, function: MaxOfLinear | Interpolation) -> float:
    """f(x_{N+1}) - f* of the method on the function: a lower bound of its worst case."""
    *_, (x, _, _, _) = iterate(tableau, function.x1, function.subgradient)
    return float(function.value(x))
