"""The steps of docs/theory/last_iterate.md in exact rationals, on random instances of each kind."""

from fractions import Fraction
from itertools import pairwise, product
from random import Random
from typing import Any

import numpy as np
import pytest
import sympy
from rational_instances import (
    CONSTANT,
    ONE,
    PER_STEP,
    ZERO,
    Chain,
    Worst,
    closed_form,
    combine,
    flow,
    least,
    natural,
    optimal,
    psi,
    residue,
    sgd,
    some,
    squares_of,
    steps_of,
    worst_of,
)
from scipy.optimize import minimize_scalar

from sftheory import bounds, schedules

SEEDS = range(10)
LENGTHS = (0, 1, 2, 3, 5)


def each(kinds):
    return pytest.mark.parametrize("kind", kinds)


def instances(kind):
    for seed in SEEDS:
        for N in LENGTHS:
            yield optimal(Random(f"{kind} {seed} {N}"), N, kind)


def constant_instances(kind):
    for seed in SEEDS:
        for N in LENGTHS[1:]:
            yield steps_of(Random(f"{kind} {seed} {N}"), N, kind)


def test_the_one_step_identity_is_a_polynomial_identity():
    P, Q, h, xx, gx, gg = sympy.symbols("P Q h xx gx gg")  # Q is P_{k+1}, xx is |x_k - v_k|²
    nu, mu = (Q + h) / P, P - Q - 2 * h
    r = mu - h**2 / Q
    new = nu**2 * xx - 2 * nu * h * gx + h**2 * gg  # |x_{k+1} - v_{k+1}|²
    square = xx / P**2 - 2 * gx / P + gg
    right = xx / (2 * P) - new / (2 * Q) + mu * gg / 2 - r * square / 2
    assert sympy.simplify((1 - nu) * gx - right) == 0
    last = xx / (2 * P) + P * gg / 2 - P * square / 2
    assert sympy.simplify(gx - last) == 0


def multipliers(chain):
    """λ_* and λ of the last iterate, from the convex combinations of the proof."""
    nu = [b / a for a, b in pairwise(chain.T)] + [ZERO]
    M = chain.N + 1
    star, pairs = [ZERO] * M, [[ZERO] * M for _ in range(M)]
    share = [ONE] + [ZERO] * M  # of x_*, x_1, ..., x_{k-1} in v_k
    for k in range(M):
        star[k] = (1 - nu[k]) * share[0]
        for j in range(k):
            pairs[j][k] = (1 - nu[k]) * share[j + 1]
        share = [nu[k] * s for s in share]
        share[k + 1] = 1 - nu[k]
    return star, pairs


@each(PER_STEP)
def test_the_multipliers_conserve_flow_and_are_products(kind):
    for worst in instances(kind):
        chain = worst.chain
        star, pairs = multipliers(chain)
        M = chain.N + 1
        assert min(star) >= 0 and min(map(min, pairs)) >= 0
        assert flow(star, pairs) == [Fraction(k == M - 1) for k in range(M)]
        assert star == chain.omega and sum(star) == 1
        for j, k in product(range(M), repeat=2):
            closed = chain.omega[k] * (1 / chain.T[j + 1] - 1 / chain.T[j]) if j < k else 0
            assert pairs[j][k] == closed


@each(PER_STEP)
def test_the_multipliers_leave_a_sum_of_squares(kind):
    for worst in instances(kind):
        chain = worst.chain
        assert residue(sgd(chain.h), *multipliers(chain), chain) == squares_of(chain)


