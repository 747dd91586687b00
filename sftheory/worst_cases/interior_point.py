r"""A primal-dual interior point for semidefinite programs over pairs, with λ as its variables.

    min q · u   such that   B u = t,   u >= 0,   S = Σ λ_ik A_ik + Σ d_l e_l e_l' - room I >= 0,

u = (λ, w, d): pairs, then weights that only the equations know, then diagonal entries. Its dual is
over a Gram matrix X and the values y of the equations: q - B'y - A*(X) = v >= 0. The step is that
of helmberg1996 and kojima1997 with mehrotra1992's corrector. Its matrix of <A_ik, X A_jl S^-1> is
made entry by entry from forms of rank three; a Cholesky factor, m³/3 operations, is what it costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from threadpoolctl import threadpool_limits

from sftheory.worst_cases.pair_forms import PairForms

Array = NDArray[np.float64]
ACCURACY = 1e-9  # of 1 + |value|: the duality gap at which it stops
BLOCK = 96  # columns that are factorised at a time
STALLED = 1e-6  # the same at which it says that it has failed
ITERATIONS = 80
NEARLY = 1e-7  # the gap from which on a ridge would cost X more than it gains u
RIDGES = (1e-15, 1e-13, 1e-11, 1e-9)
BACK = 0.90  # of the way to the boundary


@dataclass(frozen=True, eq=False)
class Program:
    """The data; pairs i and k (m,), free (F,) the l of d, equations (E, m + W + F), target (E,)."""

    forms: PairForms
    i: NDArray[np.int64]
    k: NDArray[np.int64]
    free: NDArray[np.int64]
    cost: Array
    equations: Array
    target: Array
    room: float = 0.0

    @property
    def size(self) -> int:
        """n, the order of S."""
        return self.forms.p.shape[1]

    def slack(self, u: Array) -> Array:
        """S of u."""
        weights = np.zeros((len(self.forms.p),) * 2)
        weights[self.i, self.k] = u[: len(self.i)]
        S = self.forms.total(weights) - self.room * np.eye(self.size)
        S[self.free, self.free] += u[len(u) - len(self.free) :]
        return S

    def products(self, X: Array) -> Array:
        """A*(X), as long as u."""
        out = np.zeros(len(self.cost))
        out[: len(self.i)] = self.forms.products(X)[self.i, self.k]
        out[len(out) - len(self.free) :] = X[self.free, self.free]
        return out

    def scaled(self, X: Array, Z: Array) -> Array:
        """<A_a, X A_b Z> for every two entries of u; the lower triangle."""
        m, F = len(self.i), len(self.free)
        out = np.zeros((len(self.cost),) * 2)
        out[:m, :m] = self.forms.between(X, Z, self.i, self.k)
        if F:
            out[-F:, :m] = self.forms.against_squares(X, Z, self.i, self.k, self.free).T
            out[-F:, -F:] = (X * Z)[np.ix_(self.free, self.free)]
        return out


@dataclass(frozen=True, eq=False)
class Found:
    """u, the values y of the equations, the Gram matrix X and the duality gap."""

    u: Array
    y: Array
    X: Array
    gap: float

    @property
    def solved(self) -> bool:
        """Whether the gap has closed."""
        return self.gap <= STALLED


def minimise(program: Program, accuracy: float = ACCURACY) -> Found:
    """Solve; u is the last one, X and y are those that keep best to their own inequalities."""
    with threadpool_limits(1, user_api="blas"):  # threads lose more on small matrices than they win
        return _minimise(program, accuracy)


def _minimise(program: Program, accuracy: float) -> Found:
    q, B, t, n = program.cost, program.equations, program.target, program.size
    count = len(q)
    u, v, y = np.ones(count), np.ones(count), np.zeros(len(t))
    X, S = np.eye(n), np.eye(n)
    gap, kept = np.inf, (np.inf, X, y)
    for _ in range(ITERATIONS):
        lacking = program.slack(u) - S
        short = t - B @ u
        over = q - B.T @ y - program.products(X) - v
        gap = (float(u @ v) + float((X * S).sum())) / (1 + abs(float(q @ u)))
        feasible = max(float(np.abs(lacking).max()), float(np.abs(short).max()))
        merit = max(gap, 10 * float(np.abs(over).max()))
        if merit <= kept[0]:
            kept = merit, X, y
        if gap < accuracy and feasible < accuracy:
            break
        mu = (float(u @ v) + float((X * S).sum())) / (count + n)
        try:
            Z = linalg.cho_solve(linalg.cho_factor(S), np.eye(n))
            Z = (Z + Z.T) / 2
            ridges = RIDGES if gap > NEARLY else RIDGES[:1]
            solve = _solver(program.scaled(X, Z), v / u, B, ridges)

            def step(sigma: float, bent: Any, curved: Any) -> tuple[Array, ...]:
                T = sigma * mu * Z - X - _symmetric(X @ lacking @ Z) - bent  # noqa: B023
                c = sigma * mu / u - v - curved  # noqa: B023
                du, dy = solve(program.products(T) + c - over, short)  # noqa: B023
                moved = program.slack(du) + program.room * np.eye(n)
                dX = T - _symmetric(X @ moved @ Z)  # noqa: B023
                return du, dy, dX, moved + lacking, c - v / u * du  # noqa: B023

            du, dy, dX, dS, dv = step(0.0, 0.0, 0.0)
            a, b = min(1.0, _room(X, dX, v, dv)), min(1.0, _room(S, dS, u, du))
            ahead = (u + b * du) @ (v + a * dv) + ((X + a * dX) * (S + b * dS)).sum()
            near = BACK + 0.09 * min(a, b)
            sigma = min(1.0, max((float(ahead) / (count + n) / mu) ** 3, 1e-6))
            du, dy, dX, dS, dv = step(sigma, _symmetric(dX @ dS @ Z), du * dv / u)
            a, b = min(1.0, near * _room(X, dX, v, dv)), min(1.0, near * _room(S, dS, u, du))
        except linalg.LinAlgError:
            break
        if not max(a, b) > 1e-7:
            break
        u, S = u + b * du, S + b * dS
        X, v, y = X + a * dX, v + a * dv, y + a * dy
    return Found(u=u, y=kept[2], X=kept[1], gap=float(gap))


def _solver(H: Array, ratio: Array, B: Array, ridges: tuple[float, ...]) -> Any:
    """Solves (H + diag(ratio)) du - B'dy = r, B du = s, by one factor in units of its diagonal."""
    H[np.diag_indices(len(H))] += ratio
    unit = 1 / np.sqrt(np.diag(H))
    H *= unit
    H *= unit[:, None]
    L, E, small = _regularised(H, B * unit, ridges)

    def solve(r: Array, s: Array) -> tuple[Array, Array]:
        halfway = linalg.solve_triangular(L, unit * r, lower=True, check_finite=False)
        dy = linalg.cho_solve(small, s - E @ halfway)
        halfway += E.T @ dy
        return unit * linalg.solve_triangular(
            L, halfway, lower=True, trans=1, check_finite=False
        ), dy

    return solve


