"""Smooth and strongly convex functions, best and average: against formulas and a second program."""

import numpy as np
import pytest
from second_statement import second_statement

import sftheory as sft
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import worst_case

SOLVER = 2e-6  # relative; upper - lower is at most 1e-5 of the scale, and 1e-7 as a rule


def constant(gamma, N):
    return Tableau(np.full(N, gamma), 0.0, 1.0)


@pytest.mark.parametrize("N", [1, 2, 5, 9])
@pytest.mark.parametrize("step", [0.1, 0.5, 1.0, 1.4, 1.8, 1.95])
def test_gradient_descent_has_the_known_value_of_its_step(N, step):
    L, D = 3.0, 0.7
    found = worst_case(constant(step / L, N), D=D, L=L)
    expected = L * D * D / 2 * max(1 / (2 * step * N + 1), (1 - step) ** (2 * N))
    assert found.path == "sdp" and found.certified == "float"
    assert found.lower <= expected * (1 + 1e-9) and found.upper >= expected * (1 - 1e-9)
    assert found.value == pytest.approx(expected, abs=SOLVER * L * D * D)


@pytest.mark.parametrize("mu", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("step", [0.5, 1.0, 1.5])
def test_gradient_descent_on_strongly_convex_functions_is_no_worse_and_linear(mu, step):
    N = 5
    found = worst_case(constant(step, N), D=1, L=1, mu=mu)
    assert found.upper <= worst_case(constant(step, N), D=1, L=1).upper + SOLVER
    at_least = max(mu * (1 - step * mu) ** (2 * N), (1 - step) ** (2 * N)) / 2  # quadratics
    assert found.upper >= at_least
    assert found.upper <= max(1 - step * mu, step - 1) ** (2 * N) / 2 + SOLVER  # of the distance


@pytest.mark.parametrize("N", [1, 3, 6, 11])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("step", [0.3, 1.0])
def test_smooth_schedule_free_has_one_value_for_every_beta_up_to_the_step_of_descent(N, beta, step):
    gamma, L, D = step / 2, 2.0, 1.0
    found = worst_case(sft.methods.ScheduleFree(beta).tableau(np.full(N, gamma)), D=D, L=L)
    assert found.value == pytest.approx(L * D * D / (2 * step * N + 2), rel=SOLVER, abs=0)
    assert found.certified == "float"


@pytest.mark.parametrize("step", [1.5, 2.0])
def test_smooth_schedule_free_keeps_its_value_at_twice_the_step_for_a_moderate_beta(step):
    N = 11
    expected = 1 / (2 * step * N + 2)
    for beta in (0.0, 0.35, 0.7):
        tableau = sft.methods.ScheduleFree(beta).tableau(np.full(N, step))
        assert worst_case(tableau, D=1, L=1).value == pytest.approx(expected, rel=1e-5, abs=0)
    if step == 2:  # where it departs, by a fifth and by almost a half
        for beta, more in ((0.9, 1.20), (1.0, 1.46)):
            tableau = sft.methods.ScheduleFree(beta).tableau(np.full(N, step))
            assert worst_case(tableau, D=1, L=1).value / expected == pytest.approx(more, abs=5e-3)


def strongly_convex(rule, beta, N=11, mu=0.5, G=2.0):
    """The worst case of two schedule-free methods over the bound that averaging has."""
    t = np.arange(1, N + 2)
    gamma, w = {
        "growing": (2 / (mu * (t[:-1] + 1)), t * 1.0),
        "uniform": (1 / (mu * t[:-1]), np.ones(N + 1)),
    }[rule]
    bound = {
        "growing": 2 * G * G / (mu * (N + 2)),
        "uniform": G * G * (1 / t).sum() / (2 * mu * (N + 1)),
    }[rule]
    tableau = Tableau(gamma, beta, w[1:] / np.cumsum(w)[1:])
    found = worst_case(tableau, D=10 * G / mu, G=G, mu=mu)  # far: |x_1 - x_*| <= G/mu anyway
    return found, bound


STRONGLY_CONVEX = [
    ("growing", 0.0, 0.74, True),
    ("growing", 0.5, 0.74, True),
    ("growing", 0.9, 0.97, False),
    ("growing", 1.0, 1.14, False),
    ("uniform", 0.0, 0.94, True),
    ("uniform", 0.5, 0.94, True),
    ("uniform", 0.9, 1.18, False),
    ("uniform", 1.0, 1.41, False),
]


@pytest.mark.parametrize("rule, beta, ratio, at_most", STRONGLY_CONVEX)
def test_strongly_convex_schedule_free_breaks_the_bound_of_averaging_for_large_beta(
    rule, beta, ratio, at_most
):
    found, bound = strongly_convex(rule, beta)
    if at_most:
        assert found.upper <= bound * (ratio + 5e-3)
    else:
        assert found.value / bound == pytest.approx(ratio, abs=5e-3)


@pytest.mark.parametrize("N", [1, 2, 6, 12])
@pytest.mark.parametrize("D, G", [(1.0, 1.0), (0.4, 3.0)])
def test_the_best_of_tuned_constant_steps_is_minimax(N, D, G):
    found = worst_case(constant(D / (G * np.sqrt(N + 1)), N), D=D, G=G, criterion="best")
    expected = D * G / np.sqrt(N + 1)
    assert found.lower <= expected * (1 + 1e-9) and found.upper >= expected * (1 - 1e-9)
    assert found.value == pytest.approx(expected, rel=SOLVER, abs=0)


@pytest.mark.parametrize("N", [1, 3, 10])
@pytest.mark.parametrize("scale", [0.7, 1.0, 2.5])
def test_the_average_of_constant_steps_is_that_of_the_regret(N, scale):
    D, G = 1.3, 0.6
    gamma = scale * D / (G * np.sqrt(N + 1))
    found = worst_case(constant(gamma, N), D=D, G=G, criterion="average")
    expected = (D * D / (gamma * (N + 1)) + gamma * G * G) / 2
    if gamma * G * (N + 1) < D:
        expected = D * G - gamma * G * G * N / 2
    assert found.lower <= expected * (1 + 1e-9) and found.upper >= expected * (1 - 1e-9)
    assert found.value == pytest.approx(expected, rel=SOLVER, abs=0)


CLASSES = {
    "Lipschitz": dict(G=0.8),
    "Lipschitz and strongly convex": dict(G=0.8, mu=0.4),
    "smooth": dict(L=1.7),
    "smooth and strongly convex": dict(L=1.7, mu=0.3),
}
CRITERIA = ["last", "best", "average"]
every_class = pytest.mark.parametrize("kind", CLASSES)
every_criterion = pytest.mark.parametrize("criterion", CRITERIA)


def some(seed, N):
    """Steps short enough for smooth functions, and points that all differ."""
    rng = np.random.default_rng(seed)
    return Tableau(rng.uniform(0.1, 0.9, N), rng.uniform(0.1, 0.9, N), rng.uniform(0.2, 0.9, N))


@every_class
@every_criterion
@pytest.mark.parametrize("N", [1, 2, 3, 4])
def test_both_ends_hold_the_program_stated_a_second_time(kind, criterion, N):
    D, constants = 1.2, CLASSES[kind]
    tableau = some(N, N)
    found = worst_case(tableau, D=D, criterion=criterion, **constants)
    norms = {"norms": constants["G"]} if "G" in constants else {"L": constants["L"]}
    second = second_statement(tableau, D=D, criterion=criterion, mu=constants.get("mu", 0), **norms)
    scale = D * constants["G"] if "G" in constants else constants["L"] * D * D
    assert found.certified == "float" or found.path == "sdp"
    assert found.lower <= second + SOLVER * scale and found.upper >= second - SOLVER * scale
    assert found.value == pytest.approx(second, abs=SOLVER * scale)
    assert found.lower <= found.value <= found.upper <= found.lower + 1e-5 * scale


@every_class
@every_criterion
def test_the_function_attains_the_lower_end_and_is_in_its_class(kind, criterion):
    D, constants = 1.2, CLASSES[kind]
    tableau = some(7, 5)
    found = worst_case(tableau, D=D, criterion=criterion, **constants)
    f = found.function
    traj = sft.run(f, tableau, record="all")
    values = traj.gap_x[0]
    attained = {"last": values[-1], "best": values.min(), "average": values.mean()}[criterion]
    assert attained == pytest.approx(found.lower, rel=1e-9, abs=0)
    assert np.linalg.norm(f.x1 - f.x_star) <= D * (1 + 1e-12)
    assert f.f_star == 0 and abs(f.value(f.x_star)) <= 1e-15

    rng = np.random.default_rng(0)
    mu, L = constants.get("mu", 0.0), constants.get("L")
    near = [traj.y[0], traj.x[0], f.x_star[None]]
    far = rng.standard_normal((40, len(f.x1))) * rng.uniform(0, 2, (40, 1)) * D
    points = np.concatenate([*near, far, traj.y[0] + 1e-3 * rng.standard_normal(traj.y[0].shape)])
    values, slopes = zip(*(f.oracle(x) for x in points), strict=True)
    values, slopes = np.array(values), np.array(slopes)
    assert (values >= -1e-15).all()
    dp, dg = points[:, None] - points, slopes[:, None] - slopes
    lower = values + (slopes * dp).sum(-1)  # [i, k]: f_k + <g_k, p_i - p_k>
    if L is None:
        lower = lower + mu / 2 * (dp * dp).sum(-1)
    else:
        bend = (dg * dg).sum(-1) / L + mu * (dp * dp).sum(-1) - 2 * mu / L * (dg * dp).sum(-1)
        lower = lower + bend / (2 * (1 - mu / L))
    scale = max(1.0, float(values.max()))
    assert (values[:, None] - lower).min() >= -1e-9 * scale  # rounding
    if "G" in constants:
        on_the_way = [f.subgradient(x) for x in (*traj.y[0, :-1], traj.x[0, -1])]
        assert np.linalg.norm(on_the_way, axis=1).max() <= constants["G"] * (1 + 1e-9)
        if not mu:
            assert np.linalg.norm(slopes, axis=1).max() <= constants["G"] * (1 + 1e-12)
    else:
        assert f.L == pytest.approx(L) and f.mu == pytest.approx(mu)
    for x in far[:5]:  # the subgradient is the derivative, where there is one
        move = 1e-6 * rng.standard_normal(len(x))
        rise = f.value(x + move) - f.value(x - move)
        assert rise == pytest.approx(2 * f.subgradient(x) @ move, rel=1e-4, abs=1e-10)


@every_class
@every_criterion
def test_values_scale_with_the_units(kind, criterion):
    tableau = some(3, 4)
    D, constants = 1.2, CLASSES[kind]
    found = worst_case(tableau, D=D, criterion=criterion, **constants)
    a, b = 1e3, 1e-5  # of lengths and of values
    units = {"G": b / a, "L": b / a**2, "mu": b / a**2}
    scaled = worst_case(
        Tableau(tableau.gamma * a * a / b, tableau.beta, tableau.c),
        D=a * D,
        criterion=criterion,
        **{name: value * units[name] for name, value in constants.items()},
    )
    for end in ("lower", "value", "upper"):
        assert getattr(scaled, end) / b == pytest.approx(getattr(found, end), rel=1e-5, abs=0)


@every_class
def test_the_best_is_at_most_the_last_and_the_average(kind):
    tableau = some(4, 5)
    last, best, average = (
        worst_case(tableau, D=1, criterion=criterion, **CLASSES[kind]) for criterion in CRITERIA
    )
    assert best.lower <= min(last.upper, average.upper)


ZERO_STEPS = [
    Tableau([0.3, 0.2, 0.0], 0.0, 1.0),
    Tableau([0.0, 0.3, 0.2], 0.0, 1.0),
    Tableau([0.0, 0.3, 0.2], 0.9, [0.5, 0.3, 0.2]),
    Tableau([0.3, 0.2, 0.2], 1.0, [0.5, 0.0, 0.2]),
]


@pytest.mark.parametrize(
    "kind",
    [
        "Lipschitz",
        "Lipschitz and strongly convex",
        "smooth",
        "smooth and strongly convex",
    ],
)
@pytest.mark.parametrize("tableau", ZERO_STEPS, ids=["last", "first", "averaged", "not averaged"])
@every_criterion
def test_points_that_coincide_do_no_harm(tableau, kind, criterion):
    D, constants = 1.0, CLASSES[kind]
    found = worst_case(tableau, D=D, criterion=criterion, **constants)
    norms = {"norms": constants["G"]} if "G" in constants else {"L": constants["L"]}
    second = second_statement(tableau, D=D, criterion=criterion, mu=constants.get("mu", 0), **norms)
    assert found.value == pytest.approx(second, abs=1e-5)
    assert found.upper - found.lower <= 1e-5 * 1.7
