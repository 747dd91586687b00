"""What a run does, held against what the theorems promise for it."""

from functools import cache

import numpy as np
import pytest

from sftheory import bounds
from sftheory import methods as m
from sftheory import problems as p
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.problems import PROBLEMS
from sftheory.schedules import WSD, Constant, Linear, Warmup
from sftheory.simulation import run

N = 60
BUILDERS = {name: entry.make for name, entry in PROBLEMS.load().items()} | {
    "max_linear, not centred": lambda: p.MaxLinear(d=30, rows=90, centred=False),
    "l1_regression, noisy": lambda: p.L1Regression(noise=0.3),
}
built = cache(lambda name: BUILDERS[name]())


def is_covered(problem):
    """Convex, without noise, and everything known that the theorems ask for."""
    return problem.convex and not problem.stochastic and problem.x_star is not None


COVERED = [name for name in BUILDERS if is_covered(built(name))]
every_problem = pytest.mark.parametrize("name", COVERED)
METHODS_MADE = [e.make(N) for e in METHODS.load().values() if hasattr(e.object, "tableau")]
METHODS_MADE += [
    *[average("gamma") for average in (m.PolyakAverage, m.PrimalAverage)],
    *[m.ScheduleFree(beta, weights="gamma") for beta in (0.0, 0.5, 0.9, 1.0)],
    m.ScheduleFree(0.9, start_counts=False),
    m.PolyakAverage("polynomial", power=3),
]
SHAPES = [Constant(), Linear(), WSD(), Warmup(steps=10)]
PAIRS = [(method, shape) for method in METHODS_MADE for shape in SHAPES]


def step(problem):
    """The scale of the steps: of the theorems where G is known, else of the curvature."""
    return problem.D / problem.G / np.sqrt(N + 1) if problem.G else 1 / problem.L


def rounding(problem):
    """Of losses, which are of the order of D times the largest slope."""
    scale = problem.D * (problem.G or problem.L * problem.D)
    return scale * (1e-12 if np.asarray(problem.x1).dtype == np.float64 else 1e-5)


@cache
def every_run(name):
    problem = built(name)
    tableaus = [method.tableau(step(problem) * shape(N)) for method, shape in PAIRS]
    return tableaus, run(problem, Tableau.stack(tableaus))


@every_problem
def test_the_gap_is_below_the_certificate_and_that_below_online_to_batch_at_every_step(name):
    _, traj = every_run(name)
    certificate = bounds.certificate(traj, horizons="all")
    regret = bounds.online_to_batch_run(traj, horizons="all")
    assert certificate.shape == regret.shape == (len(PAIRS), 1, N + 1)
    assert not traj.diverged.any()
    assert (traj.gap_x <= certificate + rounding(built(name))).all()
    assert (certificate <= regret + rounding(built(name))).all()
    np.testing.assert_array_equal(bounds.certificate(traj), certificate[..., -1])
    np.testing.assert_array_equal(bounds.online_to_batch_run(traj), regret[..., -1])


COVERING = [e for e in bounds.BOUNDS.load().values() if "covers" in e.facts]


@pytest.mark.parametrize("bound", COVERING, ids=lambda e: e.name)
@every_problem
def test_the_gap_is_below_every_bound_that_covers_the_method(name, bound):
    problem, (tableaus, traj) = built(name), every_run(name)
    covered = [i for i, tableau in enumerate(tableaus) if bound.facts["covers"](tableau)]
    assert covered
    for i in covered:
        met = traj.grad_norm[i, 0].max()  # no larger than the problem's G
        value = bound.object(tableaus[i], D=problem.D, G=float(met))
        assert traj.gap_x[i, 0, -1] <= value + rounding(problem)
        assert problem.G is None or met <= problem.G * (1 + 1e-6)


