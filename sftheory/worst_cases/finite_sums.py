"""Stochastic subgradients of a finite sum: the worst expected gap, over the tree of all paths."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant, count, steps

Array = NDArray[np.float64]
LIMIT = 45  # subgradients in the tree; the Gram matrix holds them all


def finite_sum(gamma: ArrayLike, *, D: float, G: float, n: int) -> float:
    r"""Worst case of E f(x_{N+1}) - f* where each step takes a subgradient of a random component.

    Problem: minimise f = (1/n) Σ f_i, every f_i convex with subgradients |g| <= G, from x_1 with
    |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_{i_t}(x_t), i_t uniform over the n components, independent.
    Method: a semidefinite program over the tree of all paths. Every component has a value and a
        subgradient at every node, the leaves included, and at x_*, where the subgradients sum to
        zero; those of one component interpolate a convex function.
    Guarantee: the solver's, about 1e-7. What the tests find is `bounds.last_iterate`, the value
        without noise: it bounds the expectation, and equal components attain it.

    Args:
        gamma: (N,), >= 0, units D / G.
        D: > 0, |x_1 - x_*|.
        G: > 0, a bound on the subgradients of every component.
        n: >= 1 components; n (1 + n + ... + n^N) subgradients may be at most 45.

    Returns:
        The worst case, units D G.

    Raises:
        InputError: the tree is too large, a step is negative, or a constant is missing.

    References: taylor2017, zamani2023.

    Example:
        >>> round(finite_sum([0.5], D=1, G=1, n=2), 5)
        0.75
    """
    gamma = steps("gamma", gamma)
    if gamma.ndim > 1:
        raise InputError(f"finite_sum takes one method, not a batch of {len(gamma)}; pass a row.")
    n = count("n", n)
    D, G = (_one(name, value) for name, value in (("D", D), ("G", G)))
    N = len(gamma)
    if n * sum(n**t for t in range(N + 1)) > LIMIT:
        raise InputError(
            f"The tree of n={n} components and N={N} steps has {n**N} paths, and its program needs "
            f"more than {LIMIT} subgradients; pass fewer steps or components."
        )
    return D * G * _solve(gamma * (G / D), n)


def _one(name: str, value: Any) -> float:
    value = constant("finite_sum", name, value)
    if not isinstance(value, float):
        raise InputError(f"finite_sum needs one {name}, but got {len(value)} of them.")
    return value


def _solve(gamma: Array, n: int) -> float:
    """The value for D = G = 1."""
    import cvxpy as cp

    points, slopes, leaves = _tree(gamma, n)
    nodes = len(points) - 1
    i, k = np.nonzero(~np.eye(nodes + 1, dtype=bool))  # the last point is x_*
    gram = cp.Variable((points.shape[1],) * 2, PSD=True)
    values = cp.Variable((n, nodes))
    at = np.eye(nodes + 1)[:, :nodes]  # f_i(x_*) = 0 for every component, by a constant each
    limits: list[Any] = [gram[0, 0] <= 1]
    for component in range(n):
        g, dp = slopes[component], points[i] - points[k]
        forms = (g[k][:, :, None] * dp[:, None, :]).reshape(len(i), -1)
        rise = forms @ cp.vec(gram, order="C")
        limits.append((at[i] - at[k]) @ values[component] >= rise)
        squares = (g[:, :, None] * g[:, None, :]).reshape(len(g), -1)
        limits.append(squares @ cp.vec(gram, order="C") <= 1)
    problem = cp.Problem(cp.Maximize(cp.sum(values[:, leaves]) / (n * leaves.sum())), limits)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-7, tol_gap_rel=1e-7, tol_feas=1e-7)
    return float(values.value[:, leaves].mean())  # pyright: ignore[reportOptionalSubscript]


def _tree(gamma: Array, n: int) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Points, subgradients and leaves, as coefficients of the Gram matrix's vectors.

    These are x_1, the subgradients g[node, i], and those at x_* but one, which is minus the others'
    sum. Points (nodes + 1, d), the last x_* = 0; slopes (n, nodes + 1, d); leaves (nodes,).
    """
    nodes = sum(n**t for t in range(len(gamma) + 1))
    d = 1 + n * nodes + n - 1
    unit = np.eye(d)
    slopes = np.empty((n, nodes + 1, d))
    slopes[:, :nodes] = unit[1 : 1 + n * nodes].reshape(nodes, n, d).swapaxes(0, 1)
    slopes[: n - 1, nodes] = unit[1 + n * nodes :]
    slopes[n - 1, nodes] = -slopes[: n - 1, nodes].sum(axis=0)
    level, points = [0], [unit[0]]
    for step in gamma:
        children = []
        for node in level:
            for component in range(n):
                children.append(len(points))
                points.append(points[node] - step * slopes[component, node])
        level = children
    leaves = np.zeros(nodes, dtype=bool)
    leaves[level] = True
    return np.array([*points, np.zeros(d)]), slopes, leaves
