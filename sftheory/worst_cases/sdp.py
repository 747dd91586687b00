r"""The worst case as a semidefinite program: its dual, built directly and solved by Clarabel.

In units of D = 1 and of gradients, with points p_1, ..., p_M, p_* = 0 and the Gram matrix of
[x_1 - x_*, g_1, ..., g_M], each λ_ik >= 0 multiplies the interpolation inequality of a pair,

    f_i >= f_k + <g_k, p_i - p_k> + μ/2 |p_i - p_k|²                             (no L)
    f_i >= f_k + <g_k, p_i - p_k> + [|g_i - g_k|²/L + μ |p_i - p_k|²
           - 2 (μ/L) <g_i - g_k, p_i - p_k>] / (2 (1 - μ/L))                     (taylor2017)

τ multiplies |x_1 - x_*|² <= 1 and ν_k multiplies |g_k|² <= G_k² (no L). The program is

    min τ + Σ ν_k G_k²   such that flow is conserved and S(λ, τ, ν) is positive semidefinite.

Pairs i = * or i < k are enough to be a bound (the causal set); all pairs are exact. A solver's λ
is repaired: made nonnegative, its flow exact, and the free diagonal raised until S is positive
semidefinite; what comes out bounds the worst case up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from sftheory.worst_cases.points import Points

Array = NDArray[np.float64]
LIMIT = 75  # points but one; beyond, the program takes minutes
FULL_LIMIT = 30  # the same with all pairs
SOLVED = "Solved"


@dataclass(frozen=True, eq=False)
class Class:
    """The functions: |g_k| <= norms[k] (M,), or L-smooth; mu-strongly convex. Units of D = 1."""

    norms: Array | None
    L: float | None = None
    mu: float = 0.0

    @property
    def plain(self) -> bool:
        """Convex with bounded subgradients, nothing else."""
        return self.L is None and self.mu == 0


@dataclass(frozen=True, eq=False)
class Solution:
    """The solver's status and value, the repaired bound and its proof, and the Gram matrix.

    multipliers: (M + 1, M + 1), λ_ik of the repaired bound, index M is x_*; diagonal: (M + 1,),
    of τ and ν. gram: (M + 1, M + 1), of [x_1 - x_*, g_1, ..., g_M]; values: f_k - f_*, (M,).
    """

    status: str
    value: float
    upper: float
    multipliers: Array
    diagonal: Array
    gram: Array
    values: Array


def solve(points: Points, functions: Class, *, full: bool = False, apart: float = 0.0) -> Solution:
    """Solve the program and repair what comes out.

    Args:
        points: in units of D = 1.
        functions: the class.
        full: all pairs, which a class other than the plain one needs.
        apart: how far the inequalities are tightened in the primal; its function then has one
            piece at every point, and the value falls by at most this times Σ λ.
    """
    # a smooth class has no free diagonal but τ, so that the solver must leave room for the repair
    rooms = (0.0,) if functions.norms is not None else (1e-8, 1e-7, 1e-6)
    found = _solve(points, functions, full, apart, rooms[0])
    for room in rooms[1:]:
        if np.isfinite(found.upper):
            break
        found = _solve(points, functions, full, apart, room)
    return found


def _solve(points: Points, functions: Class, full: bool, apart: float, room: float) -> Solution:
    import clarabel

    M = len(points)
    i, k = _pairs(M, full or not functions.plain)
    forms = _forms(points.rows, i, k, functions)
    P, B = len(i), int(points.reported.sum()) if points.best else 0
    norms = functions.norms
    free = np.arange(M + 1) if norms is not None else np.arange(1)  # diagonal entries of S
    count = P + B + len(free)
    flow = np.zeros((M + 1, P))
    flow[k, np.arange(P)] += 1
    flow[i, np.arange(P)] -= 1
    chosen = np.zeros((M, B))
    chosen[np.flatnonzero(points.reported)[:B], np.arange(B)] = -1
    balance = np.hstack([flow[:M], chosen, np.zeros((M, len(free)))])
    target = np.zeros(M) if B else points.reported / points.reported.sum()
    if B:
        balance = np.vstack([balance, np.concatenate([np.zeros(P), np.ones(B), 0 * free])])
        target = np.append(target, 1.0)
    size = (M + 1) * (M + 2) // 2
    diagonal = sparse.csc_matrix(
        (np.ones(len(free)), (free * (free + 3) // 2, np.arange(len(free)))), (size, len(free))
    )
    slack = sparse.hstack([forms, sparse.csc_matrix((size, B)), diagonal])
    positive = sparse.eye(count)
    A = sparse.vstack([sparse.csc_matrix(balance), -positive, -slack]).tocsc()
    b = np.concatenate([target, np.zeros(count + size)])
    b[len(target) + count :][np.arange(M + 1) * (np.arange(M + 1) + 3) // 2] = -room
    price = np.ones(1) if norms is None else np.concatenate([[1.0], norms**2])
    cost = np.concatenate([np.full(P, -apart), np.zeros(B), price])
    cones = [
        clarabel.ZeroConeT(len(target)),  # pyright: ignore[reportAttributeAccessIssue]
        clarabel.NonnegativeConeT(count),  # pyright: ignore[reportAttributeAccessIssue]
        clarabel.PSDTriangleConeT(M + 1),  # pyright: ignore[reportAttributeAccessIssue]
    ]
    settings = clarabel.DefaultSettings()  # pyright: ignore[reportAttributeAccessIssue]
    settings.verbose = False
    settings.direct_solve_method = "faer"  # supernodal: three times faster than the default
    solver = clarabel.DefaultSolver(  # pyright: ignore[reportAttributeAccessIssue]
        sparse.csc_matrix((count, count)), cost, A, b, cones, settings
    )
    found = solver.solve()
    x, z = np.nan_to_num(found.x), np.nan_to_num(found.z)  # a solver may stop with neither
    lam = np.zeros((M + 1, M + 1))
    lam[i, k] = np.maximum(x[:P], 0)
    weights = target
    if B:
        weights = np.zeros(M)
        weights[points.reported] = np.maximum(x[P : P + B], 0)
        weights /= weights.sum()
    upper, lam, raised = _repair(points, functions, lam, weights, x[P + B :])
    return Solution(
        status=str(found.status),
        value=float(price @ x[P + B :]),
        upper=upper,
        multipliers=lam,
        diagonal=raised,
        gram=_matrix(z[len(target) + count :], M + 1),
        values=-z[:M],
    )


def _pairs(M: int, full: bool) -> tuple[Any, Any]:
    """Indices i and k of the inequalities; M is x_*."""
    i, k = np.nonzero(~np.eye(M + 1, dtype=bool))
    kept = (k < M) & ((i == M) | (i < k))
    return (i, k) if full else (i[kept], k[kept])


def _forms(rows: Array, i: Any, k: Any, functions: Class) -> Any:
    """svec of each pair's quadratic form, a column each: upper triangle by columns, sqrt 2 off."""
    M = len(rows)
    p = np.zeros((M + 1, M + 1))
    p[:M, 0], p[:M, 1:] = 1, -rows
    g = np.zeros((M + 1, M + 1))
    g[:M, 1:] = np.eye(M)
    row, column = np.tril_indices(M + 1)
    scale = np.where(row == column, 1.0, np.sqrt(2))

    def product(a: Array, b: Array) -> Array:
        return (a[:, row] * b[:, column] + a[:, column] * b[:, row]) * (scale / 2)

    blocks = []
    for part in np.array_split(np.arange(len(i)), max(1, len(i) * len(row) // 4_000_000)):
        dp, dg = p[i[part]] - p[k[part]], g[i[part]] - g[k[part]]
        form = product(g[k[part]], dp)
        if functions.L is None:
            form += functions.mu / 2 * product(dp, dp)
        else:
            mu, L = functions.mu, functions.L
            more = product(dg, dg) / L + mu * product(dp, dp) - 2 * mu / L * product(dg, dp)
            form += more / (2 * (1 - mu / L))
        blocks.append(sparse.csc_matrix(form.T))
    return sparse.hstack(blocks).tocsc()


def _matrix(svec: Array, n: int) -> Array:
    out = np.zeros((n, n))
    j, i = np.tril_indices(n)  # the upper triangle by columns is the lower one by rows
    out[i, j] = out[j, i] = svec / np.where(i == j, 1, np.sqrt(2))
    return out


def _repair(
    points: Points, functions: Class, lam: Array, weights: Array, diagonal: Array
) -> tuple[float, Array, Array]:
    """A feasible point near the solver's, its value, and the diagonal that makes it feasible.

    What flow is missing comes from x_*, and what is too much goes there.
    """
    M = len(points)
    missing = weights - lam[:, :M].sum(axis=0) + lam[:M].sum(axis=1)
    lam[M, :M] += np.maximum(missing, 0)
    lam[:M, M] += np.maximum(-missing, 0)
    i, k = np.nonzero(lam)
    S = _matrix(np.asarray(_forms(points.rows, i, k, functions) @ lam[i, k]), M + 1)
    rounding = 1e-14 * (M + 1) * max(1.0, float(np.abs(S).max()))
    if functions.norms is None:
        return *_raise_start(S, lam, rounding), diagonal
    free = np.maximum(diagonal, 0)
    least = np.linalg.eigvalsh(S + np.diag(free))[0]
    free = free + max(0.0, -least) + rounding
    return float(free @ np.concatenate([[1.0], functions.norms**2])), lam, free


def _raise_start(S: Array, lam: Array, rounding: float) -> tuple[float, Array]:
    """The least τ with S + τ e_0 e_0' positive semidefinite; inf where no τ is enough."""
    inner = S[1:, 1:] - rounding * np.eye(len(S) - 1)
    try:
        factor = linalg.cholesky(inner, lower=True)
    except linalg.LinAlgError:
        return np.inf, lam
    root = linalg.solve_triangular(factor, S[1:, 0], lower=True)
    return max(0.0, float(root @ root - S[0, 0])) + rounding, lam
