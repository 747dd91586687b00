r"""A lower bound of the least worst case over all steps that are allowed.

For any 0 <= A_1 <= ... <= A_{N+1}, A_t <= G_t², and any steps h >= 0 (Theory, "Optimal schedules"),

    W(h) >= D sqrt(A_1) + Σ_k s_k h_k,   s_k = sqrt((A_{k+1} - A_k)(G_k² - A_k)) - A_k,

so the minimum of the right side over what is allowed is below every plan's worst case. It is tight
if A belongs to the optimum. A is taken from the solver at steps that are held by a limit; at all
others it is chosen backwards from A_{N+1} = G²_{N+1} so that s_k = 0, which makes the errors of the
solver enter squared. A step without a cap is bounded all the same: the same inequality with
A_k = ½ / Σ_{t>=k} G_t^-2 has s_k > 0 only, and a plan that is no worse than `value` has
h_k <= (value - D sqrt(A_1)) / s_k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.design.limits import Limits
from sftheory.design.plan import below
from sftheory.design.program import Constraints, finish, given

Array = NDArray[np.float64]
CLOSE = 0.01  # a step this close to a limit, relatively, may be held by it


def slopes(A: Array, norms: Array) -> Array:
    """s_k, (N,)."""
    return np.sqrt(np.diff(A) * (norms[:-1] ** 2 - A[:-1])) - A[:-1]


def from_chain(h: Array, P: Array, norms: Array, D: float) -> tuple[Array, Array]:
    """q_k = h_k / P_{k+1} and A forwards: A_1 = D²/P_1², A_{k+1} = A_k + q_k² (G_k² - A_k)."""
    q, squares = np.minimum(h / P[1:], 1), norms**2
    A = np.empty(len(P))
    A[0] = min(D * D / P[0] ** 2, squares[0])
    for k in range(len(h)):
        A[k + 1] = min(A[k] + q[k] ** 2 * max(squares[k] - A[k], 0), squares[k + 1])
    return q, A


def repair(
    guess: Array,
    q: Array | None,
    h: Array,
    norms: Array,
    limits: Limits,
    pooled: NDArray[np.bool_],
    elsewhere: float | None = None,
) -> tuple[Array, Array]:
    """A feasible A near `guess` with s = 0 where no limit holds a step, and the steps snapped.

    With `q`, a held step takes A_k = (A_{k+1} - q_k² G_k²) / (1 - q_k²) unless that is ill-posed.
    A pool of equal steps is free as one: Σ s = 0 over it, which its first step brings about. The
    user's own constraints may hold a step whose |s| is above `elsewhere`, relative to A.
    """
    N, squares = len(h), norms**2
    A, snapped = np.empty(N + 1), h.copy()
    A[N] = squares[N]
    last, total = N - 1, 0.0  # the current pool's last step, and Σ s of its later steps
    for k in range(N - 1, -1, -1):
        after, square = A[k + 1], squares[k]
        held = guess[k]
        if q is not None and q[k] ** 2 < 0.5:
            held = (after - q[k] ** 2 * square) / (1 - q[k] ** 2)
        held = min(max(held, 0.0), after, square)
        s = np.sqrt((after - held) * (square - held)) - held
        A[k] = held
        if k > 0 and pooled[k - 1]:
            total += s
            continue
        low, high = limits.low[k], limits.high[last]
        if low < high:
            if total + s < 0 and h[last] >= (1 - CLOSE) * high:
                snapped[k : last + 1] = high
            elif total + s > 0 and h[k] <= (1 + CLOSE) * low:
                snapped[k : last + 1] = low
            elif (
                elsewhere is None or abs(total + s) * (after + square) <= elsewhere * after * square
            ):
                free = (after * square - total * total) / (after + square - 2 * total)
                A[k] = min(max(free, 0.0), after, square)
        last, total = k - 1, 0.0
    return A, snapped


def lower_bound(
    A: Array,
    norms: Array,
    D: float,
    limits: Limits,
    value: float,
    constraints: Constraints | None = None,
) -> float:
    """No steps that are allowed have a worst case below this.

    `value` is an upper bound of the worst case of some allowed steps. Exact up to rounding, which
    is subtracted; under the user's own constraints to the solver's accuracy.
    """
    N = len(norms) - 1
    half = 0.5 / np.cumsum(norms[::-1] ** -2.0)[::-1]
    reach = (value - D * np.sqrt(half[0])) / slopes(half, norms)
    low, high = limits.low, np.maximum(limits.low, np.minimum(limits.high, reach))
    s = slopes(A, norms)
    size = 2 * A[:-1] + np.abs(s)  # of the numbers whose difference s is
    if limits.monotone and N > 1:
        held = _multipliers(s, low, high)
        s = s - np.append(held, 0) + np.append(0, held)
        size = size + np.append(held, 0) + np.append(0, held)
    parts = np.minimum(s * low, s * high)
    constant = D * np.sqrt(A[0])
    least = parts.sum()
    if constraints is not None:
        least = max(least, value * _least(s / value, low, high, constraints))
    total = constant + np.abs(parts).sum()
    rounding = total - below(total, N) + 8 * np.finfo(float).eps * (size * high).sum()
    return float(min(constant + least - rounding, value))


def _multipliers(s: Array, low: Array, high: Array) -> Array:
    """Multipliers >= 0 of h_k >= h_{k+1}, (N - 1,): any will do, the linear program's are best."""
    from scipy.optimize import linprog
    from scipy.sparse import eye_array

    N, unit = len(s), np.abs(s).max()
    falls = eye_array(N - 1, N, k=1) - eye_array(N - 1, N)
    found = linprog(s / unit, A_ub=falls, b_ub=np.zeros(N - 1), bounds=np.stack([low, high], 1))
    if not found.success:
        return np.zeros(N - 1)
    return unit * np.maximum(-found.ineqlin.marginals, 0)


def _least(s: Array, low: Array, high: Array, constraints: Constraints) -> float:
    """The least Σ s h over the user's constraints and the box."""
    import cvxpy as cp

    scaled = cp.Variable(len(s))  # of the a-priori bound, so that one accuracy suits all steps
    unit = np.where(high > 0, high, 1.0)
    box: list[Any] = [scaled >= low / unit, scaled <= high / unit]
    allowed = [*box, *given(constraints, cp.multiply(unit, scaled))]
    problem = cp.Problem(cp.Minimize((s * unit) @ scaled), allowed)
    try:
        finish(problem)
    except InputError:  # the plan stands, with a bound that knows the box alone
        return -np.inf
    return float(np.asarray(problem.value, dtype=float))
