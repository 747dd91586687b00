"""A bigram language whose tokens differ in how uncertain their successors are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sftheory.core.errors import count
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(
    ref="wen2024",
    tex=r"f(W) = \tfrac1V \textstyle\sum_i \mathrm{KL}(p_i \,\|\, \mathrm{softmax}(W_i)), \quad"
    r" p_i = (1 - \epsilon_i)\, e_{i+1} + \tfrac{\epsilon_i}{V} 1, \quad"
    r" \epsilon_i = \tfrac{i}{V - 1}",
)
@dataclass(frozen=True)
class BigramValley(Problem):
    r"""Cross-entropy of a table of bigram logits, less the language's entropy, from W = 0.

    Token i = 0, ..., V - 1 is followed by i + 1 (cyclic) with probability 1 - eps_i and by any
    token alike otherwise, eps_i = i / (V - 1). So token 0 has a certain successor (river) and token
    V - 1 none at all (hill). A point is the V x V table of logits, row by row, d = V². A step draws
    `batch` pairs: i uniform, then its successor.

    Known: f_star = 0, not attained by finite logits; G = sqrt(2), L = 1/(2 V), mu = 0.

    Ours, after the bigram toy that wen2024 describes; not its constants.

    Raises:
        InputError: V < 2 or batch < 1.
    """

    V: int = 16
    batch: int = 16

    f_star = 0.0
    G = float(np.sqrt(2))  # |q - e_j|, averaged over a batch
    mu = 0.0

    def __post_init__(self) -> None:
        count("BigramValley's V", self.V, least=2)
        count("BigramValley's batch", self.batch)

    @cached_property
    def p(self) -> Array:
        """The language, (V, V): row i holds the probabilities of the successors of i."""
        eps = np.arange(self.V) / (self.V - 1)
        follows = np.roll(np.eye(self.V), 1, axis=1)
        return (1 - eps)[:, None] * follows + eps[:, None] / self.V

    @cached_property
    def entropy(self) -> Array:
        """Entropy of the successor of each token in nats, (V,)."""
        return -(self.p * _log(self.p)).sum(axis=1)

    @property
    def trace(self) -> Array:
        """Trace of each row's block of the Hessian of KL at the optimum, 1 - Σ_j p_ij², (V,)."""
        return 1 - (self.p**2).sum(axis=1)

    @property
    def L(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """1/(2 V): diag(q) - q q' has no eigenvalue above 1/2."""
        return 1 / (2 * self.V)

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Zero logits, (V²,)."""
        return np.zeros(self.V**2)

    def rows(self, x: Any) -> Any:
        """KL(p_i || softmax(W_i)) of every token, (..., V²) -> (..., V)."""
        W = self._table(x)
        top = W.max(axis=-1, keepdims=True)
        log_sum = top[..., 0] + np.log(np.exp(W - top).sum(axis=-1))
        return log_sum - (self.p * W).sum(axis=-1) - self.entropy

    def value(self, x: Any) -> Any:
        return np.maximum(self.rows(x).mean(axis=-1), 0.0)  # rounding can fall below f_star

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        W = self._table(x)
        e = np.exp(W - W.max(axis=-1, keepdims=True))
        q = e / e.sum(axis=-1, keepdims=True)
        if noise is None:
            return ((q - self.p) / self.V).reshape(x.shape)
        seen = self._counts(noise) / self.batch
        return (q * seen.sum(axis=-1, keepdims=True) - seen).reshape(x.shape)

    def draw(self, rng: np.random.Generator, steps: int) -> Array:
        return rng.random((steps, self.batch, 2))

    def _table(self, x: Any) -> Any:
        return np.asarray(x, float).reshape(*np.shape(x)[:-1], self.V, self.V)

    def _counts(self, uniform: Array) -> Array:
        """How often each pair was drawn, (..., batch, 2) -> (..., V, V)."""
        V = self.V
        i = (uniform[..., 0] * V).astype(int)
        eps = i / (V - 1)
        rest = uniform[..., 1] - (1 - eps)  # the share of the uniform successors
        anyone = np.minimum(rest / np.where(eps > 0, eps, 1) * V, V - 1).astype(int)
        j = np.where(rest < 0, (i + 1) % V, anyone)
        lead = uniform.shape[:-2]
        run = np.arange(int(np.prod(lead))).reshape(*lead, 1)
        flat = (run * V + i) * V + j
        counts = np.bincount(flat.ravel(), minlength=run.size * V * V)
        return counts.reshape(*lead, V, V).astype(float)


def _log(p: Array) -> Array:
    return np.log(np.where(p > 0, p, 1))