@each(PER_STEP)
def test_the_iterates_are_averages_of_the_virtual_points(kind):
    for worst in instances(kind):
        chain, N = worst.chain, worst.chain.N
        virtual = [
            [g if el < k else ZERO for el, g in enumerate(chain.gamma)] for k in range(N + 1)
        ]
        v_star, v_rows = ONE, [ZERO] * N  # v_k = x_1 - v_star (x_1 - x_*) - Σ v_rows g
        for k, x in enumerate(sgd(chain.h)):
            average = [(chain.omega[j], virtual[j]) for j in range(k)]
            assert combine([(chain.T[k], virtual[k]), *average], N) == x
            assert v_star == chain.T[k]  # x_k - v_k = T'_{k-1} (z'_k - x_*), as linear forms
            assert combine([(ONE, x), (-ONE, v_rows)], N) == [chain.T[k] * z for z in virtual[k]]
            if k < N:
                nu = chain.T[k + 1] / chain.T[k]
                v_star *= nu
                v_rows = [(1 - nu) * a + nu * b for a, b in zip(x, v_rows, strict=True)]


@each(PER_STEP)
def test_the_worst_function_has_the_norms_and_products_of_the_proof(kind):
    for worst in instances(kind):
        N, A, kappa = worst.chain.N, worst.A, worst.kappa
        assert worst.D**2 == worst.inner(worst.x1, worst.x1)
        assert all(
            a >= 0 and a * r == 0 for a, r in zip(worst.alpha, worst.chain.slack, strict=True)
        )
        for k in range(N + 1):
            b = worst.b(k)
            assert worst.inner(b, b) == A[k]
            for j, g in enumerate(worst.pieces):
                assert worst.inner(g, b) == (A[k] if j >= k else kappa[j])
        for i, j in product(range(N + 1), repeat=2):
            expected = worst.squares[i] if i == j else kappa[min(i, j)]
            assert worst.inner(worst.pieces[i], worst.pieces[j]) == expected
        assert all(0 < x <= y for x, y in pairwise(A))


@each(PER_STEP)
def test_virtual_points_are_positive_multiples_of_the_b(kind):
    for worst in instances(kind):
        chain = worst.chain
        rows = [
            [g if el < k else ZERO for el, g in enumerate(chain.gamma)] for k in range(chain.N + 1)
        ]
        for k, z in enumerate(worst.points(rows)):
            scale = chain.P[k] / chain.T[k]
            assert scale > 0 and z == [scale * x for x in worst.b(k)]


@each(PER_STEP)
def test_the_method_attains_the_bound_on_the_function(kind):
    for worst in instances(kind):
        chain = worst.chain
        points = worst.points(sgd(chain.h))
        for k, x in enumerate(points):
            own = worst.inner(worst.pieces[k], x)
            assert own > 0 and worst.f(x) == own  # g_k is a subgradient at x_k
            assert all(worst.inner(g, x) == own for g in worst.pieces[k:])
        value = worst.f(points[-1])
        assert value == chain.value(worst.D, worst.squares)
        root = worst.D / chain.P[0]  # sqrt(A_1)
        assert value == worst.D * root - sum(
            h * c for h, c in zip(chain.h, worst.kappa, strict=True)
        )


def dual_point(rng, squares):
    """(sqrt(A_1), q, A), feasible for the bounds: 0 <= A_1 <= ... and A_k <= G_k²."""
    low = min(squares)
    a = ONE
    while a * a > low:
        a /= 2
    a *= Fraction(rng.randint(0, 8), 8)
    A, q = [a * a], []
    for k in range(len(squares) - 1):
        room = min(squares[k + 1 :]) - A[-1]
        t = Fraction(rng.randint(0, 8), 4)
        while t * t * (squares[k] - A[-1]) > room:
            t /= 2
        q.append(t)
        A.append(A[-1] + t * t * (squares[k] - A[-1]))
    return a, q, A


