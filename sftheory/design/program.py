r"""The cone program whose solution is the schedule of least exact worst case.

The worst case of steps h with subgradients |g_t| <= G_t is the least J over chains P (Theory,
"Optimal schedules"), so the best steps solve one convex program in (h, P):

    min ½ [D²/P_1 + Σ_k μ_k G_k² + P_{N+1} G_{N+1}²],  μ_k = P_k - P_{k+1} - 2 h_k,
    such that μ_k P_{k+1} >= h_k².

Every variable is measured in its value at the unconstrained optimum, where it is 1. Without this
the interior-point solver calls schedules optimal that are 15% off at N = 1000.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.bounds import refined
from sftheory.core.errors import InputError
from sftheory.design.limits import Limits

Array = NDArray[np.float64]
Constraints = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Solution:
    """Steps (N,), chain (N + 1,), slopes of the proof A (N + 1,), and the steps that move as one.

    `pooled[k]` says that the solver holds steps k + 1 and k + 2 together by monotonicity; (N - 1,).
    """

    h: Array
    P: Array
    A: Array
    pooled: NDArray[np.bool_]


def solve(norms: Array, D: float, limits: Limits, constraints: Constraints | None) -> Solution:
    """Solve it with Clarabel.

    Raises:
        InputError: the constraints are no list of cvxpy constraints, nothing satisfies them, or the
            solver does not reach its accuracy.
    """
    import cvxpy as cp

    N = len(norms) - 1
    h0 = refined(norms, D=D).gamma
    u = norms**-2.0 / (norms**-2.0).sum()
    s = np.cumsum(u[::-1])[::-1]
    P0 = s**2 * D * np.sqrt((norms**-2.0).sum())
    x, y, m = cp.Variable(N), cp.Variable(N + 1), cp.Variable(N)
    linked = (
        cp.multiply(s[:-1] ** 2, y[:-1])
        - cp.multiply(s[1:] ** 2, y[1:])
        - cp.multiply(2 * u[:-1] * s[1:], x)
        - cp.multiply(u[:-1] ** 2, m)
    )
    cones = cp.SOC(m + y[1:], cp.vstack([2 * x, m - y[1:]]))
    low, high, fixed = limits.low / h0, limits.high / h0, limits.fixed
    capped = ~fixed & np.isfinite(high)
    allowed = [(N + 1) * linked == 0, cones, x[~fixed] >= low[~fixed]]
    if fixed.any():
        allowed.append(x[fixed] == low[fixed])
    if capped.any():
        allowed.append(x[capped] <= high[capped])
    falls = cp.multiply(h0[:-1] / h0.mean(), x[:-1]) - cp.multiply(h0[1:] / h0.mean(), x[1:])
    ordered = falls >= 0
    if limits.monotone and N > 1:
        allowed.append(ordered)
    if constraints is not None:
        allowed += given(constraints, cp.multiply(h0, x))
    J = (cp.inv_pos(y[0]) + u[:-1] @ m + u[-1] * y[-1]) / 2
    finish(cp.Problem(cp.Minimize(J), allowed))
    # the cone's multiplier of μ_k is (G_k² - A_k) / 2
    first, second = (np.asarray(v).reshape(-1, N) for v in cones.dual_value or ())
    A = norms**2 * np.append(1 - 2 * (first[0] + second[1]) / u[:-1], 1)
    pooled = np.zeros(N - 1, dtype=bool)
    if limits.monotone and N > 1:
        pooled = np.asarray(ordered.dual_value) > np.asarray(falls.value)
    return Solution(x.value * h0, y.value * P0, A, pooled)


def given(constraints: Constraints, gamma: Any) -> list[Any]:
    """The user's constraints on the steps.

    Raises:
        InputError: they are no list of cvxpy constraints.
    """
    from cvxpy.constraints.constraint import Constraint

    made = constraints(gamma)
    if not isinstance(made, (list, tuple)) or not all(isinstance(c, Constraint) for c in made):
        raise InputError(
            f"constraints(gamma) must return a list of cvxpy constraints, not {made!r}; "
            f"write constraints=lambda gamma: [gamma[0] <= 0.1]."
        )
    return list(made)


def finish(problem: Any) -> None:
    """Solve a convex program to the solver's accuracy, or say why not.

    Raises:
        InputError: it is not convex, nothing satisfies it, or the solver gives up.
    """
    import cvxpy as cp
    from cvxpy.error import DCPError, SolverError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "may be inaccurate": the status says so too
            problem.solve(solver=cp.CLARABEL)
    except DCPError:
        raise InputError(
            "The constraints are not convex in the sense of cvxpy; state them as cvxpy's rules ask."
        ) from None
    except SolverError:
        raise InputError(
            "The solver failed on this program; loosen the constraints or bring them to the scale "
            "of D / G / sqrt(N)."
        ) from None
    if problem.status in ("infeasible", "infeasible_inaccurate"):
        raise InputError("No steps satisfy all the constraints; loosen one of them.")
    if problem.status != "optimal":
        raise InputError(
            f"The solver stopped at {problem.status!r}, which is no solution; loosen the "
            f"constraints or bring them to the scale of D / G / sqrt(N)."
        )
