r"""Proofs of both ends of a worst case in exact rational arithmetic, for up to some 60 steps.

Doubles are binary fractions, so a tableau's combinations of gradients are too, and integers over a
common power of two hold them. Above: λ is taken as it is, its flow completed exactly, the form S
rounded to 2^-PRECISION with the error added to its diagonal, and S is positive definite by its
leading minors (Bareiss). Below: the method is run on a maximum of affine functions.
"""

from __future__ import annotations

from fractions import Fraction
from math import hypot
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]
Integers = Any  # an object array of Python integers
LIMIT = 60  # steps
PRECISION = 140


def upper(tableau: Tableau, pairs: Array, diagonal: Array, D: float, norms: Array) -> Fraction:
    """A bound on the worst case, from λ_jk (M, M) and the diagonal of S (M + 1,).

    `diagonal` is in units of D = 1 and of the largest norm; it is raised in steps until S is
    positive definite. inf is not returned: a diagonal large enough always exists.
    """
    rows, a = _integers(_rows(tableau))
    lam, b = _integers(np.maximum(pairs, 0))
    M = len(rows)
    scale = 1 << b
    star = np.array([scale * (k == M - 1) for k in range(M)], dtype=object)
    star = star - lam.sum(axis=0) + lam.sum(axis=1)
    star = np.array([max(s, 0) for s in star], dtype=object)  # what is too much goes to x_*
    turned = (lam.sum(axis=0) + star)[:, None] * rows - lam.T @ rows  # of <g_k, Σ λ (p_i - p_k)>
    # twice S, over 2^(a + b)
    S = np.zeros((M + 1, M + 1), dtype=object)
    S[1:, 1:] = turned + turned.T
    S[0, 1:] = S[1:, 0] = [-s << a for s in star]
    shift = a + b + 1 - PRECISION
    S = np.array([[_shifted(int(v), shift) for v in row] for row in S], dtype=object)
    G = float(norms.max())
    units = [Fraction(G) / Fraction(D), *[Fraction(D) / Fraction(G)] * M]
    squares = [Fraction(v) ** 2 for v in (D, *norms.tolist())]
    more = Fraction(1, 10**15)
    while True:
        raised = [(Fraction(max(d, 0.0)) + more) * u for d, u in zip(diagonal, units, strict=True)]
        trial = S.copy()
        for k, value in enumerate(raised):
            trial[k, k] += (value.numerator << PRECISION) // value.denominator - (M + 1)
        if _positive_definite(trial):
            return sum((r * e for r, e in zip(raised, squares, strict=True)), Fraction(0))
        more *= 4


def lower(
    tableau: Tableau, slopes: Array, offsets: Array, start: Array, D: float, norms: Array
) -> Fraction:
    """What the method attains on f(x) = max(0, max_k offsets_k + <slopes_k, x>), x_* = 0.

    The slopes and the start are shortened until they are in the class. 0 if a gradient is longer
    than the norm of its step.
    """
    slopes = _within(slopes, np.full(len(slopes), norms.max()))
    (start,) = _within(start[None], np.array([D]))
    rows, a = _integers(_rows(tableau))
    numbers, s = _integers(np.vstack([slopes, start]))
    heights, o = _integers(np.minimum(offsets, 0.0))
    slopes_, start_ = numbers[:-1], numbers[-1]
    scale = 2 * s + a + o
    heights = np.array([int(v) << (scale - o) for v in heights], dtype=object)
    squares = [Fraction(int(g @ g), 1 << 2 * s) for g in slopes_]
    M, top = len(rows), 0
    gradients = np.zeros((M, len(start_)), dtype=object)
    for k in range(M):
        point = np.array([int(v) << a for v in start_], dtype=object) - rows[k] @ gradients
        values = [int(point @ g) << o for g in slopes_]
        values = [v + int(height) for v, height in zip(values, heights, strict=True)]
        best = max(range(len(values)), key=values.__getitem__)
        top = max(values[best], 0)
        if values[best] > 0:
            if squares[best] > Fraction(float(norms[k])) ** 2:
                return Fraction(0)
            gradients[k] = slopes_[best]
    return Fraction(top, 1 << scale)


def _rows(tableau: Tableau) -> Any:
    """The rows of y_1, ..., y_N and of the report as fractions, (N + 1, N + 1)."""
    N = tableau.steps
    gamma, beta, c = (
        [Fraction(v) for v in part.tolist()] for part in (tableau.gamma, tableau.beta, tableau.c)
    )
    rows = np.full((N + 1, N + 1), Fraction(0), dtype=object)
    share = [Fraction(0)] * N
    for t in range(N):
        for s in range(t):
            rows[t, s] = gamma[s] * (1 - beta[t] * (1 - share[s]))
        for s in range(t + 1):
            share[s] += c[t] * (1 - share[s])
    rows[N, :N] = [g * s for g, s in zip(gamma, share, strict=True)]
    return rows


def _integers(values: Any) -> tuple[Integers, int]:
    """Integers i and e with values = i / 2^e exactly."""
    flat: list[Any] = np.ravel(np.asarray(values)).tolist()
    fractions = [Fraction(v) for v in flat]
    e = max(f.denominator for f in fractions).bit_length() - 1
    whole = [f.numerator << (e - f.denominator.bit_length() + 1) for f in fractions]
    return np.array(whole, dtype=object).reshape(np.shape(values)), e


def _shifted(value: int, shift: int) -> int:
    return value >> shift if shift >= 0 else value << -shift


def _within(rows: Array, limits: Array) -> Array:
    """Rows shortened, where needed, so that their exact norms are at most the limits."""
    rows = rows.copy()
    for row, limit in zip(rows, limits.tolist(), strict=True):
        length = hypot(*row.tolist())
        if length > limit:
            row *= limit / length
        while sum((Fraction(v) ** 2 for v in row.tolist()), Fraction(0)) > Fraction(limit) ** 2:
            row *= 1 - 2.0**-52
    return rows


def _positive_definite(S: Integers) -> bool:
    """Whether all leading minors are positive, by fraction-free elimination."""
    S, last = S.copy(), 1
    for k in range(len(S)):
        pivot = S[k, k]
        if pivot <= 0:
            return False
        rest = S[k + 1 :, k + 1 :] * pivot - np.outer(S[k + 1 :, k], S[k, k + 1 :])
        S[k + 1 :, k + 1 :] = rest // last
        last = pivot
    return True