def _regularised(H: Array, B: Array, ridges: tuple[float, ...]) -> tuple[Array, Array, Any]:
    """Factors of H + ridge I for the first ridge that makes it positive definite, and of B H^-1 B'.

    A proximal term: λ is not unique where there are more pairs than entries of S.
    """
    for ridge in ridges:
        try:
            L, E = _factor(H + ridge * np.eye(len(H)), B)
            return L, E, linalg.cho_factor(E @ E.T)
        except linalg.LinAlgError:
            continue
    raise linalg.LinAlgError("No ridge makes the matrix positive definite.")


def _factor(H: Array, B: Array) -> tuple[Array, Array]:
    """L with L L' = H, of which the lower triangle is read, and B L'^-1; H is overwritten.

    By blocks whose work is matrix products, several times faster than LAPACK's at these sizes.
    """
    m = len(H)
    E = B.copy()
    for start in range(0, m, BLOCK):
        block = slice(start, min(start + BLOCK, m))
        below = slice(block.stop, m)
        done, own = H[:, :start], H[block, :start]
        H[block, block] -= own @ own.T
        corner = np.linalg.cholesky(H[block, block])
        inverse = linalg.solve_triangular(corner, np.eye(len(corner)), lower=True)
        H[block, block] = corner
        H[below, block] = (H[below, block] - done[below] @ own.T) @ inverse.T
        E[:, block] = (E[:, block] - E[:, :start] @ own.T) @ inverse.T
    return H, E


def _room(X: Array, dX: Array, v: Array, dv: Array) -> float:
    """The largest step along (dX, dv) that leaves X positive semidefinite and v nonnegative."""
    factor = np.linalg.cholesky(X)
    W = linalg.solve_triangular(factor, dX, lower=True)
    W = linalg.solve_triangular(factor, W.T, lower=True)
    least = float(np.linalg.eigvalsh(_symmetric(W))[0])
    falling = dv < 0
    return min(
        np.inf if least >= 0 else -1 / least,
        float((-v[falling] / dv[falling]).min()) if falling.any() else np.inf,
    )


def _symmetric(M: Array) -> Array:
    return (M + M.T) / 2
