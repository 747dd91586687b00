r"""The worst case as a semidefinite program: its dual, built directly and solved by Clarabel.

In units of D = G = 1, with M = N + 1 oracle points and step rows H, the variables are λ_jk >= 0
(f_j >= f_k + <g_k, y_j - y_k>; j < k, and j > k in the full set), λ_*k >= 0 (the same for f_*), μ_k
(|g_k|² <= 1) and τ (|x_1 - x_*|² <= 1):

    min τ + Σ μ_k   such that flow is conserved and S(λ, μ, τ) is positive semidefinite.

The diagonal of S is free, so any λ >= 0 that conserves flow becomes a rigorous upper bound (up to
rounding) by raising τ and μ. The dual solution is a Gram matrix of gradients: a function, on which
the method can be run for a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
LIMIT = 60  # steps; beyond, the program takes minutes
FULL_LIMIT = 30  # steps, with the non-causal inequalities too


@dataclass(frozen=True, eq=False)
class Solution:
    """What came out: solver's status and value, the repaired upper bound, and the Gram matrix.

    `gram` is (M + 1, M + 1), of [x_1 - x_*, g_1, ..., g_M]; `values` the f_k - f_*, (M,).
    """

    status: str
    value: float
    upper: float
    gram: Array
    values: Array


def solve(H: Array, *, full: bool = False) -> Solution:
    """Solve the program for step rows H (M, N) in units of D = G = 1."""
    import clarabel

    M = len(H)
    rows = np.hstack([H, np.zeros((M, 1))])  # (M, M); nothing moves by the report's gradient
    pairs = [(j, k) for k in range(M) for j in range(M if full else k) if j != k]
    S = _slack(rows, pairs)
    P, count = len(pairs), len(pairs) + 2 * M + 1
    into, out = np.array([k for _, k in pairs]), np.array([j for j, _ in pairs])
    flow = sparse.csc_matrix(
        (
            np.concatenate([np.ones(P), -np.ones(P), np.ones(M)]),
            (
                np.concatenate([into, out, np.arange(M)]),
                np.concatenate([np.arange(P), np.arange(P), P + np.arange(M)]),
            ),
        ),
        shape=(M, count),
    )
    positive = sparse.hstack([sparse.eye(P + M), sparse.csc_matrix((P + M, M + 1))])
    target = np.zeros(M)
    target[-1] = 1
    A = sparse.vstack([flow, -positive, -S]).tocsc()
    b = np.concatenate([target, np.zeros(P + M + S.shape[0])])
    cones = [
        clarabel.ZeroConeT(M),  # pyright: ignore[reportAttributeAccessIssue]
        clarabel.NonnegativeConeT(P + M),  # pyright: ignore[reportAttributeAccessIssue]
        clarabel.PSDTriangleConeT(M + 1),  # pyright: ignore[reportAttributeAccessIssue]
    ]
    cost = np.concatenate([np.zeros(P + M), np.ones(M + 1)])
    settings = clarabel.DefaultSettings()  # pyright: ignore[reportAttributeAccessIssue]
    settings.verbose = False
    solver = clarabel.DefaultSolver(  # pyright: ignore[reportAttributeAccessIssue]
        sparse.csc_matrix((count, count)), cost, A, b, cones, settings
    )
    found = solver.solve()
    x, z = np.array(found.x), np.array(found.z)
    return Solution(
        status=str(found.status),
        value=float(cost @ x),
        upper=_repair(x, pairs, rows, S),
        gram=_matrix(z[M + P + M :], M + 1),
        values=-z[:M],
    )


def _slack(rows: Array, pairs: list[tuple[int, int]]) -> Any:
    """svec(S) as a linear map of (λ, λ_*, τ, μ); upper triangle by columns, sqrt 2 off diagonal."""
    M, P = len(rows), len(pairs)
    entries: list[tuple[int, int, float]] = []

    def put(i: int, j: int, column: int, value: float) -> None:
        i, j = min(i, j), max(i, j)
        entries.append((j * (j + 1) // 2 + i, column, value * (1 if i == j else np.sqrt(2))))

    for column, (j, k) in enumerate(pairs):
        # λ <g_k, y_j - y_k> = λ Σ_l (H_kl - H_jl) <g_k, g_l>
        for el in np.flatnonzero(rows[k] != rows[j]):
            value = rows[k, el] - rows[j, el]
            put(int(el) + 1, k + 1, column, value if el == k else value / 2)
    for k in range(M):
        put(0, k + 1, P + k, -0.5)
        for el in np.flatnonzero(rows[k]):
            put(int(el) + 1, k + 1, P + k, rows[k, el] / 2)
        put(k + 1, k + 1, P + M + 1 + k, 1.0)
    put(0, 0, P + M, 1.0)
    i, j, v = zip(*entries, strict=True)
    size = (M + 1) * (M + 2) // 2
    return sparse.csc_matrix((v, (i, j)), shape=(size, P + 2 * M + 1))


def _matrix(svec: Array, n: int) -> Array:
    out = np.zeros((n, n))
    j, i = np.tril_indices(n)  # the upper triangle by columns is the lower one by rows
    out[i, j] = out[j, i] = svec / np.where(i == j, 1, np.sqrt(2))
    return out


def _repair(x: Array, pairs: list[tuple[int, int]], rows: Array, S: Any) -> float:
    """A feasible point near the solver's: λ >= 0, flow exact, S raised to be semidefinite."""
    M, P = len(rows), len(pairs)
    lam = np.maximum(x[:P], 0)
    into, out = np.array([k for _, k in pairs]), np.array([j for j, _ in pairs])
    star = np.zeros(M)
    star[-1] = 1
    np.add.at(star, out, lam)
    np.subtract.at(star, into, lam)
    if (star < 0).any():  # scale what enters such points until the rest balances
        return _rescaled(x, pairs, rows, S)
    return _raised(np.concatenate([lam, star, x[P + M :]]), M, P, S)


def _rescaled(x: Array, pairs: list[tuple[int, int]], rows: Array, S: Any) -> float:
    """For the causal set: from the report backwards, let no more enter a point than leaves it."""
    M, P = len(rows), len(pairs)
    if any(j > k for j, k in pairs):
        return np.inf
    lam = np.zeros((M, M))
    for column, (j, k) in enumerate(pairs):
        lam[j, k] = max(x[column], 0)
    star = np.maximum(x[P : P + M], 0)
    for k in range(M - 1, -1, -1):
        leaving = lam[k].sum() + (k == M - 1)
        entering = lam[:, k].sum() + star[k]
        if entering > 0:
            lam[:, k] *= leaving / entering
            star[k] *= leaving / entering
        else:
            star[k] = leaving
    flat = np.array([lam[j, k] for j, k in pairs])
    return _raised(np.concatenate([flat, star, x[P + M :]]), M, P, S)


def _raised(x: Array, M: int, P: int, S: Any) -> float:
    least = np.linalg.eigvalsh(_matrix(S @ x, M + 1))[0]
    margin = max(0.0, -least) + 1e-14 * M
    return float(x[P + M :].sum() + (M + 1) * margin)
