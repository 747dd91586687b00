"""The value by theorem against the program, on random methods of every family."""

import cvxpy as cp
import numpy as np
import pytest

import sftheory as sft
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import hull, sdp, worst_case
from sftheory.worst_cases.points import Points, points_of

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def program(tableau, D, G, full=False):
    points = points_of(tableau)
    unit = Points(points.rows * G / D, points.reported, points.best)
    return sdp.solve(unit, PLAIN(len(points)), full=full).value * D * G


def PLAIN(M):
    return sdp.Class(np.ones(M))


def primal(H, D, G):
    """The same worst case stated a second time: the primal over Gram matrices, all pairs."""
    M, N = H.shape
    X, F = cp.Variable((M + 1, M + 1), PSD=True), cp.Variable(M)
    unit = np.eye(M + 1)
    points = [unit[0] - np.concatenate([[0], H[k], np.zeros(M - N)]) for k in range(M)]
    points.append(np.zeros(M + 1))  # x_*
    limits = [X[0, 0] <= D**2, *(X[k, k] <= G**2 for k in range(1, M + 1))]
    for k in range(M):
        g = unit[k + 1]
        for j in range(M + 1):
            if j != k:
                value = F[j] if j < M else 0
                limits.append(value >= F[k] + (points[j] - points[k]) @ X @ g)
        limits.append(F[k] >= 0)
    cp.Problem(cp.Maximize(F[M - 1]), limits).solve(solver=cp.CLARABEL)
    return float(F.value[M - 1])


FAMILIES = {
    "last iterate": lambda g: sft.methods.LastIterate().tableau(g),
    "constant schedule-free": lambda g: sft.methods.ScheduleFree(RNG.uniform()).tableau(
        np.full(len(g), g[0])
    ),
    "uniform average, decreasing steps": lambda g: sft.methods.PolyakAverage().tableau(
        np.sort(g)[::-1]
    ),
    "schedule-free, uniform weights": lambda g: sft.methods.ScheduleFree(
        RNG.uniform(), power=0
    ).tableau(g),
    "schedule-free, weights are steps": lambda g: sft.methods.ScheduleFree(
        RNG.uniform(), weights="gamma"
    ).tableau(g),
    "primal average": lambda g: sft.methods.PrimalAverage().tableau(g),
    "heavy ball": lambda g: sft.methods.HeavyBall(RNG.uniform(0, 0.9)).tableau(g),
    "exponential average": lambda g: sft.methods.EMA(RNG.uniform(0.1, 0.9)).tableau(g),
}
ALWAYS_EXACT = list(FAMILIES)[:3]


@pytest.mark.parametrize("family", FAMILIES)
def test_theorem_program_and_bracket_agree(family):
    closed = []
    for _ in range(25):
        N = int(RNG.integers(1, 8))
        D, G = np.exp(0.5 * RNG.standard_normal(2))
        tableau = FAMILIES[family](np.exp(RNG.standard_normal(N) - 1) * D / G)
        found = worst_case(tableau, D=D, G=G)
        assert found.lower <= found.upper * (1 + 1e-12)
        if family in ALWAYS_EXACT:
            assert found.path in ("last iterate", "hull") and found.certified == "float"
        if found.path in ("last iterate", "hull"):
            np.testing.assert_allclose(found.value, program(tableau, D, G), rtol=1e-6)  # solver
        else:
            assert found.path == "sdp"
            closed.append(found.certified == "float")
            assert closed[-1] == (found.upper - found.lower <= 1e-5 * D * G)
            exact = program(tableau, D, G, full=True)
            assert found.lower <= exact * (1 + 1e-6) and found.upper >= exact * (1 - 1e-6)  # solver
            W = sft.bounds.last_iterate(found.effective_schedule, D=D, G=G)
            assert found.upper >= W * (1 - 1e-6)
    assert np.mean([True, *closed]) > 0.95


def test_the_program_is_the_primal_stated_by_cvxpy():
    for _ in range(6):
        N = int(RNG.integers(2, 6))
        tableau = Tableau(RNG.uniform(0.1, 1, N), RNG.uniform(size=N), RNG.uniform(0.1, 1, N))
        H = points_of(tableau).rows[:, :N]
        np.testing.assert_allclose(program(tableau, 1, 1, full=True), primal(H, 1, 1), rtol=1e-6)


def test_a_solver_value_is_repaired_to_an_upper_bound():
    for N in (3, 10, 20):
        gamma = sft.schedules.Linear()(N) * N / (N + 1) ** 1.5
        found = sdp.solve(points_of(sft.methods.LastIterate().tableau(gamma)), PLAIN(N + 1))
        assert 1 / np.sqrt(N + 1) <= found.upper <= (1 + 1e-6) / np.sqrt(N + 1)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("N", [1, 4, 30, 300])
def test_constant_schedule_free_is_exact_for_every_beta(N, beta):
    for scale in (0.3, 1.0, 3.0):
        gamma = np.full(N, scale / np.sqrt(N + 1))
        found = worst_case(sft.methods.ScheduleFree(beta).tableau(gamma), D=1, G=1)
        assert found.path == "hull"
        expected = sft.bounds.schedule_free(gamma[0], N, D=1, G=1)
        np.testing.assert_allclose(found.value, expected, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.4, 0.9])
