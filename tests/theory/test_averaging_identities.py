"""The steps of docs/theory/averaging.md in exact rationals, the program where one is needed."""

from fractions import Fraction
from itertools import accumulate, pairwise
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
    residue,
    some,
    squares_of,
    steps_of,
    worst_of,
)

import sftheory as sft
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import hull, recursion, worst_case
from sftheory.worst_cases.points import points_of

MOVING = [kind for kind in PER_STEP if kind != "zero steps"]


def each(kinds):
    return pytest.mark.parametrize("kind", kinds)


def virtual_rows(chain):
    return [[g if el < k else ZERO for el, g in enumerate(chain.gamma)] for k in range(chain.N + 1)]


def hull_weights(rows, chain):
    """T2: pi and rho with y_k = pi_k z'_k + Σ_j rho_jk y_j, whatever their signs."""
    M = chain.N + 1
    pi, rho = [ONE] + [ZERO] * chain.N, [[ZERO] * M for _ in range(M)]
    for k in range(1, M):
        pi[k] = rows[k][k - 1] / chain.gamma[k - 1]
        rest = [x - pi[k] * g for x, g in zip(rows[k][:k], chain.gamma, strict=False)]
        for j in range(k - 1, 0, -1):
            rho[j][k] = rest[j - 1] / rows[j][j - 1]
            rest = [x - rho[j][k] * y for x, y in zip(rest, rows[j], strict=False)]
        assert not any(rest)
        rho[0][k] = 1 - pi[k] - sum(rho[j][k] for j in range(1, k))
    return pi, rho


def holds(rows, chain):
    pi, rho = hull_weights(rows, chain)
    return min(pi) >= 0 and min(map(min, rho)) >= 0


def multipliers(pi, rho):
    m = [ZERO] * len(pi)
    m[-1] = ONE
    for k in range(len(pi) - 2, -1, -1):
        m[k] = sum((rho[k][el] * m[el] for el in range(k + 1, len(pi))), ZERO)
    star = [a * b for a, b in zip(m, pi, strict=True)]
    return star, [[m[k] * x for k, x in enumerate(row)] for row in rho]


def assert_proves(rows, chain):
    """The hull weights are >= 0 and make a proof of f(report) - f_* <= J."""
    pi, rho = hull_weights(rows, chain)
    assert min(pi) >= 0 and min(map(min, rho)) >= 0
    star, pairs = multipliers(pi, rho)
    M = chain.N + 1
    assert flow(star, pairs) == [Fraction(k == M - 1) for k in range(M)]
    assert star == chain.omega
    assert residue(rows, star, pairs, chain) == squares_of(chain)


def assert_attains(rows, worst, value):
    """At y_k piece k is maximal and >= 0, and the report has the value."""
    points = worst.points(rows)
    for k, y in enumerate(points):
        assert worst.f(y) == worst.inner(worst.pieces[k], y)
    assert worst.f(points[-1]) == value


def random_hull(rng, chain, full=True):
    """Rows of a random method with the hull condition for this chain.

    The walk of the proof is drawn backwards: k has got m_k, keeps omega'_k and hands on the rest.
    """
    M = chain.N + 1
    m, pairs = [ZERO] * M, [[ZERO] * M for _ in range(M)]
    m[-1] = ONE
    for k in range(M - 1, 0, -1):
        rest = m[k] - chain.omega[k]
        for j in range(k - 1):
            given = (chain.omega[j] - m[j]) * Fraction(rng.randint(0, 4), 5)
            given = max(ZERO, min(given, rest)) if full or rng.random() < 0.5 else ZERO
            pairs[j][k] = given
            m[j] += given
            rest -= given
        pairs[k - 1][k] = rest
        m[k - 1] += rest
    rows, virtual = [[ZERO] * chain.N], virtual_rows(chain)
    for k in range(1, M):
        terms = [(chain.omega[k] / m[k], virtual[k])]
        terms += [(pairs[j][k] / m[k], rows[j]) for j in range(k)]
        rows.append(combine(terms, chain.N))
    return rows


def schedule_free(gamma, omega, beta):
    """Step rows of schedule-free from N steps, N + 1 weights and N interpolations."""
    N = len(gamma)
    x = z = [ZERO] * N
    total, rows = omega[0], [x]
    for t in range(1, N + 1):
        z = [g if el < t else ZERO for el, g in enumerate(gamma)]
        total += omega[t]
        c = omega[t] / total if total else ONE
        x = combine([(1 - c, x), (c, z)], N)
        rows.append(x if t == N else combine([(1 - beta[t], z), (beta[t], x)], N))
    return rows


