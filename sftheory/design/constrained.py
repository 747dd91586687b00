"""`optimal`: the schedule of least exact worst case among those that are allowed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.bounds import refined
from sftheory.core.errors import InputError, constant, count, numbers
from sftheory.design.certificate import from_chain, lower_bound, repair
from sftheory.design.limits import Limits
from sftheory.design.plan import Plan, plan_of, positive
from sftheory.design.program import Constraints, Solution, solve

Array = NDArray[np.float64]


def optimal(
    N: int,
    *,
    D: float,
    G: float | None = None,
    cap: ArrayLike | None = None,
    floor: ArrayLike | None = None,
    monotone: bool = False,
    prefix: ArrayLike | None = None,
    grad_norms: ArrayLike | None = None,
    constraints: Constraints | None = None,
) -> Plan:
    r"""The steps gamma >= 0 whose exact worst case of f(x_{N+1}) - f* is least.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Guarantee: the worst case is convex in the steps and the program's value is exact, so there are
        no local optima. `Plan.optimum_lower` proves how close the plan is: every allowed schedule
        has a worst case above it. cap, floor, monotone and prefix are kept to exactly. Where no
        limit bites, the plan is the closed form: D (N+1-k) / (G (N+1)^{3/2}), or `bounds.refined`
        for given norms.

    Args:
        N: steps.
        D: > 0.
        G: > 0, one number.
        cap: one number or N of them, >= 0, units D / G; inf is no cap.
        floor: likewise.
        monotone: steps do not increase.
        prefix: the first steps, fixed; at most N.
        grad_norms: (N + 1,), > 0, bounds of |g_1|, ..., |g_{N+1}| instead of G.
        constraints: a function of the cvxpy expression gamma (N,), in units D / G, which returns a
            list of convex constraints. The plan and its `optimum_lower` then hold to the solver's
            accuracy.

    Raises:
        InputError: a wrong argument, limits that nothing satisfies, or a program that the solver
            does not solve to its accuracy; "almost solved" counts as not solved.

    References: drori2016 for the unconstrained value; for the rest we know of no published
        statement. The proofs are in docs/theory.

    Example:
        >>> plan = optimal(99, D=1, G=1, cap=0.05)
        >>> round(plan.value, 5), bool((plan.gamma <= 0.05).all()), plan.gap < 1e-6
        (0.10473, True, True)
    """
    N = count("N", N)
    D = positive("optimal", "D", D)
    bound = _norms(N, G, grad_norms)
    limits = Limits.of(N, cap=cap, floor=floor, monotone=monotone, prefix=prefix)
    norms = np.broadcast_to(bound, (N + 1,))
    free = refined(norms, D=D).gamma
    if constraints is None and limits.allow(free):
        return plan_of(free, D, bound)
    found = solve(norms, D, limits, constraints)
    return _certified(found, D, bound, norms, limits, constraints)


def _certified(
    found: Solution,
    D: float,
    G: float | Array,
    norms: Array,
    limits: Limits,
    constraints: Constraints | None,
) -> Plan:
    """The better of the projected and the snapped steps, with the better of two lower bounds."""
    h = limits.project(found.h)
    q, forwards = from_chain(h, found.P, norms, D)
    loose, tight = (None, None) if constraints is None else (1e-3, 0.0)
    repaired = [
        repair(forwards, q, h, norms, limits, found.pooled, loose),
        repair(found.A, None, h, norms, limits, found.pooled, tight),
    ]
    candidates = [h]
    if constraints is None:
        candidates += [limits.project(snapped) for _, snapped in repaired]
    best = min((plan_of(h, D, G) for h in candidates), key=lambda plan: plan.value)
    lower = max(lower_bound(A, norms, D, limits, best.upper, constraints) for A, _ in repaired)
    return Plan(**{**vars(best), "optimum_lower": lower})


def _norms(N: int, G: float | None, grad_norms: ArrayLike | None) -> float | Array:
    if grad_norms is None:
        return positive("optimal", "G", G)
    if G is not None:
        raise InputError("design.optimal takes G or grad_norms, not both; leave one out.")
    norms = numbers("grad_norms", grad_norms)
    constant("design.optimal", "grad_norms", norms)
    if norms.shape != (N + 1,):
        raise InputError(
            f"grad_norms has shape {norms.shape} but N={N} steps meet N+1={N + 1} subgradients, "
            f"the last at the report; pass that many."
        )
    return norms
