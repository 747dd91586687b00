"""The points that a worst case is about, and what of them is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]
Criterion = Literal["last", "best", "average"]


@dataclass(frozen=True, eq=False)
class Points:
    """Points p_k = x_1 - Σ_l rows[k, l] g_l in the order of time, g_l a subgradient at p_l.

    rows: (M, M), strictly lower triangular; the column of a point at which the method asks for no
    gradient is zero. reported: (M,), how often the criterion looks at each. best: whether it takes
    the least of their values instead of the mean.
    """

    rows: Array
    reported: NDArray[np.bool_] | NDArray[np.int64]
    best: bool

    def __len__(self) -> int:
        return len(self.rows)


def points_of(tableau: Tableau, criterion: Criterion = "last") -> Points:
    """The oracle points y_1, ..., y_N and the reported ones: x_{N+1}, or x_1, ..., x_{N+1}.

    Where x_t and y_t are the same combination of gradients they are one point.
    """
    N = tableau.steps
    Y, h = tableau.step_matrices()
    X, _ = Tableau(tableau.gamma, 1.0, tableau.c).step_matrices()  # beta = 1: y is x
    combinations: list[Array] = []
    asked: list[int] = []
    reported: list[bool] = []
    for t in range(N):
        same = bool((X[t] == Y[t]).all())
        if criterion != "last" and not same:
            combinations.append(X[t])
            reported.append(True)
        asked.append(len(combinations))
        combinations.append(Y[t])
        reported.append(criterion != "last" and same)
    combinations.append(h)
    reported.append(True)
    rows = np.zeros((len(combinations), len(combinations)))
    rows[:, asked] = combinations
    return Points(rows, np.array(reported), criterion == "best")
