r"""The worst case as a semidefinite program over pairs of points, solved and repaired to a bound.

In units of D = 1 and of gradients, with points p_1, ..., p_M, p_* = 0 and the Gram matrix of
[x_1 - x_*, g_1, ..., g_M], each λ_ik >= 0 multiplies the interpolation inequality of a pair,

    f_i >= f_k + <g_k, p_i - p_k> + μ/2 |p_i - p_k|²                             (no L)
    f_i >= f_k + <g_k, p_i - p_k> + [|g_i - g_k|²/L + μ |p_i - p_k|²
           - 2 (μ/L) <g_i - g_k, p_i - p_k>] / (2 (1 - μ/L))                     (taylor2017)

τ multiplies |x_1 - x_*|² <= 1 and ν_k multiplies |g_k|² <= G_k² (no L). The program is

    min τ + Σ ν_k G_k²   such that flow is conserved and S(λ, τ, ν) is positive semidefinite.

Pairs i = * or i < k, the causal ones, are enough to be a bound and mostly to be exact: they come
first, and others where the Gram matrix that is found breaks their inequalities. A solver's λ is
repaired: made nonnegative, its flow exact, and the free diagonal raised until S is positive
semidefinite; what comes out bounds the worst case up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from sftheory.worst_cases.interior_point import Program, minimise
from sftheory.worst_cases.pair_forms import PairForms
from sftheory.worst_cases.points import Points

Array = NDArray[np.float64]
LIMIT = 75  # points but one; beyond, the program takes minutes
ROUNDS = 5  # of pairs that are added
BROKEN = 1e-8  # by how much an inequality must be broken to be added; below apart
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


def solve(points: Points, functions: Class, *, apart: float = 0.0, full: bool = True) -> Solution:
    """Solve the program and repair what comes out.

    Args:
        points: in units of D = 1.
        functions: the class.
        apart: how far the inequalities between distinct points are tightened in the primal; its
            function then has one piece at every point, and the value falls by at most this times
            Σ λ.
        full: add the pairs that are needed; without, the causal ones alone.
    """
    first, place = _distinct(points.rows)
    if functions.L is not None and len(first) < len(points):  # a smooth function has one gradient
        found = solve(_merged(points, first, place), functions, apart=apart, full=full)
        return _spread(found, first, place)
    # a smooth class has no free diagonal but τ, so that the solver must leave room for the repair
    rooms = (0.0,) if functions.norms is not None else (1e-8, 1e-7, 1e-6)
    found = _solve(points, functions, place, full, apart, rooms[0])
    for room in rooms[1:]:
        if np.isfinite(found.upper):
            break
        found = _solve(points, functions, place, full, apart, room)
    return found


def _solve(
    points: Points,
    functions: Class,
    place: NDArray[np.int64],
    full: bool,
    apart: float,
    room: float,
) -> Solution:
    M, norms = len(points), functions.norms
    forms = PairForms.of(points.rows, functions.L, functions.mu)
    free = np.arange(M + 1) if norms is not None else np.arange(1)
    price = np.ones(1) if norms is None else np.concatenate([[1.0], norms**2])
    at = np.append(place, place.max() + 1)  # of x_* too
    i, k = np.indices((M + 1, M + 1))
    distinct = at[:, None] != at
    # x_* and the past; what f_* says of the others is free but where gradients are not
    chosen = distinct & (k < M) & ((i == M) | (i < k))
    if full:  # those that are most often broken: neighbours, and the first points
        chosen |= distinct & (i < M) & (k < i) & ((i == k + 1) | (i <= 4))
    if not functions.plain:
        chosen |= distinct & (k == M)
    rounds = 0
    while True:
        pairs = np.nonzero(chosen)
        equations, target, weighed = _flow(points, at, *pairs)
        program = Program(
            forms=forms,
            i=pairs[0],
            k=pairs[1],
            free=free,
            cost=np.concatenate([np.full(len(pairs[0]), -apart), np.zeros(len(weighed)), price]),
            equations=np.hstack([equations, np.zeros((len(target), len(free)))]),
            target=target,
            room=room,
        )
        found = minimise(program)
        values = found.y[: place.max() + 1][place]
        f = np.append(values, 0.0)
        broken = forms.products(found.X) + f - f[:, None] + apart > BROKEN
        broken &= distinct & ~chosen
        rounds += 1
        if not (full and found.solved and broken.any() and rounds < ROUNDS):
            break
        chosen |= broken
    m = len(pairs[0])
    lam = np.zeros((M + 1, M + 1))
    lam[pairs] = found.u[:m]
    if points.best:
        weights = np.zeros(M)
        weights[weighed] = found.u[m : m + len(weighed)] / found.u[m : m + len(weighed)].sum()
    else:
        weights = points.reported / points.reported.sum()
    diagonal = found.u[m + len(weighed) :]
    upper, lam, raised = _repair(forms, functions, place, lam, weights, diagonal)
    return Solution(
        status=SOLVED if found.solved else f"Stalled at a gap of {found.gap:.0e}",
        value=float(price @ diagonal),
        upper=upper,
        multipliers=lam,
        diagonal=raised,
        gram=found.X,
        values=values,
    )


def _distinct(rows: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first index of each distinct point, in order, and which of these every point is."""
    _, first, place = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[np.ravel(place)]


