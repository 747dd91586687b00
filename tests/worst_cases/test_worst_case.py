"""The value by theorem against the program, on random methods of every family."""

import cvxpy as cp
import numpy as np
import pytest
from second_statement import second_statement

import sftheory as sft
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import hull, sdp, solve, worst_case
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


def test_the_program_is_the_primal_stated_by_cvxpy():
    for _ in range(6):
        N = int(RNG.integers(2, 6))
        tableau = Tableau(RNG.uniform(0.1, 1, N), RNG.uniform(size=N), RNG.uniform(0.1, 1, N))
        second = second_statement(tableau, D=1, norms=1)
        np.testing.assert_allclose(program(tableau, 1, 1, full=True), second, rtol=1e-6)  # solver


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


def test_a_batch_is_its_methods():
    gamma = RNG.uniform(0.1, 0.5, (2, 3, 4))
    tableau = Tableau(gamma, RNG.uniform(size=(3, 1)), 0.7)
    found = worst_case(tableau, D=1.2, G=0.7)
    assert found.shape == (2, 3) and len(found) == 2 and len(found[0]) == 3
    for i, j in np.ndindex(2, 3):
        alone = worst_case(tableau[i, j], D=1.2, G=0.7)
        for name in ("value", "lower", "upper", "path", "certified"):
            assert getattr(found[i, j], name) == getattr(alone, name) == getattr(found, name)[i, j]
    np.testing.assert_array_equal(found[1].value, found.value[1])
    np.testing.assert_array_equal(found[:, 0].upper, found.upper[:, 0])
    assert [row.value.tolist() for row in found] == found.value.tolist()
    of_steps = worst_case(gamma, D=1.2, G=np.linspace(1, 2, 5))
    assert of_steps.value[1, 2] == worst_case(gamma[1, 2], D=1.2, G=np.linspace(1, 2, 5)).value
    smooth = worst_case(gamma[0], D=1.2, L=1, criterion="average")
    assert (smooth.lower <= smooth.upper).all() and smooth.value.shape == (3,)


def test_beyond_the_program_the_answer_is_a_bracket():
    tableau = sft.methods.PrimalAverage().tableau(sft.schedules.Linear()(200) / 14)
    found = worst_case(tableau, D=1, G=1)
    assert found.path == "bracket" and found.certified == "none" and np.isnan(found.value)
    assert 0 < found.lower <= found.upper < np.inf


def bracket(tableau, D, norms):
    """What a longer method would get."""
    return solve._bracket(tableau, tableau.effective_schedule(), D, norms)


@pytest.mark.parametrize("kind", ["one norm", "norms that differ", "steps without weight"])
def test_a_bracket_holds_what_the_program_finds(kind):
    for _ in range(25):
        N = int(RNG.integers(1, 9))
        D, norms = float(np.exp(RNG.standard_normal())), np.full(N + 1, 0.8)
        if kind == "norms that differ":
            norms = RNG.uniform(0.4, 1.6, N + 1)
        c = RNG.uniform(0.05, 1, N)
        if kind == "steps without weight":
            c[RNG.integers(N)] = 1.0
        tableau = Tableau(RNG.uniform(0.01, 2, N), RNG.uniform(size=N), c)
        found = bracket(tableau, D, norms)
        exact = worst_case(tableau, D=D, G=norms)
        assert found.lower <= exact.upper * (1 + 1e-9) and found.upper >= exact.lower * (1 - 1e-9)
        assert kind == "steps without weight" or np.isfinite(found.upper)


LONG_WITH_ZERO = {
    "first": np.append(0.0, np.full(79, 0.1)),
    "warm-up from zero": np.append(np.arange(10) / 100, np.full(70, 0.1)),
    "last": np.append(np.full(79, 0.1), 0.0),
    "in between": np.where(np.arange(80) == 40, 0.0, 0.1),
}


@pytest.mark.parametrize("weights", ["gamma", "uniform"])
@pytest.mark.parametrize("steps", LONG_WITH_ZERO)
def test_a_bracket_of_steps_that_are_zero_is_one(steps, weights):
    tableau = sft.methods.PrimalAverage(weights).tableau(LONG_WITH_ZERO[steps])
    found = worst_case(tableau, D=1, G=1)
    assert 0 < found.lower <= found.upper < np.inf


def test_a_bracket_of_last_steps_without_weight_is_one():
    c = np.append(np.full(78, 0.1), [0.0, 0.0])
    found = worst_case(Tableau(np.full(80, 0.1), 1.0, c), D=1, G=1)
    assert found.path == "bracket" and 0 < found.lower <= found.upper < np.inf


