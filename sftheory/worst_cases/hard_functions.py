r"""The function that attains the worst case of the last iterate, and of what shares it.

With orthonormal e_0, ..., e_m, x_* = 0, x_1 = D e_0 and p, q_k, U_k of `recursion`,

    g_j = G [p e_0 - Σ_{l<j} q_l sqrt(U_l) e_l + sqrt(U_j) e_j],    f(x) = max(0, max_j <g_j, x>),

|g_j| = G, and at x_i all pieces j >= i tie. Where the recursion clips, all later pieces coincide,
and where the steps are small there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.problems.base import Problem
from sftheory.worst_cases.recursion import worst_parameters

Array = NDArray[np.float64]
TIE = 1e-15  # of D G: pieces further from the maximum than this never count as tied


@dataclass(frozen=True, eq=False)
class MaxOfLinear(Problem):
    r"""f(x) = max(0, max_j <g_j, x>) with the pieces that make steps h do worst; O(m) a query.

    Args:
        p: in (0, 1], the part of every g_j along e_0.
        q: (m,), in (0, 1].
        root: (m,), sqrt(U_k) > 0.
        D: |x_1 - x_*|.
        G: |g_j|, the Lipschitz constant.

        gap: piece j is lowered by j times this; see `separated`.
        floor: (m,), the values of f above which piece j is returned; None is -inf.

    The oracle returns the piece of lowest index within rounding, and 1e-15 D G, of the maximum: at
    x_i that is g_i, and any of the tied ones is a subgradient. With a gap it returns the maximum's.
    """

    p: float
    q: Array
    root: Array
    radius: float
    G: float  # pyright: ignore[reportIncompatibleVariableOverride]
    gap: float = 0.0
    floor: Array | None = None

    f_star = 0.0

    @classmethod
    def of_steps(cls, h: Array, *, D: float, G: float) -> MaxOfLinear:
        """The worst function of steps h > 0, (N,); of none it is G <e_0, x>."""
        if len(h) == 0:
            return cls(1.0, np.empty(0), np.empty(0), float(D), float(G))
        p, q, U = worst_parameters(np.ascontiguousarray(h), D, G)
        m = int(np.argmax(U <= 0)) if (U <= 0).any() else len(U)  # pieces with a part of their own
        return cls(float(p), q[:m], np.sqrt(U[:m]), float(D), float(G))

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """D e_0, (m + 1,)."""
        x1 = np.zeros(len(self.q) + 1)
        x1[0] = self.radius
        return x1

    @property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser, zero."""
        return np.zeros(len(self.q) + 1)

    def separated(self, gap: float = 1e-9) -> MaxOfLinear:
        """The same with piece j lowered by j gap D G: the maximum has one piece where they tied.

        What a method attains on it bounds its worst case from below without any choice of
        subgradients, and is smaller by at most (m + 1) gap D G.
        """
        return replace(self, gap=gap * self.radius * self.G)

    @property
    def pieces(self) -> Array:
        """The g_j as rows, (m + 1, m + 1)."""
        m = len(self.q)
        rows = np.zeros((m + 1, m + 1))
        rows[:, 0] = self.p
        below = np.tril(np.ones((m + 1, m)), -1)
        rows[:, 1:] = -below * (self.q * self.root)
        rows[np.arange(m), np.arange(1, m + 1)] += self.root
        return self.G * rows

    def products(self, x: Any) -> Any:
        """<g_j, x> - j gap for every piece, (..., m + 1) -> (..., m + 1), by one prefix sum."""
        own = self.root * x[..., 1:]
        before = np.cumsum(self.q * own, axis=-1)
        values = np.empty(np.shape(x))
        values[..., 0] = 0
        values[..., 1:] = -before
        values[..., :-1] += own
        return self.G * (self.p * x[..., :1] + values) - self.gap * np.arange(np.shape(x)[-1])

    def _tie(self, x: Any, best: Any) -> Any:
        """How far below the maximum each piece counts as tied: by rounding, (..., m + 1)."""
        own = np.abs(self.root * x[..., 1:])
        sizes = np.repeat(self.p * np.abs(x[..., :1]), len(self.q) + 1, axis=-1)
        sizes[..., :-1] += own
        sizes[..., 1:] += np.cumsum(self.q * own, axis=-1)
        sizes += np.take_along_axis(sizes, best, axis=-1)
        rounding = 2.0**-52 * (len(self.q) + 1) * self.G * sizes
        return np.minimum(rounding, TIE * self.radius * self.G)

    def value(self, x: Any) -> Any:
        return np.maximum(self.products(x).max(axis=-1), 0)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        values = self.products(x)
        top = values.max(axis=-1)
        best = values.argmax(axis=-1)[..., None]
        near = values >= top[..., None] - (0.0 if self.gap else self._tie(x, best))
        if self.floor is not None:
            near[..., :-1] &= top[..., None] >= self.floor
        j = near.argmax(axis=-1)[..., None]
        m = len(self.q)
        index = np.arange(m)
        g = np.empty(np.shape(x))
        g[..., 0] = self.p
        g[..., 1:] = np.where(index < j, -self.q * self.root, 0)
        g[..., 1:] += np.where(index == j, self.root, 0)
        g *= self.G
        return np.maximum(top, 0), np.where((top < 0)[..., None], 0, g)
