"""One law fitted to one curve: parameters, what the noise leaves open, values at any step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.fits.laws.base import Array, Law, Rows
from sftheory.fits.noise import Noise, noise_of
from sftheory.fits.projection import Optimum, optimum

HUBER = 1.345  # in standard deviations; 95% efficient under normal noise
ROUNDS = 50
SETTLED = 1e-9


def scaled_rows(step: Array) -> Rows:
    """The rows of a single-curve law: T is the last step."""
    return Rows((step - step[0]) / step[-1], step[0] / step[-1], step[-1])


@dataclass(frozen=True, eq=False)
class Solution:
    r"""The least-squares fit of a law.

    Attributes:
        law: which.
        step, loss: (n,), what was fitted.
        rows: the same steps in scaled units.
        theta, factors, floor: the fitted coordinates, see `Law`.
        weights: (n,), of bins or of a robust fit; None is 1 for all.
        noise: of the residuals.
        edge: (2, m), whether a coordinate stopped at its lower or upper bound.
    """

    law: Law
    step: Array
    loss: Array
    rows: Rows
    theta: Array
    factors: Array
    floor: float
    sse: float
    weights: Array | None
    noise: Noise
    edge: NDArray[np.bool_]

    @cached_property
    def parameters(self) -> dict[str, float]:
        """The parameters by name."""
        found = self.law.parameters(self.theta, self.factors, self.floor, self.rows)
        return {name: float(value) for name, value in found.items()}

    def __getitem__(self, name: str) -> float:
        return self.parameters[name]

    @property
    def residual(self) -> Array:
        """Loss - law at the fitted steps."""
        return self.loss - self.value_of(self.rows)

    @property
    def at_edge(self) -> bool:
        """Whether a coordinate stopped at a bound, so that the data do not bound it."""
        return bool(self.edge.any())

    def rows_at(self, step: Array) -> Rows:
        """Any steps in the scaled units of this fit."""
        return Rows((step - self.step[0]) / self.rows.unit, self.rows.first, self.rows.unit)

    def value(self, step: ArrayLike) -> Array:
        """The law at steps of shape (k,)."""
        return self.value_of(self.rows_at(np.asarray(step, np.float64)))

    def value_of(self, rows: Rows) -> Array:
        """The law at scaled rows, as a law that knows the rate needs them."""
        return self.floor + self.factors @ self.law.columns(self.theta[None], rows)[0]

    def gradient(self, step: ArrayLike) -> Array:
        """Its derivatives by (theta, factors, floor), (k, size)."""
        return self.gradient_of(self.rows_at(np.asarray(step, np.float64)))

    def gradient_of(self, rows: Rows) -> Array:
        """The same at scaled rows."""
        columns = self.law.columns(self.theta[None], rows)
        slopes = self.law.slopes(self.theta[None], rows, columns)[0]
        by_theta = np.einsum("k,mkn->nm", self.factors, slopes)
        return np.concatenate([by_theta, columns[0].T, np.ones((len(by_theta), 1))], axis=1)

    @cached_property
    def _decomposed(self) -> tuple[Array, Array, Array]:
        """Lengths of the columns of the Jacobian, and its singular values and basis without them.

        A coordinate at its bound counts as known: its length is infinite.
        """
        jacobian = self.gradient_of(self.rows)
        if self.weights is not None:
            jacobian = jacobian * np.sqrt(self.weights)[:, None]
        fixed = np.concatenate([self.edge.any(axis=0), np.zeros(len(self.factors) + 1, bool)])
        size = np.linalg.norm(jacobian, axis=0)
        size[fixed | (size == 0)] = np.inf
        _, values, basis = np.linalg.svd(jacobian / size, full_matrices=False)
        return size, values, basis

    @property
    def condition(self) -> float:
        """Largest / smallest singular value of the Jacobian with columns of length 1."""
        size, values, _ = self._decomposed
        return float(values[0] / max(values[np.isfinite(size).sum() - 1], 1e-300))

    @cached_property
    def root(self) -> Array:
        """R with covariance R R' of (theta, factors, floor), autocorrelation included.

        A coordinate at its bound counts as known.
        """
        size, values, basis = self._decomposed
        kept = values > 1e-13 * values[0]
        root = basis[kept].T / values[kept] / size[:, None]
        return self.noise.sigma * self.noise.inflation * root

    def error_at(self, step: ArrayLike) -> Array:
        """Standard error of the law's value at steps of shape (k,)."""
        return np.linalg.norm(self.gradient(step) @ self.root, axis=-1)

    def mean_error(self, step: Array) -> float:
        """Standard error of the mean of the law over some steps."""
        return float(np.linalg.norm(self.gradient(step).mean(axis=0) @ self.root))

    @cached_property
    def moves(self) -> dict[str, Array]:
        """J R for each parameter with its derivatives J: covariances are their inner products."""
        m, k = len(self.theta), len(self.factors)
        tiny = 1e-30
        point = np.concatenate([self.theta, self.factors, [self.floor]])
        moved = point[:, None] + 1j * tiny * np.eye(len(point))
        found = self.law.parameters(moved[:m], moved[m : m + k], moved[-1], self.rows)
        return {name: np.imag(value) / tiny @ self.root for name, value in found.items()}

    @cached_property
    def errors(self) -> dict[str, float]:
        """Standard errors of the parameters, by name."""
        return {name: float(np.linalg.norm(move)) for name, move in self.moves.items()}


def solutions(law: Law, step: Array, loss: Array, weights: Array | None = None) -> list[Solution]:
    """The fit of `law` to each of several curves with the same steps.

    Args:
        law: a law of a single curve.
        step: (n,).
        loss: (B, n).
        weights: (B, n); rows of weight zero are left out, and do not count as residuals.
    """
    rows = scaled_rows(step)
    best = optimum(law, rows, loss, weights)
    return [solution_of(law, step, loss[i], rows, best, i, weights) for i in range(len(loss))]


def solution_of(
    law: Law,
    step: Array,
    loss: Array,
    rows: Rows,
    best: Optimum,
    i: int,
    weights: Array | None = None,
) -> Solution:
    """Curve `i` of a batch that has been fitted, with the noise of its residuals."""
    w = None if weights is None else weights[i]
    theta, factors, floor = best.theta[i], best.factors[i], float(best.floor[i])
    values = floor + factors @ law.columns(theta[None], rows)[0]
    e = loss - values
    noise = noise_of(e, None, law.size) if w is None else noise_of(e[w > 0], w[w > 0], law.size)
    sse = float(e @ e if w is None else w @ e**2)
    return Solution(law, step, loss, rows, theta, factors, floor, sse, w, noise, best.edge[i])


def robust(solution: Solution) -> Solution:
    r"""The Huber fit by reweighted least squares: w_i = min(1, 1.345 sigma / |e_i|).

    sigma is 1.4826 times the median of |e - median e|, found anew in every round; rounds end when c
    stands still.
    """
    law, step, loss, rows = solution.law, solution.step, solution.loss, solution.rows
    for _ in range(ROUNDS):
        e = solution.residual
        sigma = 1.4826 * float(np.median(np.abs(e - np.median(e))))
        if sigma == 0:
            return solution
        weights = np.minimum(1.0, HUBER * sigma / np.maximum(np.abs(e), 1e-300))[None]
        best = optimum(law, rows, loss[None], weights)
        before = solution.floor
        solution = solution_of(law, step, loss, rows, best, 0, weights)
        if abs(solution.floor - before) <= SETTLED * sigma:
            break
    return solution
