"""Instances of the theory pages in rational numbers: chains, worst functions, certificates.

Lists start at index 0, so h[0] is h_1 and P[N] is P_{N+1}. Everything is a Fraction, also the worst
function: the coordinates are multiples of sqrt(A_1) e_0 and sqrt(alpha_k) e_k, whose squares are
rational, and only inner products are ever needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate, pairwise
from operator import mul
from random import Random

Vector = list[Fraction]
Matrix = list[Vector]
ONE, ZERO = Fraction(1), Fraction(0)


def some(rng: Random, low: int = 1, high: int = 9) -> Fraction:
    """A positive rational of small height."""
    return Fraction(rng.randint(low, high), rng.randint(1, 9))


def psi(P: Fraction, h: Fraction) -> Fraction:
    return P + 2 * h + h * h / P


def combine(terms: list[tuple[Fraction, Vector]], size: int) -> Vector:
    out = [ZERO] * size
    for weight, vector in terms:
        for i, x in enumerate(vector):
            out[i] += weight * x
    return out


@dataclass(frozen=True)
class Chain:
    """Steps h, numbers P with P_k >= psi(P_{k+1}) at h_k, and what both pages make of them."""

    h: Vector
    P: Vector

    @property
    def N(self) -> int:
        return len(self.h)

    @cached_property
    def slack(self) -> Vector:
        return [self.P[k] - psi(self.P[k + 1], h) for k, h in enumerate(self.h)]

    @cached_property
    def norm_multipliers(self) -> Vector:
        """mu_k = P_k - P_{k+1} - 2 h_k, and P_{N+1} for the last."""
        return [*(self.P[k] - self.P[k + 1] - 2 * h for k, h in enumerate(self.h)), self.P[-1]]

    @cached_property
    def T(self) -> Vector:
        """T'_0, ..., T'_N."""
        nu = [(self.P[k + 1] + h) / self.P[k] for k, h in enumerate(self.h)]
        return list(accumulate(nu, mul, initial=ONE))

    @cached_property
    def omega(self) -> Vector:
        return [*(a - b for a, b in pairwise(self.T)), self.T[-1]]

    @cached_property
    def gamma(self) -> Vector:
        return [h / t for h, t in zip(self.h, self.T[1:], strict=True)]

    def value(self, D: Fraction, squares: Vector) -> Fraction:
        """J, for squares G_1², ..., G_{N+1}²."""
        norms = sum((m * g for m, g in zip(self.norm_multipliers, squares, strict=True)), ZERO)
        return (D * D / self.P[0] + norms) / 2


@dataclass(frozen=True)
class Worst:
    """f(x) = max(0, max_j <g_j, x>): the pieces that D, sqrt(A_1), the q_k and alpha_k make."""

    D: Fraction
    root: Fraction
    q: Vector
    alpha: Vector
    chain: Chain

    @classmethod
    def of(cls, chain: Chain, D: Fraction, alpha: Vector) -> Worst:
        """Of an optimal chain, with alpha_k >= 0 and 0 where the chain has slack."""
        q = [h / p for h, p in zip(chain.h, chain.P[1:], strict=True)]
        return cls(D, D / chain.P[0], q, alpha, chain)

    @cached_property
    def A(self) -> Vector:
        grow = (q * q * a for q, a in zip(self.q, self.alpha, strict=True))
        return list(accumulate(grow, initial=self.root**2))

    @cached_property
    def squares(self) -> Vector:
        return [*(A + a for A, a in zip(self.A, self.alpha, strict=False)), self.A[-1]]

    @cached_property
    def kappa(self) -> Vector:
        return [A - q * a for A, q, a in zip(self.A, self.q, self.alpha, strict=False)]

    @property
    def x1(self) -> Vector:
        return [self.D / self.root, *(ZERO for _ in self.alpha)]

    def b(self, k: int) -> Vector:
        return [ONE, *(-q for q in self.q[:k]), *(ZERO for _ in self.q[k:])]

    @cached_property
    def pieces(self) -> Matrix:
        rows = [self.b(k) for k in range(len(self.q) + 1)]
        for k in range(len(self.q)):
            rows[k][k + 1] += 1
        return rows

    def inner(self, x: Vector, y: Vector) -> Fraction:
        metric = [self.A[0], *self.alpha]
        return sum((m * a * b for m, a, b in zip(metric, x, y, strict=True)), ZERO)

    def f(self, x: Vector) -> Fraction:
        return max(ZERO, *(self.inner(g, x) for g in self.pieces))

    def points(self, rows: Matrix) -> Matrix:
        """y_k = x_1 - Σ_l rows[k][l] g_l: the method, if piece l is what it is given at y_l."""
        size = len(self.q) + 1
        return [
            combine(
                [(ONE, self.x1), *((-w, g) for w, g in zip(row, self.pieces, strict=False))], size
            )
            for row in rows
        ]


def natural(h: Vector, D: Fraction, G: Fraction) -> Chain:
    """P_1 = max(M_1, D/G), P_{k+1} = max(M_{k+1}, h_k), for positive steps."""
    M = least(h)
    return Chain(h, [max(M[0], D / G), *(max(m, x) for m, x in zip(M[1:], h, strict=True))])


def least(h: Vector) -> Vector:
    """M_1, ..., M_{N+1}; a zero step hands its successor's on."""
    M = [ZERO]
    for x in reversed(h):
        M.append(psi(max(M[-1], x), x) if x else M[-1])
    return M[::-1]