@each(PER_STEP)
def test_every_dual_point_is_below_every_chain_by_a_sum_of_squares(kind):
    rng = Random(kind)
    for worst in instances(kind):
        squares, N, D = worst.squares, worst.chain.N, worst.D
        other = optimal(rng, N, "jumps")  # any chain of other steps: bounds and D stay
        chain = other.chain
        a, q, A = dual_point(rng, squares)
        rest = [g - x for g, x in zip(squares, A, strict=True)]
        assert min(rest) >= 0 and all(x <= y for x, y in pairwise(A))
        lower = D * a + sum(
            h * (t * y - x) for h, t, y, x in zip(chain.h, q, rest, A, strict=False)
        )
        gap = (D - a * chain.P[0]) ** 2 / chain.P[0] + chain.P[-1] * rest[-1]
        for k, h in enumerate(chain.h):
            gap += chain.P[k + 1] * rest[k] * (q[k] - h / chain.P[k + 1]) ** 2
            gap += chain.slack[k] * rest[k]
        assert 2 * (chain.value(D, squares) - lower) == gap


def test_last_steps_of_zero_leave_the_least_of_their_bounds():
    rng = Random(0)
    for worst in instances("rank one"):
        n = rng.randint(1, 3)
        # the bounds at the repeated point: one of them is the last of the shorter method
        repeated = [worst.squares[-1] + (0 if i == 0 else some(rng)) for i in range(n + 1)]
        rng.shuffle(repeated)
        longer = [*worst.squares[:-1], *repeated]
        value = worst.chain.value(worst.D, worst.squares)
        # the best chain falls to nearly zero after the point with the least bound
        at = repeated.index(worst.squares[-1])
        tiny = Fraction(1, 10**12)
        tail = [worst.chain.P[-1]] * (at + 1) + [tiny] * (n - at)
        chain = Chain([*worst.chain.h, *[ZERO] * n], [*worst.chain.P[:-1], *tail])
        assert min([ZERO, *chain.slack]) == 0
        assert value <= chain.value(worst.D, longer) <= value + tiny * sum(repeated)
        # and no chain is below
        fall = sorted(worst.chain.P[-1] * Fraction(rng.randint(1, 9), 9) for _ in range(n))[::-1]
        chain = Chain([*worst.chain.h, *[ZERO] * n], [*worst.chain.P, *fall])
        assert chain.value(worst.D, longer) >= value


def test_the_recursion_gives_the_least_first_entry_of_a_chain():
    for seed in range(200):
        rng = Random(seed)
        h = [Fraction(rng.randint(0, 6), rng.randint(1, 5)) for _ in range(4)]
        M = least(h)
        P = [some(rng) / 9]
        for k, x in reversed(list(enumerate(h))):
            P.append(psi(P[-1], x))
            assert P[-1] >= M[k]
        if all(h):
            chain = natural(h, ZERO, ONE)
            assert chain.P[0] == M[0] and min(chain.slack) == 0
            assert chain.P[-1] == h[-1]


@each(CONSTANT)
def test_the_constant_bound_has_the_closed_form(kind):
    for h, D, G in constant_instances(kind):
        worst = worst_of(h, D, G)
        chain = worst.chain
        assert min(chain.slack) >= 0 and chain.P[-1] == h[-1]
        assert worst.squares == [G * G] * (len(h) + 1)  # so U_{N+1} = 0
        assert all(a >= 0 and a * r == 0 for a, r in zip(worst.alpha, chain.slack, strict=True))
        W = closed_form(h, D, G)
        assert chain.value(D, worst.squares) == W
        points = worst.points(sgd(h))
        assert [worst.f(x) for x in points] == [
            worst.inner(g, x) for g, x in zip(worst.pieces, points, strict=True)
        ]
        assert worst.f(points[-1]) == W
        # the same in w = M/2 and a = w - Σ h, as the code has it
        a = w = tail = ZERO
        for x, m in zip(reversed(h), reversed(least(h)[:-1]), strict=True):
            a = a + x * x / (4 * w) if x < 2 * w else x - tail
            tail += x
            w = a + tail
            assert 2 * w == m
        assert W == (G * G * a + D * D / (4 * w) if 2 * G * w >= D else D * G - G * G * tail)


