r"""The program of a worst case with all pairs, in Clarabel: the other side of two benchmarks.

min τ + Σ ν_k over λ_ik >= 0 with conserved flow and Σ λ_ik A_ik + diag(τ, ν) positive semidefinite,
A_ik the form of <g_k, p_i - p_k>; units D = G = 1. Stated anew, by stored forms, and not repaired.
"""

from __future__ import annotations

import clarabel
import numpy as np
from scipy import sparse

from sftheory.worst_cases.points import Points


def clarabel_value(points: Points) -> tuple[float, bool]:
    """The program's value and whether the solver reached its tolerance."""
    M = len(points)
    i, k = np.nonzero(~np.eye(M + 1, dtype=bool))
    row, column = np.tril_indices(M + 1)  # svec: the upper triangle by columns
    scale = np.where(row == column, 1.0, np.sqrt(2))
    p, g = np.zeros((M + 1, M + 1)), np.zeros((M + 1, M + 1))
    p[:M, 0], p[:M, 1:], g[:M, 1:] = 1, -points.rows, np.eye(M)
    apart, at = p[i] - p[k], g[k]
    forms = (at[:, row] * apart[:, column] + at[:, column] * apart[:, row]) * scale / 2
    flow = np.zeros((M + 1, len(i)))
    flow[k, np.arange(len(i))] += 1
    flow[i, np.arange(len(i))] -= 1
    free = np.arange(M + 1)
    diagonal = np.zeros((len(row), M + 1))
    diagonal[free * (free + 3) // 2, free] = 1
    count = len(i) + M + 1
    A = sparse.vstack(
        [
            sparse.csc_matrix(np.hstack([flow[:M], np.zeros((M, M + 1))])),
            -sparse.eye(count),
            sparse.csc_matrix(-np.hstack([forms.T, diagonal])),
        ]
    )
    asked = points.reported / points.reported.sum()
    b = np.concatenate([asked, np.zeros(count + len(row))])
    cost = np.concatenate([np.zeros(len(i)), np.ones(M + 1)])
    cones = [
        clarabel.ZeroConeT(M),  # pyright: ignore[reportAttributeAccessIssue]
        clarabel.NonnegativeConeT(count),  # pyright: ignore[reportAttributeAccessIssue]
        clarabel.PSDTriangleConeT(M + 1),  # pyright: ignore[reportAttributeAccessIssue]
    ]
    settings = clarabel.DefaultSettings()  # pyright: ignore[reportAttributeAccessIssue]
    settings.verbose = False
    settings.direct_solve_method = "faer"  # supernodal: three times faster than the default
    solver = clarabel.DefaultSolver(  # pyright: ignore[reportAttributeAccessIssue]
        sparse.csc_matrix((count, count)), cost, A.tocsc(), b, cones, settings
    )
    found = solver.solve()
    return float(cost @ found.x), str(found.status) == "Solved"