def betas(rng, N):
    return [Fraction(rng.randint(0, 8), 8) for _ in range(N)]


def program(rows, squares, D=1.0):
    """The worst case as a semidefinite program over Gram matrices, all pairs of inequalities."""
    import cvxpy as cp

    M = len(rows)
    X, F = cp.Variable((M + 1, M + 1), PSD=True), cp.Variable(M)
    G2 = max(float(s) for s in squares)  # units D = 1 and largest bound 1
    H = np.array([[float(x) for x in row] for row in rows]) * G2**0.5 / D
    unit = np.eye(M + 1)
    points = [unit[0] - np.concatenate([[0], row, [0]]) for row in H] + [np.zeros(M + 1)]
    limits: list[Any] = [
        X[0, 0] <= 1,
        F >= 0,
        cp.diag(X)[1:] <= np.array([float(s) / G2 for s in squares]),
    ]
    for k in range(M):
        shifts = np.array([points[j] - points[k] for j in range(M + 1)])
        values = cp.hstack([F, 0])
        limits.append(values >= F[k] + shifts @ X[:, k + 1])
    cp.Problem(cp.Maximize(F[M - 1]), limits).solve(solver=cp.CLARABEL)
    assert F.value is not None
    return float(F.value[M - 1]) * D * G2**0.5


@each(PER_STEP)
def test_the_virtual_pair_has_the_same_report(kind):
    for seed in range(20):
        chain = optimal(Random(f"{kind} {seed}"), 4, kind).chain
        terms = list(zip(chain.omega, virtual_rows(chain), strict=True))
        assert sum(chain.omega) == 1 and min(chain.omega) >= 0
        assert combine(terms, chain.N) == chain.h
        if kind == "rank one":  # without slack the pair is matched: omega' P_1 = gamma'
            assert [w * chain.P[0] for w in chain.omega[:-1]] == chain.gamma
        for k, g in enumerate(chain.gamma):
            assert chain.P[k] == chain.T[k] * (chain.P[0] - sum(chain.gamma[:k]))
            assert g * chain.T[k + 1] == chain.h[k]


@each(MOVING)
def test_under_the_hull_condition_proof_and_function_meet(kind):
    for seed in range(15):
        for N in (1, 2, 4):
            rng = Random(f"{kind} {seed} {N}")
            worst = optimal(rng, N, kind)
            rows = random_hull(rng, worst.chain)
            assert_proves(rows, worst.chain)
            assert_attains(rows, worst, worst.chain.value(worst.D, worst.squares))


@each(CONSTANT)
def test_under_a_constant_bound_the_hull_condition_gives_the_closed_form(kind):
    for seed in range(10):
        for N in (1, 3):
            rng = Random(f"{kind} {seed} {N}")
            h, D, G = steps_of(rng, N, kind)
            worst = worst_of(h, D, G)
            rows = random_hull(rng, worst.chain)
            assert_proves(rows, worst.chain)
            assert_attains(rows, worst, closed_form(h, D, G))


@each(MOVING)
def test_a_larger_first_entry_keeps_the_hull_condition(kind):
    for seed in range(20):
        rng = Random(f"{kind} {seed}")
        chain = optimal(rng, 4, kind).chain
        rows = random_hull(rng, chain)
        larger = Chain(chain.h, [chain.P[0] + some(rng), *chain.P[1:]])
        assert holds(rows, chain) and holds(rows, larger)


def random_pair(rng, N):
    omega = [some(rng) for _ in range(N + 1)]
    omega = [w / sum(omega) for w in omega]
    gamma = [some(rng) for _ in range(N)]
    T = list(accumulate(omega, lambda a, w: a - w, initial=ONE))[:-1]
    return gamma, omega, T


def reach(gamma, omega):
    """P-hat of a pair."""
    return max(
        sum(gamma[: k + 1]) + g * sum(omega[k + 1 :]) / omega[k] for k, g in enumerate(gamma)
    )