def test_where_the_recursion_clips_all_later_pieces_coincide():
    seen = set()
    for kind in ("clipped", "small steps", "ordinary"):
        for h, D, G in constant_instances(kind):
            worst, M = worst_of(h, D, G), least(h)
            first = next(k for k, x in enumerate(h) if x >= M[k + 1])
            seen.add((first < len(h) - 1, G * M[0] <= D))
            last = 0 if G * M[0] <= D else first + 1
            for g in worst.pieces[last:]:
                difference = [a - b for a, b in zip(g, worst.pieces[-1], strict=True)]
                assert worst.inner(difference, difference) == 0
            assert all(a > 0 for a in worst.alpha[:last]) and not any(worst.alpha[last:])
    assert seen >= {(False, False), (True, False), (False, True)}


@each(CONSTANT)
def test_no_choice_of_subgradients_is_needed_for_a_constant_bound(kind):
    for h, D, G in constant_instances(kind):
        worst = worst_of(h, D, G)
        distinct = 1 + sum(a > 0 for a in worst.alpha)  # the others repeat the last of these
        pieces = worst.pieces[:distinct]
        points = worst.points(sgd(h))
        table = [[worst.inner(g, x) for g in pieces] for x in points]
        gaps = [row[k] - v for k, row in enumerate(table) for v in row[:k] if k < distinct]
        gaps += [row[-1] - v for row in table[distinct:] for v in row[:-1]]
        assert min([ONE, *gaps]) > 0
        delta = min([ONE, *gaps, *(max(row) for row in table)]) / (2 * len(points))
        lowered = []
        for k, row in enumerate(table):
            lowered = [v - j * delta for j, v in enumerate(row)]
            top = max(lowered)
            assert top > 0 and lowered.count(top) == 1
            assert lowered.index(top) == min(k, distinct - 1)
        assert max(lowered) >= closed_form(h, D, G) - (distinct - 1) * delta


def gradient(h, D, G):
    """(kappa_k, G p) of the worst function; zero steps take q = 0, or U = 0 after the last step."""
    taken = [x for x in h if x]
    if not taken:
        return [G * G] * len(h), G
    worst = worst_of(taken, D, G)
    A = worst.A
    kappa, i = [], 0
    for x in h:
        kappa.append(worst.kappa[i] if x else A[i])
        i += x > 0
    return kappa, worst.D / worst.chain.P[0]


def with_zeros(rng, h):
    return [ZERO if rng.random() < 0.3 else x for x in h]


@each(CONSTANT)
def test_the_gradient_supports_the_value_jointly_in_the_steps_and_the_distance(kind):
    rng = Random(kind)
    for h, D, G in constant_instances(kind):
        here = with_zeros(rng, h)
        kappa, slope = gradient(here, D, G)
        W = closed_form(here, D, G) if any(here) else D * G
        for _ in range(3):
            other = with_zeros(rng, [some(rng) for _ in h])
            far = some(rng)
            value = closed_form(other, far, G) if any(other) else far * G
            step = sum(c * (y - x) for c, x, y in zip(kappa, here, other, strict=True))
            assert value >= W - step + slope * (far - D)


@each(CONSTANT)
def test_the_gradient_is_the_derivative_also_at_steps_of_zero(kind):
    rng, tiny = Random(kind), Fraction(1, 10**15)
    for h, D, G in constant_instances(kind):
        here = with_zeros(rng, h)
        kappa, _ = gradient(here, D, G)
        W = closed_form(here, D, G) if any(here) else D * G
        for k in range(len(here)):
            moved = [x + tiny * (i == k) for i, x in enumerate(here)]
            assert abs((closed_form(moved, D, G) - W) / tiny + kappa[k]) < Fraction(1, 10**6)
        if all(here):
            expected = bounds.last_iterate_gradient(
                [float(x) for x in here], D=float(D), G=float(G)
            )
            np.testing.assert_allclose(
                [-float(c) for c in kappa], expected, rtol=1e-12, atol=1e-12 * float(G) ** 2
            )


