r"""The function that a solution of the program stands for.

With slopes v_k and offsets o_k, f(x) = μ/2 |x|² + F(x), where F is max(0, max_k o_k + <v_k, x>), or
its Moreau envelope of parameter 1/(L - μ) if f is to be L-smooth (drori2016, taylor2017):

    F(x) = max over α >= 0, Σ α <= 1, of Σ α_k (o_k + <v_k, x>) - |Σ α_k v_k|² / (2 (L - μ)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.problems.base import Problem
from sftheory.worst_cases.points import Points
from sftheory.worst_cases.sdp import Class, Solution

Array = NDArray[np.float64]
GAPS = (1e-8, 1e-7, 1e-6)


@dataclass(frozen=True, eq=False)
class Interpolation(Problem):
    r"""f(x) = μ/2 |x|² + F(x), F a maximum of affine functions and 0, or its Moreau envelope.

    Args:
        slopes: (M, d), the v_k.
        offsets: (M,), the o_k <= 0, so that x_* = 0 and f_* = 0.
        start: (d,), x_1.
        G: a bound on |v_k| where mu = 0 and L is None, else None.
        L: smoothness, None without.
        mu: strong convexity.

    Without L the oracle returns the piece that is largest.
    """

    slopes: Array
    offsets: Array
    start: Array
    G: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    L: float | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    mu: float = 0.0  # pyright: ignore[reportIncompatibleVariableOverride]

    f_star = 0.0

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start."""
        return self.start

    @property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser, zero."""
        return np.zeros(len(self.start))

    def value(self, x: Any) -> Any:
        return self.oracle(x)[0]

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        value, slope = self._largest(x) if self.L is None else self._envelope(x)
        return value + (self.mu / 2 * x * x).sum(axis=-1), slope + self.mu * x

    def _largest(self, x: Any) -> tuple[Any, Any]:
        values = x @ self.slopes.T + self.offsets
        top = values.max(axis=-1)
        slope = self.slopes[values.argmax(axis=-1)]
        return np.maximum(top, 0), np.where((top < 0)[..., None], 0, slope)

    def _envelope(self, x: Any) -> tuple[Any, Any]:
        assert self.L is not None
        rows = np.reshape(x, (-1, np.shape(x)[-1])) @ self.slopes.T + self.offsets
        factor = self.slopes / np.sqrt(self.L - self.mu)
        alpha = np.array([_greatest(factor, row) for row in rows])
        bend = ((alpha @ factor) ** 2).sum(axis=-1) / 2
        values = (alpha * rows).sum(axis=-1) - bend
        shape = np.shape(x)[:-1]
        return values.reshape(shape), (alpha @ self.slopes).reshape(np.shape(x))


def _greatest(factor: Array, linear: Array) -> Array:
    """The α >= 0, Σ α <= 1, with the greatest <linear, α> - |Σ α_k factor_k|² / 2, by active sets.

    The piece 0 takes the weight left over. Entries enter one by one, the one with the greatest
    derivative first, and leave where a step would make them negative.
    """
    w = np.pad(factor, ((0, 1), (0, 0)))  # the piece 0 as the last of M + 1
    c = np.append(linear, 0.0)
    squares = (w * w).sum(axis=1)
    rounding = 1e-15 * max(np.abs(c).max(), squares.max())
    alpha = np.zeros(len(c))
    alpha[np.argmax(c - squares / 2)] = 1
    for _ in range(10 * len(c)):
        slope = c - w @ (alpha @ w)
        enters = int(np.argmax(slope))
        if slope[enters] <= slope @ alpha + rounding:
            break
        active = np.union1d(np.flatnonzero(alpha), enters)
        whole = False
        while not whole:
            move = _move(w[active], slope[active], int(np.argmax(alpha[active])))
            falls = np.flatnonzero(move < 0)
            room = alpha[active[falls]] / -move[falls]
            whole = len(falls) == 0 or bool(room.min() >= 1)
            alpha[active] += (1 if whole else room.min()) * move
            if not whole:
                out = active[falls[np.argmin(room)]]
                alpha[out], active = 0, active[active != out]
                slope = c - w @ (alpha @ w)
    return alpha[:-1]


def _move(w: Array, slope: Array, base: int) -> Array:
    """Newton's step on the plane of the active pieces, from their derivatives; its sum is 0.

    Where the pieces depend on each other the curvature is next to nothing along the dependence,
    and the step so long that an entry leaves.
    """
    plane = np.delete(w - w[base], base, axis=0)
    rise = np.delete(slope - slope[base], base)
    left, curvature, _ = np.linalg.svd(plane)
    curvature = np.pad(curvature, (0, len(rise) - len(curvature)))
    curvature = np.maximum(curvature, 1e-14 * (np.abs(w).max() or 1.0))
    step = left @ ((left.T @ rise) / curvature**2)
    return np.insert(step, base, -step.sum())


def functions_of(
    solution: Solution, points: Points, functions: Class, *, D: float, G: float
) -> Iterator[Interpolation]:
    """Functions whose pieces are those of a solution, in units of D and of gradients G.

    The slopes fix the points that the method visits. A solver's pieces tie only to its accuracy;
    without L they are set apart by a small gap, each piece lowered by its number of gaps, or by a
    linear program that keeps every piece above all others at its own point.
    """
    M = len(points)
    eigenvalues, vectors = np.linalg.eigh(solution.gram)
    factor = vectors * np.sqrt(np.maximum(eigenvalues, 0))
    start, gradients = factor[0], factor[1:]
    if functions.norms is not None:
        largest = (np.linalg.norm(gradients, axis=1) / functions.norms).max()
        gradients = gradients / max(1.0, float(largest) * (1 + 1e-15))
    start = start / max(1.0, float(np.linalg.norm(start)) * (1 + 1e-15))
    at = start - points.rows @ gradients
    slopes = gradients - functions.mu * at
    values = solution.values - functions.mu / 2 * (at * at).sum(axis=1)
    own = (slopes * at).sum(axis=1)
    unit = {"L": None, "mu": functions.mu * G / D}
    if functions.L is not None:
        bend = (slopes * slopes).sum(axis=1) / (2 * (functions.L - functions.mu))
        unit["L"] = functions.L * G / D
        choices = iter([values + bend])
    else:
        lowered = (values - gap * np.arange(M) for gap in (0.0, *GAPS))
        apart = (_apart(at @ slopes.T, own, gap) for gap in GAPS)
        choices = chain(lowered, apart)
    Lipschitz = (
        None
        if functions.L is not None or functions.mu
        else G * float(np.linalg.norm(slopes, axis=1).max())
    )
    for chosen in choices:
        if chosen is not None:
            offsets = chosen - own
            offsets = offsets - max(0.0, float(offsets.max()))  # f(x_*) = 0
            yield Interpolation(G * slopes, D * G * offsets, D * start, G=Lipschitz, **unit)


def _apart(products: Array, own: Array, gap: float) -> Array | None:
    """Values f_k, the last the largest, with f_i >= f_j + <v_j, p_i - p_j> + gap; or None."""
    from scipy.optimize import linprog

    M = len(own)
    i, j = np.nonzero(~np.eye(M, dtype=bool))
    rows = np.zeros((len(i), M))
    rows[np.arange(len(i)), j], rows[np.arange(len(i)), i] = 1, -1
    limits = [(gap, max(gap, float(v))) for v in own]
    room = own[j] - products[i, j] - gap
    best = linprog(-np.eye(M)[-1], A_ub=rows, b_ub=room, bounds=limits)
    return best.x if best.status == 0 else None