def test_pairs_are_the_chains_whose_first_entry_reaches_far_enough():
    for seed in range(100):
        rng = Random(seed)
        N = rng.randint(1, 5)
        gamma, omega, T = random_pair(rng, N)
        h = [g * t for g, t in zip(gamma, T[1:], strict=True)]
        least_P = reach(gamma, omega)
        for P, is_chain in (
            (least_P, True),
            (least_P + some(rng), True),
            (least_P * 9 / 10, False),
        ):
            chain = Chain(h, [t * (P - sum(gamma[:k])) for k, t in enumerate(T)])
            positive = min(chain.P) > 0
            assert (positive and min(chain.slack) >= 0) == is_chain
            if is_chain:
                assert chain.gamma == gamma and chain.omega == omega
                D, G = some(rng), some(rng)
                J = (D * D / P + G * G * (P - 2 * sum(h))) / 2
                assert chain.value(D, [G * G] * (N + 1)) == J >= closed_form(h, D, G)


def test_every_weighted_average_has_the_bound_of_its_own_pair_for_every_beta():
    for seed in range(60):
        rng = Random(seed)
        N = rng.randint(1, 5)
        gamma, omega, T = random_pair(rng, N)
        rows = schedule_free(gamma, omega, betas(rng, N))
        h = [g * t for g, t in zip(gamma, T[1:], strict=True)]
        assert rows[-1] == h
        P = reach(gamma, omega)
        chain = Chain(h, [t * (P - sum(gamma[:k])) for k, t in enumerate(T)])
        assert_proves(rows, chain)
        # the same in closed form: the page's rho of the sampled points
        tableau = tableau_of(gamma, omega, [0] * N)
        upper = hull.schedule_free_upper(tableau, tableau.effective_schedule(), 1e-9, 1.0)
        np.testing.assert_allclose(upper, float(P) / 2 - float(sum(h)), rtol=1e-9)


def tableau_of(gamma, omega, beta):
    w = np.array([float(x) for x in omega])
    return Tableau([float(x) for x in gamma], [float(b) for b in beta], w[1:] / np.cumsum(w)[1:])


def test_the_gram_matrix_of_the_worst_function_has_one_null_vector():
    for seed in range(60):
        worst = optimal(Random(seed), 4, "rank one")
        chain = worst.chain
        vectors = [worst.x1, *worst.pieces]
        null = [ONE, *(-g for g in chain.gamma), -chain.P[-1] / chain.T[-1]]
        total = combine(list(zip(null, vectors, strict=True)), len(worst.x1))
        assert total == [ZERO] * len(worst.x1)
        # x_1, g_1, ..., g_N are independent: coordinates triangular up to order, all alpha > 0
        assert min(worst.alpha) > 0 and all(g[k + 1] == 1 for k, g in enumerate(worst.pieces[:-1]))


def strict(rows, worst):
    """Do all selections on the worst function hold with room to spare?"""
    for k, y in enumerate(worst.points(rows)):
        own = worst.inner(worst.pieces[k], y)
        others = [worst.inner(g, y) for g in worst.pieces[:k]]
        if min([own, *(own - v for v in others)]) <= Fraction(1, 10**4):
            return False
    return True


@pytest.mark.parametrize("varying", [False, True], ids=["one bound", "bounds of their own"])
def test_the_hull_condition_is_necessary_where_selections_are_strict(varying):
    verdicts = {True: 0, False: 0}
    for seed in range(70):
        rng = Random(seed)
        N = rng.randint(2, 3)
        if varying:
            worst = optimal(rng, N, "decreasing bounds")
            chain = worst.chain
            rows = [[some(rng) * (el < k) for el in range(N)] for k in range(N)] + [chain.h]
            if seed % 2:
                rows = random_hull(rng, chain)
            D, squares = worst.D, worst.squares
        else:
            gamma, omega, _ = random_pair(rng, N)
            rows = schedule_free(gamma, omega, betas(rng, N))
            D, squares = Fraction(1, 3), [ONE] * (N + 1)
            M = least(rows[-1])
            if D >= M[0] or any(h >= m for h, m in zip(rows[-1][:-1], M[1:], strict=False)):
                continue
            worst = worst_of(rows[-1], D, ONE)
        if not strict(rows, worst):
            continue
        value = float(worst.chain.value(D, squares))
        ratio = program(rows, squares, float(D)) / value
        verdict = holds(rows, worst.chain)
        verdicts[verdict] += 1
        assert ratio > 1 - 1e-6  # solver
        assert ratio < 1 + 1e-6 if verdict else ratio > 1 + 1e-6, (rows, ratio)
    assert min(verdicts.values()) >= 5