def _flow(
    points: Points, at: NDArray[np.int64], i: NDArray[np.int64], k: NDArray[np.int64]
) -> tuple[Array, Array, NDArray[np.int64]]:
    """What arrives at a point is what leaves it and what is asked of it: a value for each.

    With `best` the asked weights are variables as well, and sum to one; they are of `weighed`.
    """
    count, columns = at.max() + 1, np.arange(len(i))
    flow = np.zeros((count, len(i)))
    flow[at[k], columns] += 1
    flow[at[i], columns] -= 1
    if not points.best:
        asked = np.zeros(count - 1)
        np.add.at(asked, at[:-1], points.reported / points.reported.sum())
        return flow[:-1], asked, np.zeros(0, dtype=np.int64)
    weighed = np.flatnonzero(points.reported)
    leaving = np.zeros((count - 1, len(weighed)))
    leaving[at[weighed], np.arange(len(weighed))] = -1
    equations = np.block([[flow[:-1], leaving], [np.zeros(len(i)), np.ones(len(weighed))]])
    return equations, np.append(np.zeros(count - 1), 1.0), weighed


def _merged(points: Points, first: NDArray[np.int64], place: NDArray[np.int64]) -> Points:
    """The distinct points alone; the gradients of those that coincide are one."""
    rows = np.zeros((len(first), len(first)))
    np.add.at(rows.T, place, points.rows[first].T)
    reported = np.zeros(len(first), dtype=np.int64)
    np.add.at(reported, place, points.reported)
    return Points(rows, reported, points.best)


def _spread(found: Solution, first: NDArray[np.int64], place: NDArray[np.int64]) -> Solution:
    """A solution for the distinct points, said of all."""
    M = len(place)
    index = np.append(first, M)
    multipliers = np.zeros((M + 1, M + 1))
    multipliers[np.ix_(index, index)] = found.multipliers
    basis = np.concatenate([[0], place + 1])
    return Solution(
        status=found.status,
        value=found.value,
        upper=found.upper,
        multipliers=multipliers,
        diagonal=found.diagonal,
        gram=found.gram[np.ix_(basis, basis)],
        values=found.values[place],
    )


def _repair(
    forms: PairForms,
    functions: Class,
    place: NDArray[np.int64],
    lam: Array,
    weights: Array,
    diagonal: Array,
) -> tuple[float, Array, Array]:
    """A feasible point near the solver's, its value, and the diagonal that makes it feasible.

    What flow is missing at a point comes from x_*, and what is too much goes there.
    """
    M = len(place)
    missing = weights - lam[:, :M].sum(axis=0) + lam[:M].sum(axis=1)
    together = np.zeros(M)
    np.add.at(together, place, missing)
    first = np.unique(place, return_index=True)[1]
    lam[M, first] += np.maximum(together[: len(first)], 0)
    lam[first, M] += np.maximum(-together[: len(first)], 0)
    S = forms.total(lam)
    rounding = 1e-14 * (M + 1) * max(1.0, float(np.abs(S).max()))
    if functions.norms is None:
        return *_raise_start(S, lam, rounding), diagonal
    free = diagonal.copy()
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
