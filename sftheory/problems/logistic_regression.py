"""Logistic regression on real data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sftheory.core.errors import InputError, count, real
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem
from sftheory.problems.datasets import load_labelled


@PROBLEMS.register(
    ref="pedregosa2011",
    tex=r"f(w) = \tfrac1n \textstyle\sum_i \log(1 + e^{-b_i \langle a_i, w \rangle})"
    r" + \tfrac{\lambda}{2} \|w\|^2",
    example={"name_or_path": "diabetes"},
)
@dataclass(frozen=True)
class LogisticRegression(Problem):
    r"""Two-class logistic loss on standardised real data with intercept, from w = 0.

    f(w) = (1/n) Σ log(1 + exp(-b_i <a_i, w>)) + (reg/2) |w|², the intercept included in |w|.

    Args:
        name_or_path: "cancer", "digits", "wine", "diabetes", or a file in LIBSVM format.
        reg: >= 0.
        batch: rows of a minibatch, drawn with replacement; None takes the full gradient.

    Columns that are constant, or non-zero in fewer than 10 rows (a quarter of the rows, if there
    are fewer than 40), are dropped: rare ones make data quasi-separable.

    Known: x_star and f_star (trust-region Newton, polished; f - f_star <= |g|²/(2 mu) <= 1e-10),
        D, L, mu = reg; G at reg = 0: the mean row norm, or the largest with minibatches.

    Raises:
        InputError: unknown data, a malformed file, reg < 0, or no minimiser: with reg = 0 on data
            that a hyperplane separates, weakly or strictly (found by a linear program).
    """

    name_or_path: str | os.PathLike[str]
    reg: float = 0.0
    batch: int | None = None

    def __post_init__(self) -> None:
        real("LogisticRegression's reg", self.reg, 0)
        if self.batch is not None:
            count("LogisticRegression's batch", self.batch)
        rows = self.rows  # reads the data now, so that bad data is said now
        if self.reg == 0 and _separable(rows):
            raise InputError(
                f"A hyperplane separates the classes of {self.name_or_path}, so at reg=0 "
                f"no minimiser exists; pass reg>0."
            )

    @property
    def name(self) -> str:
        return f"LogisticRegression({os.path.basename(self.name_or_path)})"

    @property
    def samples_loss(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether minibatches are drawn."""
        return self.batch is not None

    @property
    def stochastic(self) -> bool:
        """Whether minibatches are drawn."""
        return self.batch is not None

    @cached_property
    def rows(self) -> Array:
        """b_i a_i, (n, d): features standardised, an intercept last, times the label."""
        A, b = load_labelled(self.name_or_path)
        n = len(b)
        enough = (A != 0).sum(axis=0) >= min(10, max(1, n // 4))
        A = A[:, enough & (A != A[0]).any(axis=0)]
        if A.shape[1] == 0:
            raise InputError(
                f"No column of {self.name_or_path} varies and is non-zero in enough of its {n} "
                f"rows; pass more rows."
            )
        A = (A - A.mean(axis=0)) / A.std(axis=0)
        return np.column_stack([A, np.ones(n)]) * b[:, None]

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start, zero."""
        return np.zeros(self.rows.shape[1])

    @cached_property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser."""
        return self._minimise()

    @property
    def f_star(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The least value."""
        return float(self.value(self.x_star))

    @cached_property
    def G(self) -> float | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Mean row norm, or the largest with minibatches; None if reg > 0: |reg w| is unbounded."""
        norms = np.linalg.norm(self.rows, axis=1)
        if self.reg > 0:
            return None
        return float(norms.mean() if self.batch is None else norms.max())

    @cached_property
    def L(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Largest eigenvalue of AᵀA / (4n), plus reg."""
        return float(np.linalg.norm(self.rows, 2) ** 2 / (4 * len(self.rows)) + self.reg)

    @property
    def mu(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Strong convexity on the whole space."""
        return self.reg

    def value(self, x: Any) -> Any:
        return _softplus(-(x @ self.rows.T)).mean(axis=-1) + self.reg / 2 * (x * x).sum(axis=-1)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x, noise)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        """(f, ∇f), or a minibatch's, whose rows are `noise` (seed, batch) for x (..., seed, d)."""
        if noise is None:
            margin = x @ self.rows.T
            pull = -_sigmoid(-margin) @ self.rows / len(self.rows)
        else:
            rows = self.rows[noise]  # (seed, batch, d)
            margin = (rows @ x[..., None])[..., 0]
            pull = -(_sigmoid(-margin)[..., None, :] @ rows)[..., 0, :] / rows.shape[-2]
        loss = _softplus(-margin).mean(axis=-1) + self.reg / 2 * (x * x).sum(axis=-1)
        return loss, pull + self.reg * x

    def draw(self, rng: np.random.Generator, steps: int) -> Any:
        if self.batch is None:
            return None
        return rng.integers(len(self.rows), size=(steps, self.batch))

    def hessian(self, x: Array) -> Array:
        """The Hessian at one point, (d,) -> (d, d)."""
        s = _sigmoid(self.rows @ x)
        weighted = self.rows * (s * (1 - s))[:, None]
        return weighted.T @ self.rows / len(self.rows) + self.reg * np.eye(len(x))

    def _minimise(self) -> Array:
        from scipy.optimize import minimize

        full = LogisticRegression.oracle
        w = minimize(
            lambda x: full(self, x),
            self.x1,
            jac=True,
            hess=self.hessian,
            method="trust-exact",
            options={"gtol": 1e-9},
        ).x
        for _ in range(5):  # polish: each Newton step squares the error
            w = w - np.linalg.solve(self.hessian(w), full(self, w)[1])
        gradient = np.linalg.norm(full(self, w)[1])
        curvature = np.linalg.eigvalsh(self.hessian(w))[0]
        if not gradient**2 <= 2e-10 * curvature:
            raise InputError(
                f"{self.name} has no minimiser that can be certified (gradient {gradient:.1e}, "
                f"curvature {curvature:.1e}); pass a larger reg."
            )
        return w


def _softplus(v: Any) -> Any:
    # a third of logaddexp's time, and as accurate: nothing overflows, nothing cancels
    return np.maximum(v, 0) + np.log1p(np.exp(-np.abs(v)))


def _sigmoid(v: Any) -> Any:
    e = np.exp(-np.abs(v))
    return np.where(v >= 0, 1, e) / (1 + e)


def _separable(rows: Array) -> bool:
    """Whether some w has <rows_i, w> >= 0 for all i and > 0 for one: then f has no minimiser."""
    from scipy.optimize import linprog

    n, d = rows.shape
    best = linprog(
        c=-rows.mean(axis=0), A_ub=-rows, b_ub=np.zeros(n), bounds=[(-1, 1)] * d, method="highs"
    )
    return -best.fun > 1e-7