@pytest.mark.parametrize("N", [3, 8])
def test_no_nonnegative_method_is_better_than_the_minimax_value(N):
    root = {3: 2, 8: 3}[N]
    h = [Fraction(N - k, root**3) for k in range(N)]
    worst = worst_of(h, ONE, ONE)
    assert not any(worst.kappa)  # orthonormal pieces
    for seed in range(10):
        rng = Random(seed)
        rows = [
            [some(rng) * rng.randint(0, 1) if el < k else ZERO for el in range(N)]
            for k in range(N + 1)
        ]
        assert_attains(rows, worst, Fraction(1, root))


@pytest.mark.parametrize("large", [True, False], ids=["large steps", "small steps"])
def test_constant_schedule_free_is_exact_for_every_beta(large):
    for seed in range(12):
        rng = Random(seed)
        N, gamma, D, G = rng.randint(1, 5), some(rng), some(rng), some(rng)
        if (gamma * G * (N + 1) >= D) != large:
            D = gamma * G * (N + 1) * (Fraction(1, 3) if large else 3)
        rows = schedule_free([gamma] * N, [ONE] * (N + 1), betas(rng, N))
        chain = natural(rows[-1], D, G)
        W = D * G - gamma * G * G * N / 2
        if large:
            W = (D * D / (gamma * (N + 1)) + gamma * G * G) / 2
            assert chain.gamma == [gamma] * N and chain.omega == [Fraction(1, N + 1)] * (N + 1)
        worst = worst_of(rows[-1], D, G)
        assert len(set(worst.kappa)) == 1  # a regular simplex
        assert_proves(rows, chain)
        assert_attains(rows, worst, W)
        # the published package leaves the start out: gamma (N + 1)/N in place of gamma
        rows = schedule_free([gamma] * N, [ZERO] + [ONE] * N, betas(rng, N))
        chain, more = natural(rows[-1], D, G), gamma * (N + 1) / N
        W = D * G - more * G * G * N / 2
        if G * more * (N + 1) >= D:
            W = (D * D / (more * (N + 1)) + more * G * G) / 2
        assert_proves(rows, chain)
        assert_attains(rows, worst_of(rows[-1], D, G), W)


def test_on_a_regular_simplex_every_nonnegative_method_keeps_the_order():
    for seed in range(30):
        rng = Random(seed)
        N, gamma = rng.randint(2, 5), some(rng)
        h = [gamma * Fraction(N - k, N + 1) for k in range(N)]
        worst = worst_of(h, gamma, ONE)
        rows = [[some(rng) if el < k else ZERO for el in range(N)] for k in range(N)]
        for k, y in enumerate(worst.points(rows)):
            values = [worst.inner(g, y) for g in worst.pieces]
            assert max(values) == values[k] == values[-1]


def average_instance(rng, N):
    """Steps and weights under the conditions of the theorem on averages."""
    omega = [some(rng) for _ in range(N + 1)]
    for k in range(N - 2, -1, -1):
        omega[k] = min(omega[k], sum(omega[k + 1 :], ZERO))
    if rng.random() < 0.4:
        n = rng.randint(0, N)
        omega[:n] = [ZERO] * n
    ratio, gamma = some(rng), [ZERO] * N
    for k in range(N - 1, -1, -1):
        gamma[k] = ratio * omega[k] if omega[k] else some(rng)
        ratio *= rng.choice([ONE, Fraction(3, 2), Fraction(4)])
    return gamma, omega


def test_averages_under_the_hazard_condition_are_exact():
    for seed in range(60):
        rng = Random(seed)
        N = rng.randint(1, 5)
        gamma, omega = average_instance(rng, N)
        rows = schedule_free(gamma, omega, [ZERO] * N)
        D, G = some(rng), some(rng)
        chain = natural(rows[-1], D, G)
        T = [sum(omega[k:]) / sum(omega) for k in range(N + 1)]
        a = [x / y for x, y in zip(T, chain.T, strict=True)]
        assert all(x <= y for x, y in pairwise(a[:N]))
        worst, W = worst_of(rows[-1], D, G), closed_form(rows[-1], D, G)
        assert_proves(rows, chain)
        assert_attains(rows, worst, W)
        # schedule-free with the same pair is not better, whatever its beta
        assert_attains(schedule_free(gamma, omega, betas(rng, N)), worst, W)


