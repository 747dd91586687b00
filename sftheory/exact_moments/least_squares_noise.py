r"""Least squares on given rows with minibatches drawn from them: full second moments.

f(w) = (1/2n) Σ (<a_i, w> - b_i)²; a gradient is the mean over B rows drawn with replacement. Its
noise is not independent over the modes and grows with the distance, so the second moments are
matrices, d x d. With e the deviation from the minimiser and r_i the residuals there, a row has the
gradient a_i (<a_i, e> + r_i), and

    E g g' = (1/B) [(1/n) Σ a_i a_i' (a_i' M a_i + 2 r_i a_i' m + r_i²)] + (1 - 1/B) H M H

with M = E e e' and m = E e at the point where the gradient is taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, count, numbers
from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LeastSquaresMoments:
    """loss_x, loss_y, loss_z: (N + 1,), E f - f_star; inf once a run has overflowed.

    mean_x (d,), second_x (d, d): of deviations from the minimiser, after the last step.
    """

    loss_x: Array
    loss_y: Array
    loss_z: Array
    mean_x: Array
    second_x: Array


def least_squares(
    rows: ArrayLike,
    targets: ArrayLike,
    tableau: Tableau,
    *,
    batch: int = 1,
    x1: ArrayLike | None = None,
) -> LeastSquaresMoments:
    r"""Exact moments of a tableau on least squares with minibatches, O(N n d²).

    Args:
        rows: (n, d), the a_i.
        targets: (n,), the b_i.
        tableau: one method.
        batch: B rows a step, with replacement.
        x1: (d,), the start; None is zero.

    Raises:
        InputError: shapes do not fit, a batch of tableaus, or batch < 1.
    """
    A, b = numbers("rows", rows, "row"), numbers("targets", targets, "row")
    if A.ndim != 2 or b.shape != A.shape[:1]:
        raise InputError(
            f"least_squares needs finite rows (n, d) and n targets, but got {A.shape} and "
            f"{b.shape}."
        )
    if tableau.batch:
        raise InputError("least_squares takes one tableau; index the batch.")
    B = count("batch", batch)
    n, d = A.shape
    H = A.T @ A / n
    best = np.linalg.lstsq(A, b, rcond=None)[0]
    r = A @ best - b
    at = np.zeros(d) if x1 is None else numbers("x1", x1, "coordinate")
    if at.shape != (d,):
        raise InputError(f"x1 has shape {at.shape} but rows have {d} columns; pass (d,) numbers.")
    start = at - best
    zm = xm = start
    Z = X = C = np.outer(start, start)  # E zz', E xx', E z x'
    losses = np.empty((tableau.steps + 1, 3))
    beta_last = float(tableau.beta[-1])
    arrays = (part.tolist() for part in (tableau.gamma, tableau.beta, tableau.c))
    with np.errstate(all="ignore"):  # an unstable run overflows, and ends at inf
        for t, (gamma, beta, c) in enumerate([*zip(*arrays, strict=True), (0.0, beta_last, 0.0)]):
            ym = (1 - beta) * zm + beta * xm
            Y = (1 - beta) ** 2 * Z + beta**2 * X + beta * (1 - beta) * (C + C.T)
            losses[t] = [np.sum(H * M) / 2 for M in (X, Y, Z)]
            spread = ((A @ Y) * A).sum(axis=1) + 2 * r * (A @ ym) + r * r
            G = (A * spread[:, None]).T @ A / (n * B) + (1 - 1 / B) * H @ Y @ H
            Yz, Yx = (1 - beta) * Z + beta * C.T, (1 - beta) * C + beta * X  # E y z', E y x'
            cross = C - gamma * H @ Yx  # E z' x'
            new = Z - gamma * (H @ Yz + (H @ Yz).T) + gamma * gamma * G
            zm = zm - gamma * H @ ym
            xm = (1 - c) * xm + c * zm
            X = (1 - c) ** 2 * X + c * (1 - c) * (cross + cross.T) + c * c * new
            C = (1 - c) * cross + c * new
            Z = new
    losses = np.where(np.isnan(losses), np.inf, losses)
    return LeastSquaresMoments(*losses.T, mean_x=xm, second_x=X)