def test_the_linear_hull_test_agrees_with_the_general_one(beta):
    verdicts = set()
    for _ in range(60):
        N = int(RNG.integers(2, 10))
        gamma = RNG.uniform(0.05, 1, N)
        tableau = sft.methods.ScheduleFree(beta, power=float(RNG.integers(0, 3))).tableau(gamma)
        h = tableau.effective_schedule()
        P = hull.natural_chain(h, 1, 1)
        margin = hull.margin(tableau, h, P)
        if abs(margin) < 1e-9:
            continue
        pi, rho = hull.weights(points_of(tableau).rows[:, :N], h, P)
        assert (margin > 0) == (min(pi.min(), rho.min()) > -1e-10)
        verdicts.add(margin > 0)
    assert verdicts == {True, False}


def test_the_hull_multipliers_prove_the_upper_bound():
    tableau = sft.methods.ScheduleFree(0.7).tableau(np.full(6, 0.4))
    H = points_of(tableau).rows[:, :6]
    found = worst_case(tableau, D=1, G=1)
    star, pairs = found.multipliers
    M = len(H)
    assert star.min() >= 0 and pairs.min() >= -1e-12
    flow = star + pairs.sum(axis=0) - pairs.sum(axis=1)  # into k, minus out of k
    np.testing.assert_allclose(flow, np.eye(M)[-1], atol=1e-12)
    slack = np.zeros((M + 1, M + 1))
    slack[0, 1:] -= star
    for k in range(M):
        slack[1:M, k + 1] += star[k] * H[k]
        for j in range(M):
            slack[1:M, k + 1] += pairs[j, k] * (H[k] - H[j])
    slack = (slack + slack.T) / 2
    # with the free diagonal chosen best, the value is that of the theorem
    free = cp.Variable(M + 1)
    problem = cp.Problem(cp.Minimize(cp.sum(free)), [slack + cp.diag(free) >> 0])
    problem.solve(solver=cp.CLARABEL)
    np.testing.assert_allclose(problem.value, found.value, rtol=1e-6)  # solver


def test_the_gradient_is_that_of_finite_differences():
    gamma = np.array([0.3, 0.0, 0.2, 0.5, 0.1])
    found = worst_case(gamma, D=1.5, G=0.8)
    expected = sft.bounds.last_iterate_gradient(gamma, D=1.5, G=0.8)
    np.testing.assert_allclose(found.gradient, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "certify, certified", [(None, "none"), ("float", "float"), ("rational",) * 2]
)
def test_the_certificate_is_what_was_asked_for(certify, certified):
    gamma = sft.schedules.Cosine()(1000) / 30
    found = worst_case(gamma, D=1, G=1, certify=certify)
    assert found.certified == certified
    assert found.lower <= found.value <= found.upper
    if certify == "rational":
        assert found.upper - found.lower <= 1e-12 * found.value


def test_beyond_the_program_the_answer_is_a_bracket():
    tableau = sft.methods.PrimalAverage().tableau(sft.schedules.Linear()(200) / 14)
    found = worst_case(tableau, D=1, G=1)
    assert found.path == "bracket" and found.certified == "none" and np.isnan(found.value)
    assert 0 < found.lower <= found.upper < np.inf


BAD = [
    (dict(method=[0.1], D=1, G=None), "needs G"),
    (dict(method=[0.1], D=-1, G=1), "needs D > 0"),
    (dict(method=[-0.1], D=1, G=1), "pass values >= 0"),
    (dict(method=[0.1], D=1, G=[1, 2, 3]), r"needs one G or N\+1=2 of them"),
    (dict(method=[0.1], D=1, G=1, certify="yes"), "certify is None"),
]


@pytest.mark.parametrize("kwargs, sentence", BAD, ids=[sentence for _, sentence in BAD])
def test_what_the_theory_does_not_cover_is_refused(kwargs, sentence):
    with pytest.raises(InputError, match=sentence):
        worst_case(**kwargs)


def test_first_steps_of_zero_are_handled_off_the_theorems():
    tableau = sft.methods.ScheduleFree(0.9).tableau([0.0, 0.3, 0.2])
    found = worst_case(tableau, D=1, G=1)
    assert found.path == "sdp" and found.certified == "float"
    np.testing.assert_allclose(found.value, program(tableau, 1, 1, full=True), rtol=1e-6)


@pytest.mark.parametrize(
    "method", [[0.0, 0.0], sft.methods.PolyakAverage().tableau([0.0, 0.0]), Tableau([0.5], 0, 0)]
)
def test_a_method_that_does_not_move_is_as_bad_as_its_start(method):
    found = worst_case(method, D=2, G=3)
    assert found.value == found.lower == found.upper == 6
    assert found.function.value(found.function.x1) == 6


def test_a_bracket_of_too_many_steps_is_refused():
    tableau = sft.methods.PrimalAverage().tableau(sft.schedules.Linear()(10_001))
    with pytest.raises(InputError, match="pass at most 10000 steps"):
        worst_case(tableau, D=1, G=1)


def test_what_is_attained_on_the_separated_function_needs_no_choice_of_subgradients():
    gamma = np.full(30, 1 / np.sqrt(31))
    found = worst_case(sft.methods.ScheduleFree(0.9).tableau(gamma), D=1, G=1)
    f = found.function.separated()
    tableau = sft.methods.ScheduleFree(0.9).tableau(gamma)
    traj = sft.run(f, tableau, record="all")
    pieces = f.products(traj.y[0, :-1])
    runner_up = np.sort(pieces, axis=-1)[:, -2]
    assert (pieces.max(axis=-1) - runner_up > 0).all()
    assert found.value - 31e-9 <= traj.gap_x[0, -1] <= found.value
