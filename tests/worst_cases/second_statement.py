"""The worst case stated a second time: the primal over Gram matrices, all pairs, through cvxpy.

The points are those that `iterate` makes of coefficient vectors, an oracle call being a new
coordinate, so that nothing is shared with `Tableau.step_matrices` or with the program.
"""

import cvxpy as cp
import numpy as np

from sftheory.core.tableau import iterate


def second_statement(tableau, *, D, norms=None, L=None, mu=0.0, criterion="last"):
    """The worst case, from the solver.

    norms: of y_1, ..., y_N and of the report; or one number, for every point.
    """
    N = tableau.steps
    size = 2 * N + 2  # x_1, the g of y_1, ..., y_N, and a subgradient at every reported point
    unit = np.eye(size)
    points = []

    def oracle(y):
        same = [k for k, p in enumerate(points) if L is not None and (p == y).all()]
        if not same:  # a smooth function has one gradient at a point
            points.append(y)
        return unit[same[0] + 1 if same else len(points)]

    run = list(iterate(tableau, unit[0], oracle))
    reported = []
    for x in [unit[0], *(x for x, *_ in run)] if criterion != "last" else [run[-1][0]]:
        same = [k for k, p in enumerate(points) if (p == x).all()]
        same = same if criterion != "last" or L is not None else []
        reported.append(same[0] if same else len(points))
        if not same:
            points.append(x)
    M = len(points)
    points = np.array([*points, np.zeros(size)])  # x_* = 0 with f_* = 0 and g_* = 0
    slopes = np.zeros((M + 1, size))
    slopes[np.arange(M), np.arange(1, M + 1)] = 1

    X = cp.Variable((M + 1, M + 1), PSD=True)
    F = cp.Variable(M)
    i, k = np.nonzero(~np.eye(M + 1, dtype=bool))
    dp, dg = points[i] - points[k], slopes[i] - slopes[k]
    form = product(slopes[k], dp)
    if L is None:
        form = form + mu / 2 * product(dp, dp)
    else:
        bend = product(dg, dg) / L + mu * product(dp, dp) - 2 * mu / L * product(dg, dp)
        form = form + bend / (2 * (1 - mu / L))
    form = form[:, : M + 1, : M + 1].reshape(len(i), -1)
    values = np.eye(M + 1)[:, :M]
    limits = [
        (values[i] - values[k]) @ F >= form @ cp.vec(X, order="C"),
        X[0, 0] <= D**2,
    ]
    if norms is not None:
        limits.append(cp.diag(X)[1:] <= np.broadcast_to(norms, M) ** 2)
    goal = {
        "last": F[reported[-1]],
        "best": cp.min(F[reported]),
        "average": cp.sum(F[reported]) / (N + 1),
    }
    problem = cp.Problem(cp.Maximize(goal[criterion]), limits)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-7, tol_gap_rel=1e-7, tol_feas=1e-7)
    assert problem.status == "optimal", problem.status
    return float(problem.value)


def product(a, b):
    """The symmetric matrices of <a, b>, (..., d, d)."""
    outer = a[..., :, None] * b[..., None, :]
    return (outer + np.swapaxes(outer, -1, -2)) / 2