def test_for_plain_averages_the_hull_condition_is_that_of_the_hazard_rates():
    verdicts = set()
    for seed in range(120):
        rng = Random(seed)
        N = rng.randint(2, 5)
        gamma, omega, T = random_pair(rng, N)
        rows = schedule_free(gamma, omega, [ZERO] * N)
        chain = natural(rows[-1], some(rng), ONE)
        hazard = all(omega[k] / T[k] <= chain.omega[k] / chain.T[k] for k in range(N - 1))
        assert holds(rows, chain) == hazard
        verdicts.add(hazard)
    assert verdicts == {True, False}


@each(CONSTANT)
def test_plain_steps_before_a_method_keep_its_hull_condition(kind):
    for seed in range(12):
        rng = Random(f"{kind} {seed}")
        h, _, G = steps_of(rng, rng.randint(1, 3), kind)
        second = natural(h, ZERO, G)
        inner = random_hull(rng, second)
        before = [Fraction(2) ** rng.randint(-5, 5) for _ in range(rng.randint(1, 3))]
        m, N = len(before), len(before) + len(h)
        rows = [
            [x if el < k else ZERO for el, x in enumerate(before)] + [ZERO] * len(h)
            for k in range(m)
        ]
        rows += [[*before, *row] for row in inner]
        for D in (some(rng), 100 * some(rng)):
            chain = natural(rows[-1], D, G)
            assert chain.N == N
            assert_proves(rows, chain)
            assert_attains(rows, worst_of(rows[-1], D, G), closed_form(rows[-1], D, G))


def test_schedule_free_that_starts_late_is_exact_and_equals_its_trapezoid():
    for seed in range(30):
        rng = Random(seed)
        m, n = rng.randint(0, 3), rng.randint(1, 3)
        before = [Fraction(2) ** rng.randint(-5, 5) for _ in range(m)]
        gamma, N = some(rng), m + n
        omega = [ZERO] * m + [ONE] * (n + 1)
        rows = schedule_free([*before, *[gamma] * n], omega, betas(rng, N))
        fall = [gamma * Fraction(n - j, n + 1) for j in range(n)]
        assert rows[-1] == [*before, *(gamma * Fraction(n + 1 - j, n + 1) for j in range(1, n + 1))]
        assert rows[-1][m:] == fall
        D, G = some(rng), some(rng)
        assert_proves(rows, natural(rows[-1], D, G))
        assert_attains(rows, worst_of(rows[-1], D, G), closed_form(rows[-1], D, G))