def refined(rng, N):
    """Weights w_t = G_t^-2 whose sum is a square, its root, and a distance."""
    w = [some(rng) for _ in range(N + 1)]
    root, D = some(rng), some(rng)
    total = sum(w, ZERO)
    return [x / total * root * root for x in w], root, D


def test_refined_steps_attain_what_no_steps_can_beat():
    for seed in range(60):
        rng = Random(seed)
        N = rng.randint(0, 6)
        w, root, D = refined(rng, N)
        Q = [sum(w[k:], ZERO) for k in range(N + 1)]
        squares = [1 / x for x in w]
        P = [D * root * (q / Q[0]) ** 2 for q in Q]
        h = [D / root**3 * w[k] * Q[k + 1] for k in range(N)]
        chain = Chain(h, P)
        assert not any(chain.slack)
        assert chain.value(D, squares) == D / root
        # the dual point A_k = 1/Q_k is feasible and has kappa = 0: the same value for every h
        A = [1 / q for q in Q]
        assert all(a <= g for a, g in zip(A, squares, strict=True)) and A[-1] == squares[-1]
        for k in range(N):
            assert (A[k + 1] - A[k]) * (squares[k] - A[k]) == A[k] ** 2


def test_the_refined_steps_are_the_only_best_ones():
    for seed in range(60):
        rng = Random(seed)
        N = rng.randint(1, 6)
        w, root, D = refined(rng, N)
        Q = [sum(w[k:], ZERO) for k in range(N + 1)]
        A, squares = [1 / q for q in Q], [1 / x for x in w]
        # D sqrt(A_1) - Σ h_k kappa_k(A_k, A_{k+1}) stationary in A_1, ..., A_N: solved forwards
        own = [(squares[k] + A[k + 1]) / (2 * A[k]) for k in range(N)]
        cross = [(squares[k] - A[k]) / (2 * A[k]) for k in range(N)]
        h = [D * root / 2 / own[0]]
        for k in range(1, N):
            h.append(h[-1] * cross[k - 1] / own[k])
        assert h == [D / root**3 * w[k] * Q[k + 1] for k in range(N)]


def jump_free(h, sigma2, D, squares):
    P = [sigma2]
    for x in reversed(h):
        P.append(psi(P[-1], x))
    return Chain(h, P[::-1]).value(D, squares)


def best_jump_free(h, D, squares):
    """The least B(sigma) on a fine grid, in floats."""
    h, D, squares = [float(x) for x in h], float(D), [float(x) for x in squares]
    s = np.exp(np.linspace(-18, 18, 60_001))
    P, total = s, s * squares[-1]
    for k in range(len(h) - 1, -1, -1):
        total = total + h[k] ** 2 / P * squares[k]
        P = P + 2 * h[k] + h[k] ** 2 / P
    return ((D**2 / P + total) / 2).min()


def test_bounds_that_do_not_increase_need_no_jumps_and_others_do():
    for worst in instances("decreasing bounds"):
        assert all(a >= b for a, b in pairwise(worst.squares))
        value = float(worst.chain.value(worst.D, worst.squares))
        np.testing.assert_allclose(
            best_jump_free(worst.chain.h, worst.D, worst.squares), value, rtol=1e-6
        )  # the grid's spacing, squared
    for h, D, G in constant_instances("clipped"):
        squares = [G * G] * (len(h) + 1)
        value = float(closed_form(h, D, G))
        np.testing.assert_allclose(best_jump_free(h, D, squares), value, rtol=1e-6)
    # h = (1, 1), D = 100, G = (1, 3, 3): a jump at the first step, and nothing near it without
    chain = Chain([ONE, ONE], [Fraction(100), Fraction(4), ONE])
    worst = Worst.of(chain, Fraction(100), [ZERO, Fraction(8)])
    assert worst.squares == [1, 9, 9] and chain.slack[0] > 0
    assert worst.f(worst.points(sgd(chain.h))[-1]) == chain.value(worst.D, worst.squares) == 106
    assert abs(best_jump_free(chain.h, worst.D, worst.squares) / 106 - 2.66) < 0.005  # as printed