@every_problem
def test_online_to_batch_of_a_run_is_below_the_bounds_whose_weights_are_the_steps(name):
    problem = built(name)
    for method, bound, last in [
        (m.PolyakAverage("gamma"), bounds.averaged, None),
        (m.ScheduleFree(0.9, weights="gamma"), bounds.schedulet, None),
        (m.PolyakAverage("gamma", last_weight=0.3 * step(problem)), bounds.averaged, 0.3),
        (m.ScheduleFree(0.5, weights="gamma", last_weight=step(problem)), bounds.schedulet, 1.0),
    ]:
        last = None if last is None else last * step(problem)
        for shape in SHAPES:
            gamma = step(problem) * shape(N)
            traj = run(problem, method.tableau(gamma))
            value = bound(gamma, D=problem.D, G=traj.grad_norm[0], last=last)
            assert bounds.online_to_batch_run(traj)[0] <= value + rounding(problem)
    traj = run(problem, m.ScheduleFree(0.9).tableau(step(problem) * np.ones(N)))
    value = bounds.schedule_free(traj.tableau, D=problem.D, G=float(traj.grad_norm.max()))
    assert traj.gap_x[0, -1] <= value + rounding(problem)


@every_problem
def test_the_last_iterates_gap_is_below_its_exact_worst_case_and_that_below_omega(name):
    problem = built(name)
    for shape in SHAPES:
        gamma = step(problem) * shape(N)
        traj = run(problem, m.LastIterate().tableau(gamma))
        known = {"D": problem.D, "G": float(traj.grad_norm.max())}
        exact = bounds.last_iterate(gamma, **known)
        assert traj.gap_x[0, -1] <= exact + rounding(problem)
        assert exact <= bounds.omega(gamma, **known)
        by_norms = bounds.omega(gamma, D=problem.D, G=traj.grad_norm[0].astype(float))
        assert traj.gap_x[0, -1] <= by_norms + rounding(problem)


@pytest.mark.parametrize("name", BUILDERS)
def test_linear_decay_is_an_average_on_every_oracle(name):
    # constant steps, y moving from z to the uniform average: the same gradients at the same points
    problem, gamma = built(name), 0.01
    t = np.arange(1, N + 1)
    moving = Tableau(np.full(N, gamma), beta=t / (N + 1), c=1 / (t + 1))
    decay = m.LastIterate().tableau(gamma * N / (N + 1) * Linear()(N))
    average = run(problem, moving, seeds=[3, 5], record=[N]).x
    last = run(problem, decay, seeds=[3, 5], record=[N]).x
    tolerance = 1e-11 if last.dtype == np.float64 else 1e-4  # rounding, through N steps
    np.testing.assert_allclose(average, last, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("problem", [
    p.NoisyQuadratic([1.0, 0.1, 0.01], noise=0.5),
    p.LogisticRegression("diabetes", batch=4),
], ids=lambda q: q.name)  # fmt: skip
def test_the_certificates_hold_in_expectation_under_noise(problem):
    seeds = 400
    averages = [m.PolyakAverage(), m.PrimalAverage(), m.ScheduleFree(0.9), m.LastIterate()]
    tab = Tableau.stack([a.tableau(0.1 * WSD()(N)) for a in averages])
    traj = run(problem, tab, seeds=seeds, record=[N])

    def mean_is_positive(excess):
        error = excess.std(axis=-1) / np.sqrt(seeds)
        return (excess.mean(axis=-1) >= -4 * error).all()  # four standard errors

    gap, certificate = traj.gap_x[..., -1], bounds.certificate(traj)
    assert (gap > certificate).any()  # on single runs noise breaks them
    assert mean_is_positive(certificate - gap)
    assert mean_is_positive(bounds.online_to_batch_run(traj) - certificate)


TWO_STEPS = m.ScheduleFree().tableau([0.1, 0.1])
every_certificate = pytest.mark.parametrize(
    "certificate", [bounds.certificate, bounds.online_to_batch_run], ids=lambda f: f.__name__
)


@every_certificate
def test_a_certificate_needs_a_convex_problem(certificate):
    with pytest.raises(InputError, match="needs a convex problem, and SongRiver is not"):
        certificate(run(p.SongRiver(), TWO_STEPS))
    with pytest.raises(InputError, match="horizons is None or 'all'"):
        certificate(run(p.Quadratic(), TWO_STEPS), horizons="last")


@every_certificate
def test_a_certificate_of_what_is_no_run_says_what_to_pass(certificate):
    with pytest.raises(InputError, match="pass the Trajectory that run"):
        certificate(TWO_STEPS)