def test_worst_case_takes_the_hull_path_for_the_proved_families():
    rng = np.random.default_rng(0)
    for N in (5, 40):
        gamma = rng.uniform(0.1, 1, N)
        gamma[N // 2 :] = np.sort(gamma[N // 2 :])[::-1]
        late = 1 / np.maximum(1, np.arange(1, N + 1) - N // 2 + 1)
        flat = np.where(np.arange(N) < N // 2, gamma, 0.3)
        for tableau in (
            sft.methods.SuffixAverage(0.4).tableau(gamma),
            Tableau(flat, rng.uniform(size=N), late),
            sft.methods.ScheduleFree(0.9).tableau(np.full(N, 0.2)),
        ):
            assert worst_case(tableau, D=1, G=1).path == "hull"


def matched_function(gamma, D, G):
    """The function of the theorem on matched weights, and its index j."""
    N = len(gamma) - 1
    after = [sum(gamma[k + 1 :], ZERO) for k in range(N)]
    j = next((k for k in range(N) if gamma[k] >= after[k]), N - 1)
    q = [g / s if k < j else ONE for k, (g, s) in enumerate(zip(gamma, after, strict=False))]
    root = D / sum(gamma)
    A, alpha = root**2, []
    for k in range(N):
        alpha.append(G * G - A if k <= j else ZERO)
        A += q[k] ** 2 * alpha[-1]
    h = [g * s / sum(gamma) for g, s in zip(gamma, after, strict=False)]
    return Worst(D, root, q, alpha, Chain(h, [])), j


def test_matched_schedule_free_lies_between_the_bounds_and_attains_the_lower_one():
    reached = set()
    for seed in range(60):
        rng = Random(seed)
        N, G = rng.randint(1, 5), some(rng)
        gamma = [some(rng) for _ in range(N + 1)]
        if seed % 3 == 0:  # the last weight repeats the last step, and no step is too long
            gamma[-1] = gamma[-2]
            for k in range(N - 2, -1, -1):
                gamma[k] = min(gamma[k], sum(gamma[k + 1 :], ZERO))
        total = sum(gamma, ZERO)
        D = G * total * Fraction(rng.randint(1, 9), 10)
        worst, j = matched_function(gamma, D, G)
        rows = schedule_free(gamma[:-1], gamma, betas(rng, N))
        excess = gamma[j] - sum(gamma[j + 1 :])
        B = (D * D + G * G * sum(g * g for g in gamma)) / (2 * total)
        lower = B - worst.alpha[j] * excess**2 / (2 * total)
        assert_attains(rows, worst, lower)
        chain = Chain(rows[-1], [sum(gamma[k:], ZERO) ** 2 / total for k in range(N + 1)])
        assert not any(chain.slack) and chain.value(D, [G * G] * (N + 1)) == B
        assert_proves(rows, chain)
        assert B >= closed_form(rows[-1], D, G) >= lower
        assert (closed_form(rows[-1], D, G) == B) or excess
        assert (B - lower) * sum(g * g for g in gamma) <= B * max(gamma) ** 2
        reached.add((excess == 0, j < N - 1))
    assert reached >= {(True, False), (False, True), (False, False)}


def test_with_small_steps_matched_schedule_free_is_as_slow_as_one_piece_allows():
    for seed in range(30):
        rng = Random(seed)
        N, G = rng.randint(1, 4), some(rng)
        gamma = [some(rng) for _ in range(N + 1)]
        D = G * sum(gamma) * Fraction(rng.randint(10, 30), 10)
        rows = schedule_free(gamma[:-1], gamma, betas(rng, N))
        W = D * G - G * G * sum(rows[-1])
        assert W == closed_form(rows[-1], D, G)
        one = Worst(D, G, [ZERO] * N, [ZERO] * N, Chain(rows[-1], []))
        assert_attains(rows, one, W)
        chain = Chain(
            rows[-1],
            [D / G, *(sum(gamma[k:], ZERO) ** 2 / sum(gamma, ZERO) for k in range(1, N + 1))],
        )
        assert min(chain.slack) >= 0
        assert_proves(rows, chain)


def test_between_the_bounds_matched_schedule_free_is_below_the_upper_one():
    done = 0
    for seed in range(20):
        rng = Random(seed)
        gamma = [some(rng) for _ in range(4)]
        _, j = matched_function(gamma, ONE, ONE)
        if abs(gamma[j] - sum(gamma[j + 1 :])) < Fraction(1, 2):
            continue
        done += 1
        D = sum(gamma) / 3
        beta = [Fraction(rng.randint(1, 7), 8) for _ in range(3)]
        B = (D * D + sum(g * g for g in gamma)) / (2 * sum(gamma))
        rows = schedule_free(gamma[:-1], gamma, beta)
        assert program(rows, [ONE] * 4, float(D)) < float(B) * (1 - 1e-6)
    assert done >= 5
    for N in (3, 6):  # falling fast: the program gives W(h), far below
        gamma, D = [Fraction(1, 3**t) for t in range(1, N + 2)], Fraction(1, 50)
        B = (D * D + sum(g * g for g in gamma)) / (2 * sum(gamma))
        rows = schedule_free(gamma[:-1], gamma, [Fraction(1, 2)] * N)
        W = closed_form(rows[-1], D, ONE)
        assert 0.76 < W / B < 0.78
        np.testing.assert_allclose(program(rows, [ONE] * (N + 1), float(D)), float(W), rtol=1e-6)


def running_threshold(a, c, b):
    """T1 in exact arithmetic: index 1..N+1 for b and c, 0..N for a."""
    threshold, N = ZERO, len(a) - 1
    for k in range(2, N + 2):
        newest = a[k - 1] / c[k]
        before = -a[k - 1] * (1 / c[k] - 1) - (a[k - 1] - a[k - 2]) / c[k - 1]
        if threshold is None or (before + (1 - 1 / b[k]) * newest) / b[k - 1] > threshold:
            return False
        if k <= N:
            bend = (a[k] - a[k - 1]) * (1 / c[k] - 1) - (a[k - 1] - a[k - 2]) / c[k - 1]
            rest = b[k - 1] * threshold - bend
            if b[k] > 1:
                threshold = min(ZERO, rest / (b[k] - 1))
            else:
                threshold = ZERO if rest >= 0 else None
    return True


def test_the_linear_test_and_the_general_one_agree():
    verdicts, sufficient = {True: 0, False: 0}, 0
    for seed in range(250):
        rng = Random(seed)
        N = rng.randint(2, 6)
        gamma = [some(rng) for _ in range(N)]
        if seed % 2:
            gamma.sort(reverse=True)
        r = rng.randint(0, 2)
        omega = [(g**r if seed % 3 else ONE) for g in [*gamma, gamma[-1]]]
        if seed % 5 == 0:
            omega[0] = ZERO
        beta = betas(rng, N)
        rows = schedule_free(gamma, omega, beta)
        D = some(rng)
        chain = natural(rows[-1], D, ONE)
        total = list(accumulate(omega))
        T = [1 - x / total[-1] for x in [ZERO, *total[:-1]]]
        a = [x / y for x, y in zip(T, chain.T, strict=True)]
        c = [None, ONE, *(w / s for w, s in zip(omega[1:], total[1:], strict=True))]
        b = [None, ONE, *(x + (1 - x) / y for x, y in zip(beta[1:], c[2:-1], strict=True)), ONE]
        verdict = holds(rows, chain)
        assert running_threshold(a, c, b) == verdict
        h, P = (np.array(x, float) for x in (rows[-1], chain.P))
        found = hull.margin(tableau_of(gamma, omega, beta), h, P)
        if abs(found) > 1e-9:  # rounding
            assert (found > 0) == verdict
        verdicts[verdict] += 1
        if omega[0] and all(x <= y for x, y in pairwise(a)):
            bends = [
                (a[k] - a[k - 1]) / omega[k] - (a[k - 1] - a[k - 2]) / omega[k - 1]
                for k in range(2, N + 1)
            ]
            if max(bends) <= 0:
                sufficient += 1
                assert verdict
    assert min(verdicts.values()) > 30 and sufficient > 5


def argmax_rows(worst, rows):
    """The pieces that an oracle returns which takes a maximal one, the zero piece included."""
    size = len(worst.x1)
    given, y = [], worst.x1
    for row in [*rows[1:], None]:
        values = [worst.inner(g, y) for g in worst.pieces]
        top = max(values)
        given.append(worst.pieces[values.index(top)] if top > 0 else [ZERO] * size)
        if row is not None:
            y = combine(
                [(ONE, worst.x1), *((-w, g) for w, g in zip(row, given, strict=False))], size
            )
    return y


def test_falling_correlations_make_the_value_a_lower_bound_for_every_nonnegative_method():
    done = 0
    for seed in range(80):
        rng = Random(seed)
        N = rng.randint(2, 5)
        falls = sorted(Fraction(rng.randint(-6, 9), 4) for _ in range(N))
        h = [sum(falls[k:], ZERO) for k in range(N)]  # concave down to zero
        if min(h) <= 0:
            continue
        worst = worst_of(h, some(rng), ONE)
        assert all(x >= y for x, y in pairwise(worst.kappa))
        rows = [
            [some(rng) * rng.randint(0, 1) / 9 if el < k else ZERO for el in range(N)]
            for k in range(N)
        ] + [h]
        heights = [worst.inner(g, y) for g, y in zip(worst.pieces, worst.points(rows), strict=True)]
        if min(heights) >= 0:
            done += 1
            assert_attains(rows, worst, closed_form(h, worst.D, ONE))
    assert done > 20


def test_rising_correlations_make_the_value_a_lower_bound_for_every_nonnegative_method():
    done = 0
    for seed in range(200):
        rng = Random(seed)
        N = rng.randint(2, 4)
        h = [some(rng)]
        for _ in range(N - 1):
            h.append(h[-1] * rng.choice([2, Fraction(3, 2), Fraction(4), Fraction(5, 4)]))
        h.reverse()
        worst = worst_of(h, some(rng), ONE)
        if any(x > y for x, y in pairwise(worst.kappa)):
            continue
        done += 1
        rows = [
            [some(rng) * rng.randint(0, 2) if el < k else ZERO for el in range(N)] for k in range(N)
        ] + [h]
        assert worst.f(argmax_rows(worst, rows)) >= closed_form(h, worst.D, ONE)
    assert done > 30


def concave_roots(rng, N):
    """Steps that fall, gamma_l <= (N + 1 - l) gamma_N, with gamma_l^(-1/2) concave in l."""
    while True:
        rises = sorted((Fraction(rng.randint(0, 5), 4) for _ in range(N)), reverse=True)
        roots = list(accumulate(rises, initial=some(rng)))[:N]
        gamma = [1 / r**2 for r in roots]
        if all(g <= (N - k) * gamma[-1] for k, g in enumerate(gamma)):
            return gamma


def test_uniform_weights_are_exact_for_every_beta_if_inverse_roots_of_the_steps_are_concave():
    bent = 0
    for seed in range(60):
        rng = Random(seed)
        N = rng.randint(1, 6)
        gamma = concave_roots(rng, N)
        rows = schedule_free(gamma, [ONE] * (N + 1), betas(rng, N))
        chain = natural(rows[-1], ZERO, ONE)
        assert not any(chain.slack)
        a = [Fraction(N + 1 - k, N + 1) / t for k, t in enumerate(chain.T)]
        rises = [y - x for x, y in pairwise(a)]
        assert rises[-1] == 0 and all(x >= y for x, y in pairwise(rises))
        bent += rises[0] > 0
        for D in (some(rng) / 9, some(rng)):
            worst = worst_of(rows[-1], D, ONE)
            assert_proves(rows, worst.chain)
            assert_attains(rows, worst, closed_form(rows[-1], D, ONE))
    assert bent > 20


def test_the_two_inequalities_behind_it_are_squares_times_positive_polynomials():
    w, s = sympy.symbols("w s")
    first = (3 + w - w**2 + w**3) ** 2 - 8 * (1 + w**2)
    assert sympy.expand(first - (1 - w) ** 2 * (w**4 + 2 * w**2 + 8 * w + 1)) == 0
    second = 2 * s**3 - (s - 1) * (3 + s**2 / 4) ** 2
    assert sympy.expand(16 * second - (2 - s) ** 2 * (36 - 3 * s**2 - s**3)) == 0


@pytest.mark.parametrize("r", [0.25, 0.5, 1.0])
def test_power_law_steps_with_uniform_weights_take_the_hull_path(r):
    for N in (2, 10, 300):
        gamma = np.arange(1, N + 1) ** -r
        for beta in (0.5, 0.9, 1.0):
            tableau = sft.methods.ScheduleFree(beta, power=0).tableau(gamma)
            assert worst_case(tableau, D=1, G=1).path == "hull"


def test_uniform_weights_with_linear_decay_cost_what_the_page_says():
    expected = {0.0: 1.0, 0.5: 1.0, 0.9: 1.023, 1.0: 1.112}
    N = 9
    for beta, ratio in expected.items():
        gamma = sft.schedules.Linear()(N)
        h = sft.methods.ScheduleFree(beta, power=0).tableau(gamma).effective_schedule()
        base, value = sft.bounds.last_iterate_tuned(h, D=1, G=1)
        tableau = sft.methods.ScheduleFree(beta, power=0).tableau(base * gamma)
        found = program(points_of(tableau).rows[:, :N], np.ones(N + 1))
        assert abs(found / value - ratio) < 6e-4  # three digits are printed
        exact = recursion.values((base * h)[None], 1.0, 1.0)[0]
        np.testing.assert_allclose(exact, value, rtol=1e-12)
        P = hull.natural_chain(base * h, 1.0, 1.0)
        assert (hull.margin(tableau, base * h, P) >= -1e-9) == (ratio == 1.0)


def test_steps_that_grow_need_no_slower_weights():
    for seed in range(40):
        rng = Random(seed)
        N = rng.randint(1, 5)
        gamma = sorted(some(rng) for _ in range(N))
        r = rng.randint(1, 3)
        omega = [g**r for g in [*gamma, gamma[-1]]]
        rows = schedule_free(gamma, omega, [ZERO] * N)
        D = some(rng)
        assert_proves(rows, natural(rows[-1], D, ONE))
        assert_attains(rows, worst_of(rows[-1], D, ONE), closed_form(rows[-1], D, ONE))