def closed_form(h: Vector, D: Fraction, G: Fraction) -> Fraction:
    """W of Theorem 3."""
    M, H = least(h)[0], sum(h, ZERO)
    return (D * D / M + G * G * (M - 2 * H)) / 2 if G * M >= D else D * G - G * G * H


def worst_of(h: Vector, D: Fraction, G: Fraction) -> Worst:
    """The natural chain with the alpha_k = G² U_k of the constant bound."""
    chain = natural(h, D, G)
    A, alpha = (D / chain.P[0]) ** 2, []
    for k, x in enumerate(h):
        alpha.append(G * G - A)
        A += (x / chain.P[k + 1]) ** 2 * alpha[-1]
    return Worst.of(chain, D, alpha)


PER_STEP = ["rank one", "jumps", "zero steps", "increasing bounds", "decreasing bounds"]


def optimal(rng: Random, N: int, kind: str) -> Worst:
    """A chain, and bounds G_t for which it is optimal: built from the optimality conditions."""
    P, h = [some(rng)], []
    for k in range(N):
        q = some(rng) if kind != "decreasing bounds" else Fraction(rng.randint(1, 9), 10)
        if kind == "zero steps" and k and rng.random() < 0.5:
            q = ZERO
        jump = kind == "jumps" and rng.random() < 0.5
        h.append(q * P[-1])
        P.append(psi(P[-1], h[-1]) + (some(rng) if jump else 0))
    chain = Chain(h[::-1], P[::-1])
    alpha = []
    for k, slack in enumerate(chain.slack):
        last = alpha[-1] if alpha else some(rng)
        new = some(rng)
        if kind == "increasing bounds":
            new = last + some(rng)
        if kind == "decreasing bounds" and alpha:
            q = chain.h[k - 1] / chain.P[k]
            new = last * (1 - q * q) * Fraction(rng.randint(5, 10), 10)
        alpha.append(ZERO if slack else new)
    return Worst.of(chain, some(rng), alpha)


CONSTANT = ["ordinary", "clipped", "small steps", "decaying", "increasing"]


def steps_of(rng: Random, N: int, kind: str) -> tuple[Vector, Fraction, Fraction]:
    """Steps h > 0, D and G for a constant bound."""
    if kind == "clipped":
        h = [Fraction(2) ** rng.randint(-6, 6) for _ in range(N)]
    elif kind == "decaying":
        scale = some(rng)
        h = [scale * (N - k) for k in range(N)]
    else:
        h = [some(rng) for _ in range(N)]
    if kind == "increasing":
        h.sort()
    D, G = some(rng), some(rng)
    return h, (D + G * least(h)[0] if kind == "small steps" else D), G


def sgd(h: Vector) -> Matrix:
    """The step rows of the last iterate."""
    return [[x if el < k else ZERO for el, x in enumerate(h)] for k in range(len(h) + 1)]


def residue(rows: Matrix, star: Vector, pairs: Matrix, chain: Chain) -> Matrix:
    """What the multipliers leave of the bound, as a symmetric matrix over [x_1 - x_*, g_1, ...].

    |x_1 - x_*|²/(2 P_1) + Σ mu_k |g_k|²/2 - Σ star_k <g_k, y_k - x_*> - Σ pairs_jk <g_k, y_k - y_j>
    """
    size = chain.N + 2
    out = [[ZERO] * size for _ in range(size)]

    def add(i: int, j: int, value: Fraction) -> None:
        out[i][j] += value / 2
        out[j][i] += value / 2

    add(0, 0, 1 / (2 * chain.P[0]))
    for k, m in enumerate(chain.norm_multipliers):
        add(k + 1, k + 1, m / 2)
        add(k + 1, 0, -star[k])
        for el in range(k):
            into = sum((pairs[j][k] * (rows[k][el] - rows[j][el]) for j in range(k)), ZERO)
            add(k + 1, el + 1, star[k] * rows[k][el] + into)
    return out


def squares_of(chain: Chain) -> Matrix:
    """Σ r_k/2 |T'_{k-1} (z'_k - x_*) / P_k - g_k|² and the last one with P_{N+1}, as a matrix."""
    size = chain.N + 2
    out = [[ZERO] * size for _ in range(size)]
    for k, weight in enumerate([*chain.slack, chain.P[-1]]):
        scale = chain.T[k] / chain.P[k]
        v = [scale, *(-scale * g for g in chain.gamma[:k]), -ONE]
        v += [ZERO] * (size - len(v))
        for i in range(size):
            for j in range(size):
                out[i][j] += weight / 2 * v[i] * v[j]
    return out


def flow(star: Vector, pairs: Matrix) -> Vector:
    """Into every point minus out of it."""
    M = len(star)
    return [star[k] + sum((pairs[j][k] - pairs[k][j] for j in range(M)), ZERO) for k in range(M)]