def test_the_best_base_step_and_what_missing_it_costs_do_not_depend_on_the_shape():
    for shape in (schedules.Linear(), schedules.Cosine(), schedules.WSD(), schedules.Constant()):
        for N in (1, 10, 100):
            eta = shape(N)
            base, value = bounds.last_iterate_tuned(eta, D=2, G=3)
            for rho in (max(0.5, value / 6), 1.0, 1.7, 10.0):
                reached = bounds.last_iterate(rho * base * eta, D=2, G=3)
                np.testing.assert_allclose(reached, (rho + 1 / rho) / 2 * value, rtol=1e-12)


@each(PER_STEP)
def test_the_best_continuation_acts_like_one_last_gradient(kind):
    for seed in range(40):
        rng = Random(f"{kind} {seed}")
        prefix = optimal(rng, rng.randint(0, 4), kind)
        n0, n = prefix.chain.N, rng.randint(0, 4)
        # split the last bound of the prefix: 1/G² = Σ_{t > n0} 1/G_t²
        w = [some(rng) for _ in range(n + 1)]
        w = [x / sum(w) / prefix.squares[-1] for x in w]
        Q = [sum(w[k:], ZERO) for k in range(n + 1)]
        P = prefix.chain.P[-1]
        tail = [P / Q[0] ** 2 * w[k] * Q[k + 1] for k in range(n)]
        chain = Chain(
            [*prefix.chain.h, *tail], [*prefix.chain.P, *(P * (q / Q[0]) ** 2 for q in Q[1:])]
        )
        squares = [*prefix.squares[:-1], *(1 / x for x in w)]
        value = prefix.chain.value(prefix.D, prefix.squares)
        assert not any(chain.slack[n0:]) and chain.value(prefix.D, squares) == value
        # the dual point of the prefix, continued by 1/Q, has kappa = 0 on any tail: none is better
        A = [*prefix.A[:-1], *(1 / q for q in Q)]
        assert all(a <= g for a, g in zip(A, squares, strict=True))
        for k in range(n):
            assert (A[n0 + k + 1] - A[n0 + k]) * (squares[n0 + k] - A[n0 + k]) == A[n0 + k] ** 2
        # and the function: the method with this tail attains the value
        alpha = [g - a for g, a in zip(squares[:-1], A, strict=False)]
        worst = Worst.of(chain, prefix.D, alpha)
        assert worst.A == A and worst.squares == squares
        assert worst.f(worst.points(sgd(chain.h))[-1]) == value


def test_under_a_constant_bound_the_best_continuation_is_linear_decay():
    for seed in range(20):
        rng = Random(seed)
        n, D = rng.randint(1, 4), some(rng)
        prefix = [some(rng) for _ in range(rng.randint(1, 3))]

        def value(scale, tail=prefix, n=n, D=D):
            h = np.append(np.array(tail, float), scale * np.arange(n, 0, -1))
            return bounds.last_iterate(h, D=float(D), G=1)

        best = minimize_scalar(value, bounds=(0, 20), method="bounded", options={"xatol": 1e-9})
        for _ in range(20):
            other = [Fraction(rng.randint(0, 40), 20) for _ in range(n)]
            assert closed_form([*prefix, *other], D, ONE) >= best.fun - 1e-8  # of the search
        scales = [Fraction(i, 8) for i in range(1, 33)]
        values = [closed_form([*prefix, *(s * (n - j) for j in range(n))], D, ONE) for s in scales]
        falls = [b - a for a, b in pairwise(values)]
        assert all(a <= b for a, b in pairwise(falls))  # convex in the scale