BAD = [
    (dict(method=[0.1], D=1, G=None), "needs G"),
    (dict(method=[0.1], D=-1, G=1), "needs D > 0"),
    (dict(method=[-0.1], D=1, G=1), "pass values >= 0"),
    (dict(method=[0.1], D=1, G=[1, 2, 3]), r"needs one G or N\+1=2 of them"),
    (dict(method=[0.1], D=1, G=[[1, 1]]), "got an array of shape"),
    (dict(method=[0.1], D=[1, 2], G=1), "needs one D, not 2"),
    (dict(method=[0.1], D=1, G=1, certify="yes"), "certify is None"),
    (dict(method=[0.1], D=1, G=1, criterion="first"), "criterion is 'last', 'best' or 'average'"),
    (dict(method=[0.1], D=1, G=[1, 2], criterion="best"), "pass one G"),
    (dict(method=[0.1], D=1, G=1, L=1), "takes G or L, not both"),
    (dict(method=[0.1], D=1, L=1, mu=1), "needs one L > mu=1"),
    (dict(method=[0.1], D=1, L=[1, 2]), "needs one L > mu=0"),
    (dict(method=[0.1], D=1, L=-1), "needs L > 0"),
    (dict(method=[0.1], D=1, G=1, mu=-1), "mu must be a number >= 0"),
    (dict(method=[0.1], D=1, mu=1), "needs G"),
    (dict(method=[0.1] * 76, D=1, L=1), "at most 76 points .* is about 77"),
    (dict(method=[0.1] * 76, D=1, G=1, criterion="best"), "for the last iterate of these steps"),
    (dict(method=[0.1] * 76, D=1, G=1, mu=1), "criterion 'last', convex"),
]


@pytest.mark.parametrize("kwargs, sentence", BAD, ids=[sentence for _, sentence in BAD])
def test_what_the_theory_does_not_cover_is_refused(kwargs, sentence):
    with pytest.raises(InputError, match=sentence):
        worst_case(**kwargs)


def test_first_steps_of_zero_are_left_out():
    tableau = sft.methods.ScheduleFree(0.9).tableau([0.0, 0.3, 0.2])
    found = worst_case(tableau, D=1, G=1)
    assert found.path == "hull" and found.certified == "float"
    alone = worst_case(
        Tableau(*(part[1:] for part in (tableau.gamma, tableau.beta, tableau.c))), D=1, G=1
    )
    assert (found.lower, found.upper) == (alone.lower, alone.upper)
    np.testing.assert_array_equal(found.effective_schedule, tableau.effective_schedule())
    np.testing.assert_array_equal(found.gradient[1:], alone.gradient)
    for mine, theirs in zip(found.multipliers, alone.multipliers, strict=True):
        assert mine.shape == (4,) * mine.ndim
        np.testing.assert_array_equal(mine[(slice(1, None),) * mine.ndim], theirs)
    np.testing.assert_allclose(found.value, program(tableau, 1, 1, full=True), rtol=1e-6)


@pytest.mark.parametrize(
    "tableau",
    [
        Tableau([0.0, 0.36, 0.38], 1.0, [0.23, 0.12, 0.92]),
        Tableau([0.0, 0.58, 0.35], [0.3, 0.8, 0.7], [0.8, 0.1, 0.8]),
    ],
    ids=["gradient at the average", "gradient anywhere"],
)
def test_a_first_step_of_zero_leaves_no_gap(tableau):
    found = worst_case(tableau, D=1, G=1)
    np.testing.assert_allclose(found.value, program(tableau, 1, 1, full=True), rtol=1e-6)
    assert found.upper - found.lower <= 1e-5


@pytest.mark.parametrize(
    "method", [[0.0, 0.0], sft.methods.PolyakAverage().tableau([0.0, 0.0]), Tableau([0.5], 0, 0)]
)
def test_a_method_that_does_not_move_is_as_bad_as_its_start(method):
    found = worst_case(method, D=2, G=3)
    assert found.value == found.lower == found.upper == 6
    assert found.function.value(found.function.x1) == 6


def test_a_report_that_is_the_start_has_the_norm_of_the_gradient_taken_there():
    found = worst_case(Tableau([0.5], beta=0.0, c=0.0), D=1, G=[0.1, 1.0])
    assert found.lower <= 0.1 * (1 + 1e-12) and found.value == pytest.approx(0.1)


@pytest.mark.parametrize("norm", [0.01, 50.0])
def test_the_norm_of_a_step_of_zero_is_not_used_off_the_theorems(norm):
    tableau = sft.methods.ScheduleFree(0.9).tableau([0.0, 0.3, 0.2])
    found = worst_case(tableau, D=1, G=[norm, 1, 1, 1])
    assert found.value == pytest.approx(worst_case(tableau, D=1, G=1).value, abs=1e-7)  # solver


def test_norms_over_three_decades_have_an_answer_off_the_theorems():
    tableau = Tableau([100.0, 10.0, 10.0], 0.5, [0.5, 0.1, 0.1])
    found = worst_case(tableau, D=1, G=[10, 0.06, 0.04, 30])
    assert 0 < found.lower <= found.upper


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
