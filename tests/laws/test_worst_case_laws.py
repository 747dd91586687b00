"""Every bound, every method and every problem against the exact worst case."""

from functools import cache

import numpy as np
import pytest

from sftheory import methods as m
from sftheory import problems as p
from sftheory.bounds import BOUNDS
from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.problems import PROBLEMS
from sftheory.schedules import SCHEDULES, Constant, Linear, Warmup
from sftheory.simulation import run
from sftheory.worst_cases import worst_case

COVERING = {n: e for n, e in BOUNDS.load().items() if "covers" in (e.facts or {})}
OF_NORMS = ["omega"]  # bounds for which every gradient may have a norm of its own
EXACT = ["last_iterate", "schedule_free"]
METHODS_MADE = [e.make(12) for e in METHODS.load().values() if hasattr(e.object, "tableau")] + [
    *[average("gamma") for average in (m.PolyakAverage, m.PrimalAverage)],
    *[m.ScheduleFree(beta, weights="gamma") for beta in (0.0, 0.5, 1.0)],
    *[m.ScheduleFree(beta) for beta in (0.0, 1.0)],
    m.ScheduleFree(0.9, start_counts=False),
    m.HeavyBall(0.5),
    m.EMA(0.5),
]


def shapes(N):
    """A schedule of every registered kind, and two more warmups."""
    made = [e.make(N) for e in SCHEDULES.load().values()]
    return [*made, Warmup(steps=2), 0.5 * Warmup(Constant(), fraction=0.5)]


@cache
def unit_case(method, shape, N, scale, criterion="last"):
    """The worst case for D = G = 1 and steps of scale / sqrt(N + 1) at their peak."""
    tableau = method.tableau(scale / np.sqrt(N + 1) * shape(N))
    return worst_case(tableau, D=1, G=1, criterion=criterion)


@pytest.mark.parametrize("N", [1, 6])
@pytest.mark.parametrize("method", METHODS_MADE, ids=repr)
def test_no_bound_is_below_the_worst_case_of_a_method_that_it_covers(method, N):
    for shape in shapes(N):
        for scale in (0.3, 3.0):
            gamma = scale / np.sqrt(N + 1) * shape(N)
            tableau = method.tableau(gamma)
            covering = [e for e in COVERING.values() if e.facts["covers"](tableau)]
            if not covering:
                continue
            found = worst_case(tableau, D=1, G=1)
            for entry in covering:
                value = entry.object(tableau, D=1.0, G=1.0)
                assert value >= found.lower * (1 - 1e-9), entry.name
                if entry.name in EXACT:
                    assert value == pytest.approx(found.value, rel=1e-9, abs=0), entry.name


def test_every_bound_that_covers_methods_covers_one_of_these():
    tableaus = [method.tableau(np.full(4, 0.3)) for method in METHODS_MADE]
    for entry in COVERING.values():
        assert any(entry.facts["covers"](tableau) for tableau in tableaus), entry.name


@pytest.mark.parametrize("name", OF_NORMS)
@pytest.mark.parametrize("N", [1, 3, 10])
def test_no_bound_for_norms_is_below_their_worst_case(name, N):
    rng = np.random.default_rng(N)
    for shape in shapes(N):
        gamma = rng.uniform(0.1, 2) * shape(N)
        for norms in (rng.uniform(0.3, 2, N + 1), np.geomspace(0.1, 3, N + 1)):
            value = BOUNDS[name].object(gamma, D=0.7, G=norms)
            assert value >= worst_case(gamma, D=0.7, G=norms).lower * (1 - 1e-9)


BUILDERS = {name: entry.make for name, entry in PROBLEMS.load().items()} | {
    "max_linear, not centred": lambda: p.MaxLinear(d=6, rows=9, centred=False),
    "max_linear, tall": lambda: p.MaxLinear(d=3, rows=200, seed=4),
    "l1_regression, noisy": lambda: p.L1Regression(n=30, d=5, noise=0.3),
    "logistic_regression, regular": lambda: p.LogisticRegression("diabetes", reg=0.1),
    "schaipp_example, shifted": lambda: p.SchaippExample(start=0.001),
}
built = cache(lambda name: BUILDERS[name]())


def known(name, *constants):
    """Convex, without noise, with a minimiser and the constants."""
    problem = built(name)
    given = all(getattr(problem, constant) is not None for constant in (*constants, "D"))
    return problem.convex and not problem.stochastic and given


LIPSCHITZ = [name for name in BUILDERS if known(name, "G")]
SMOOTH = [name for name in BUILDERS if known(name, "L")]
OF_RUNS = [Constant(), Linear(), Warmup(steps=3)]
CRITERIA = {"last": lambda gap: gap[..., -1], "best": np.min, "average": np.mean}


def test_the_table_holds_the_problems_that_theorems_are_about():
    assert {"max_linear", "l1_regression", "schaipp_example"} <= set(LIPSCHITZ)
    assert {"quadratic", "logistic_regression"} <= set(SMOOTH)


def rounding(problem):
    """Of losses, in units of the scale."""
    return 1e-9 if np.asarray(problem.x1).dtype == np.float64 else 1e-5


@cache
def gaps(name, scale, unit, N):
    """f(x_t) - f* of every method and shape, (rows, N + 1)."""
    problem = built(name)
    tableaus = [
        method.tableau(unit * scale / np.sqrt(N + 1) * shape(N))
        for method in METHODS_MADE
        for shape in OF_RUNS
    ]
    return run(problem, Tableau.stack(tableaus)).gap_x[:, 0]


@pytest.mark.parametrize("name", LIPSCHITZ)
@pytest.mark.parametrize("scale", [0.5, 3.0])
def test_no_run_on_a_lipschitz_function_is_worse_than_the_worst_case(name, scale):
    problem, N = built(name), 8
    realised = gaps(name, scale, problem.D / problem.G, N)
    pairs = [(method, shape) for method in METHODS_MADE for shape in OF_RUNS]
    for (method, shape), gap in zip(pairs, realised, strict=True):
        found = unit_case(method, shape, N, scale)
        assert gap[-1] / (problem.D * problem.G) <= found.upper + rounding(problem), (method, shape)


@pytest.mark.parametrize("name", LIPSCHITZ)
@pytest.mark.parametrize("criterion", ["best", "average"])
def test_neither_is_the_best_or_the_average_of_its_points(name, criterion):
    problem, N = built(name), 4
    realised = gaps(name, 1.0, problem.D / problem.G, N)
    pairs = [(method, shape) for method in METHODS_MADE for shape in OF_RUNS]
    for (method, shape), gap in zip(pairs, realised, strict=True):
        found = unit_case(method, shape, N, 1.0, criterion)
        value = CRITERIA[criterion](gap) / (problem.D * problem.G)
        assert value <= found.upper + rounding(problem), (method, shape)


@pytest.mark.parametrize("name", SMOOTH)
def test_no_run_on_a_smooth_function_is_worse_than_the_worst_case(name):
    problem, N = built(name), 4
    scale = np.sqrt(N + 1)  # steps of at most 1 / L
    realised = gaps(name, scale, 1 / problem.L, N)
    mu = (problem.mu or 0.0) / problem.L
    pairs = [(method, shape) for method in METHODS_MADE for shape in OF_RUNS]
    for (method, shape), gap in zip(pairs, realised, strict=True):
        tableau = method.tableau(shape(N))
        found = worst_case(tableau, D=1, L=1, mu=mu)
        unit = problem.L * problem.D**2
        assert gap[-1] / unit <= found.upper + rounding(problem), (method, shape)