def test_the_cone_program_finds_the_refined_steps():
    import cvxpy as cp

    rng = np.random.default_rng(0)
    for N in (1, 5, 20):
        G, D = rng.uniform(0.5, 2, N + 1), 1.5
        h, P, t, r = cp.Variable(N), cp.Variable(N + 1), cp.Variable(N), cp.Variable()
        limits: list[Any] = [P[:-1] - P[1:] - 2 * h >= t, h >= 0, cp.quad_over_lin(D, P[0]) <= r]
        limits += [cp.quad_over_lin(h[k], P[k + 1]) <= t[k] for k in range(N)]
        J = (r + (P[:-1] - P[1:] - 2 * h) @ G[:-1] ** 2 + P[-1] * G[-1] ** 2) / 2
        cp.Problem(cp.Minimize(J), limits).solve(solver=cp.CLARABEL)
        w = G**-2.0
        assert J.value is not None and h.value is not None
        np.testing.assert_allclose(J.value, D / np.sqrt(w.sum()), rtol=1e-6)  # solver
        steps = D * w.sum() ** -1.5 * w[:-1] * (w.sum() - np.cumsum(w)[:-1])
        np.testing.assert_allclose(h.value, steps, rtol=0, atol=1e-4 * steps.max())  # flat optimum


def alpha(x, a, t):
    """The greatest x q + a (1 - q²) - t q² over 0 <= q <= 1, for a + t > 0."""
    return a + x * x / (4 * (a + t)) if x <= 2 * (a + t) else x - t


def test_a_wrong_branch_of_the_recursion_can_only_widen():
    for seed in range(300):
        rng = Random(seed)
        x, a, t, more = some(rng), some(rng), some(rng, 0), some(rng)
        true = alpha(x, a, t)
        for i in range(9):
            q = Fraction(i, 8)
            assert true >= x * q + a * (1 - q * q) - t * q * q
        assert a + x * x / (4 * (a + t)) >= true >= x - t
        assert 0 <= alpha(x, a + more, t) - true <= more
        assert 0 <= true - alpha(x, a, t + more) <= more


def test_the_bound_survives_projections_and_any_comparator():
    rng = np.random.default_rng(0)
    for _ in range(200):
        N, d = int(rng.integers(1, 6)), 3
        slopes, offsets = rng.standard_normal((5, d)), rng.standard_normal(5)
        P = [rng.uniform(0.1, 2)]
        h = rng.uniform(0, 1, N)
        for x in h[::-1]:
            P.append(P[-1] + 2 * x + x * x / P[-1] + rng.choice([0, 0.5]))
        P = np.array(P[::-1])
        x, star = np.clip(rng.standard_normal((2, d)), -1, 1)
        total = ((x - star) ** 2).sum() / P[0]
        mu = np.append(P[:-1] - P[1:] - 2 * h, P[-1])
        for k in range(N + 1):
            g = slopes[(slopes @ x + offsets).argmax()]
            total += mu[k] * (g @ g)
            if k < N:
                x = np.clip(x - h[k] * g, -1, 1)  # onto a box that holds star
        f = [(slopes @ y + offsets).max() for y in (x, star)]
        assert f[0] - f[1] <= total / 2 + 1e-12


def test_the_bound_holds_in_expectation_over_every_path_of_the_noise():
    rng = np.random.default_rng(0)
    for _ in range(40):
        N, xi = 4, rng.uniform(0.2, 1.5)
        h = rng.uniform(0.05, 1, N)
        start = rng.uniform(-1, 1)
        P = [rng.uniform(0.1, 2)]
        for step in h[::-1]:
            P.append(P[-1] + 2 * step + step * step / P[-1])
        P = np.array(P[::-1])
        G2 = 1 + xi**2  # E|g|² for f = |x| and noise +-xi
        ends = []
        for signs in product((-1, 1), repeat=N):
            x = start
            for step, s in zip(h, signs, strict=True):
                x = x - step * (np.sign(x) + xi * s)
            ends.append(abs(x))
        J = (start**2 / P[0] + (P[0] - 2 * h.sum()) * G2) / 2
        assert np.mean(ends) <= J + 1e-12
