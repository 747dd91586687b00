"""Answers from exact moments against dense grids, linear scans, closed forms and reruns."""

from types import SimpleNamespace

import numpy as np
import pytest

from sftheory import methods, problems, schedules
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.exact_moments import (
    after_cooldown,
    best_peak,
    critical_batch,
    hill_and_river,
    moments,
    split,
    steps_to,
    which_average_wins,
)
from sftheory.methods import METHODS
from sftheory.simulation import run

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
every_method = pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)
sgd = methods.LastIterate().tableau
POWER_LAW = problems.NoisyQuadratic(np.arange(1.0, 9) ** -1.5, noise=0.1)


def constant(method):
    """N -> a tableau with N equal steps."""
    return lambda peak: lambda N: method.tableau(np.full(N, peak))


def dense(problem, method, shape, peaks, **options):
    """E f at the end for every peak; inf where the run grew, so that rounding may rule its end."""
    with np.errstate(over="ignore"):
        found = moments(problem, method.tableau(peaks[:, None] * shape), keep=[0], **options)
    grew = found.loss_x.max(axis=-1) > 1e6 * found.loss_x[:, 0]
    return np.where(grew, np.inf, found.loss_x[:, -1])


# the best peak


@pytest.mark.parametrize("N", [50, 300])
@every_method
def test_no_peak_of_a_dense_grid_beats_the_best_one_for_constant_steps(entry, N):
    method, shape = entry.make(N), np.ones(N)
    best = best_peak(POWER_LAW, method.tableau, shape)
    losses = dense(POWER_LAW, method, shape, best.peak * np.geomspace(1e-3, 1e3, 400))
    assert losses.min() >= best.loss * (1 - 1e-6)
    assert losses.min() <= best.loss * 1.01  # the grid's own spacing
    assert best.loss == moments(POWER_LAW, method.tableau(best.peak * shape)).loss_x[-1]
    assert not best.edge


@pytest.mark.parametrize(
    ("name", "momentum"),
    [
        ("last_iterate", 0.0),
        ("last_iterate", 0.5),
        ("heavy_ball", 0.0),
        ("heavy_ball", 0.5),
        ("primal_average", 0.0),
        ("schedule_free", 0.0),
        ("schedule_free", 0.5),
    ],
)
@pytest.mark.parametrize("shape", [schedules.Linear(), schedules.Warmup(schedules.WSD(0.2), 10)])
def test_no_peak_of_a_dense_grid_beats_the_best_one_for_decaying_steps(name, shape, momentum):
    method, shape = METHODS[name].make(200), shape(200)
    best = best_peak(POWER_LAW, method.tableau, shape, momentum=momentum)
    peaks = best.peak * np.geomspace(1e-3, 1e3, 400)
    losses = dense(POWER_LAW, method, shape, peaks, momentum=momentum)
    assert best.loss * (1 - 1e-6) <= losses.min() <= best.loss * 1.01


@pytest.mark.parametrize(("lam", "s", "start"), [(1.0, 0.5, 2.0), (0.03, 0.1, -1.0), (7.0, 3, 1)])
def test_the_best_single_step_is_the_signal_over_signal_and_noise(lam, s, start):
    """E z² = (1 - γ λ)² e² + γ² s² is least at γ = λ e² / (λ² e² + s²)."""
    best = best_peak(problems.NoisyQuadratic([lam], s, start), sgd, [1.0])
    expected = lam * start**2 / (lam**2 * start**2 + s * s)
    assert best.peak == pytest.approx(expected, rel=1e-4)  # flat: the search stops at 1e-6
    least = lam / 2 * start**2 * s * s / (lam**2 * start**2 + s * s)
    assert best.loss == pytest.approx(least, rel=1e-9)


def test_the_best_peak_takes_the_options_of_moments():
    shape = np.ones(100)
    plain = best_peak(POWER_LAW, sgd, shape)
    other = best_peak(POWER_LAW, sgd, shape, multiplicative=1.0, group=4)
    assert other.peak < plain.peak and other.loss > plain.loss


# steps to a target


@pytest.mark.parametrize("target", [0.9, 0.3, 0.05, 0.011])
@pytest.mark.parametrize(
    "make",
    [
        constant(methods.LastIterate())(0.1),
        constant(methods.PolyakAverage())(0.5),
        constant(methods.ScheduleFree(0.5))(0.5),
        lambda N: sgd(0.3 * schedules.Linear()(N)),
    ],
    ids=["sgd", "polyak", "schedule-free", "linear"],
)
def test_steps_to_a_target_are_those_of_a_linear_scan(make, target):
    problem = problems.NoisyQuadratic([1.0, 0.3, 0.1], 0.1)
    for first in range(1, 700):
        if moments(problem, make(first), keep=[0]).loss_x[-1] <= target:
            break
    else:
        first = None
    found = steps_to(problem, make, target, most=699)
    assert found == first


def test_a_target_below_the_noise_floor_or_beyond_the_longest_run_is_not_reached():
    problem, make = problems.NoisyQuadratic([1.0], 0.5), constant(methods.LastIterate())(0.1)
    floor = 0.1 * 0.25 / (2 * (2 - 0.1))
    assert steps_to(problem, make, floor * 0.99) is None
    needed = steps_to(problem, make, floor * 1.01)
    assert steps_to(problem, make, floor * 1.01, most=needed) == needed
    assert steps_to(problem, make, floor * 1.01, most=needed - 1) is None


@pytest.mark.parametrize("target", [0.0, -1.0, np.nan, np.inf, None, "low"])
def test_a_target_that_is_no_loss_is_refused(target):
    with pytest.raises(InputError, match="steps_to needs target"):
        steps_to(POWER_LAW, constant(methods.LastIterate())(0.1), target)


# the critical batch: λ_i = 1/i, noise covariance diag(λ)/B, start 1, constant steps


def noisy_quadratic_loss(lam, step, batch, N):
    """½ Σ λ e_N with e_N = ρ^N + (1 - ρ^N) α / (B (2 - α λ)), ρ = (1 - α λ)²."""
    kept = (1 - step * lam) ** (2 * N)
    return (lam / 2 * (kept + (1 - kept) * step / (batch * (2 - step * lam)))).sum()


def fewest_steps(lam, batch, target, steps):
    """Over the grid of steps, by bisection of the closed form."""
    best = np.inf
    for step in steps:
        low, high = 0, 1
        while noisy_quadratic_loss(lam, step, batch, high) > target and high < best:
            low, high = high, 2 * high
            if high > 10**8:
                break
        while high - low > 1:
            middle = (low + high) // 2
            reached = noisy_quadratic_loss(lam, step, batch, middle) <= target
            low, high = (low, middle) if reached else (middle, high)
        if noisy_quadratic_loss(lam, step, batch, high) <= target:
            best = min(best, high)
    return best


def test_the_closed_form_gives_the_tabulated_steps_to_a_half():
    lam, steps = 1 / np.arange(1, 10_001.0), np.geomspace(1e-5, 1.99, 60)
    found = [fewest_steps(lam, B, 0.5, steps[20:]) for B in (16, 64, 256, 1024)]
    assert found == [2041, 1037, 866, 830]


def test_the_critical_batch_has_the_steps_of_the_closed_form():
    lam, peaks = 1 / np.arange(1, 101.0), np.geomspace(1e-2, 1.99, 12)
    problem = problems.NoisyQuadratic(lam, noise=np.sqrt(lam))
    batches = [1.0, 8.0, 64.0, 512.0]
    found = critical_batch(
        problem, lambda peak, N: sgd(np.full(N, peak)), 0.1, batches=batches, peaks=peaks
    )
    expected = [fewest_steps(lam, B, 0.1, peaks) for B in batches]
    np.testing.assert_array_equal(found.steps, expected)
    np.testing.assert_array_equal(found.samples, np.multiply(batches, expected))
    noiseless = fewest_steps(lam, np.inf, 0.1, peaks)
    assert found.critical == min(found.samples) / noiseless


def test_a_batch_that_never_reaches_the_target_has_no_steps():
    problem = problems.NoisyQuadratic([1.0, 0.5], noise=3.0)
    found = critical_batch(
        problem,
        lambda peak, N: sgd(np.full(N, peak)),
        1e-3,
        batches=[1.0, 1e6],
        peaks=[0.5, 1.0],
    )
    assert np.isnan(found.steps[0]) and np.isfinite(found.steps[1])


# splits


@pytest.mark.parametrize("cut", [0.0, 0.2, 2.0])
def test_hills_and_rivers_add_up_to_the_loss(cut):
    found = moments(POWER_LAW, methods.ScheduleFree().tableau(np.full((2, 80), 0.5)))
    hill, river = split(found, POWER_LAW, cut)
    np.testing.assert_allclose(hill + river, found.loss_x[:, found.step], rtol=1e-12)
    lam = np.asarray(POWER_LAW.eigenvalues)
    steep = problems.NoisyQuadratic(lam[lam >= cut], 0.1) if (lam >= cut).any() else None
    alone = moments(steep, methods.ScheduleFree().tableau(np.full(80, 0.5))).loss_x if steep else 0
    np.testing.assert_allclose(hill[0], alone[found.step] if steep else 0, rtol=1e-12)


def test_grouped_modes_are_not_split():
    found = moments(POWER_LAW, sgd([0.1] * 5), group=3)
    with pytest.raises(InputError, match="group=None"):
        split(found, POWER_LAW, 0.1)


VALLEY, STEPS = problems.HillAndRiver(), 4000
PROGRESS = np.arange(STEPS) / STEPS


@pytest.mark.parametrize(
    ("method", "shape", "hill", "river"),
    [
        (methods.LastIterate(), np.ones(STEPS), 0.02500, 0.11848),
        (methods.LastIterate(), np.minimum(1, (1 - PROGRESS) / 0.2), 0.00040, 0.12270),
        (methods.LastIterate(), 1 - PROGRESS, 0.00018, 0.14916),
        (methods.LastIterate(), (1 + np.cos(np.pi * PROGRESS)) / 2, 0.00008, 0.14916),
        (methods.PolyakAverage(start_counts=False), np.ones(STEPS), 0.00001, 0.15768),
        (methods.ScheduleFree(0.5), np.ones(STEPS), 0.00001, 0.14467),
        (methods.ScheduleFree(0.9), np.ones(STEPS), 0.00003, 0.13336),
        (methods.ScheduleFree(0.98), np.ones(STEPS), 0.00016, 0.13100),
        (methods.RefinedScheduleFree(0.9, 200), np.ones(STEPS), 0.00060, 0.11930),
        (methods.LastIterate(), np.full(STEPS, 0.1), 0.00132, 0.25400),
    ],
)
def test_the_valley_has_the_tabulated_parts(method, shape, hill, river):
    found = hill_and_river(VALLEY, method.tableau(0.05 * shape))
    assert [part.shape for part in found] == [(STEPS + 1,), (STEPS + 1,)]
    np.testing.assert_allclose([part[-1] for part in found], [hill, river], atol=0.51e-5)


@every_method
def test_the_valley_is_the_average_of_runs(entry):
    N, seeds = 40, 4000
    tableau = entry.make(N).tableau(0.05 * schedules.Linear()(N))
    hill, river = hill_and_river(VALLEY, tableau)
    traj = run(VALLEY, tableau, seeds=seeds, record="all")
    assert traj.x is not None
    along = traj.x[:, :, 1]
    # one path up to rounding, since neither noise nor the hill enters
    np.testing.assert_allclose(VALLEY.c0 / (1 + along), np.tile(river, (seeds, 1)), rtol=1e-12)
    sampled = traj.loss_x - river
    for t in (1, 5, 20, N):
        standard = sampled[:, t].std(ddof=1) / np.sqrt(seeds)
        assert abs(sampled[:, t].mean() - hill[t]) <= 4 * standard


# cooldowns


@pytest.mark.parametrize("at", [0, 37, 100])
@every_method
def test_a_cooldown_from_the_second_moments_equals_a_rerun(entry, at):
    gamma, cooldown = np.full(100, 0.3), 0.3 * schedules.Linear()(25)
    tableau = entry.make(100).tableau(gamma)
    found = moments(POWER_LAW, tableau, keep=[0, 37, 100])
    rerun = Tableau(
        np.append(tableau.gamma[:at], cooldown),
        np.append(tableau.beta[:at], np.zeros(25)),
        np.append(tableau.c[:at], np.ones(25)),
    )
    expected = moments(POWER_LAW, rerun).loss_x[-1]
    assert after_cooldown(found, POWER_LAW, at, cooldown) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("power", "left"),
    [
        (1.0, [0.3280, 0.2247, 0.1384, 0.0967, 0.0678, 0.0426]),
        (0.5, [0.2797, 0.1751, 0.1030, 0.0707, 0.0490, 0.0305]),
    ],
    ids=["linear", "1-sqrt"],
)
def test_a_cooldown_leaves_the_tabulated_part_of_the_plateau(power, left):
    problem, eta = problems.NoisyQuadratic([10.0], 1.0, 0.0), 0.05
    plateau = moments(problem, sgd(np.full(500, eta)), keep=[500])
    assert plateau.loss_x[-1] == pytest.approx(1 / 60, rel=1e-12)
    for K, part in zip((10, 20, 50, 100, 200, 500), left, strict=True):
        cooldown = eta * (1 - (np.arange(1, K + 1) / K) ** power)
        ended = after_cooldown(plateau, problem, 500, cooldown)
        assert ended * 60 == pytest.approx(part, abs=0.51e-4)  # half a printed digit


@pytest.mark.parametrize(
    ("options", "problem", "at", "gamma", "reason"),
    [
        ({"keep": [3]}, POWER_LAW, 4, [0.1], "Step 4 was not kept"),
        ({"group": 3}, POWER_LAW, 3, [0.1], "group=None"),
        ({"keep": [3]}, POWER_LAW, 3, [-0.1], "gamma has -0.1 at step 1"),
        ({"keep": [3]}, POWER_LAW, 3, [], "gamma is empty"),
        (
            {"keep": [3]},
            SimpleNamespace(**vars(POWER_LAW), mixing=1.0),
            3,
            [0.1],
            "does not depend on the point",
        ),
    ],
)
def test_cooldowns_that_are_not_known_are_refused(options, problem, at, gamma, reason):
    found = moments(problem, sgd([0.1] * 5), **options)
    with pytest.raises(InputError, match=reason):
        after_cooldown(found, problem, at, gamma)


# who wins


def test_every_candidate_is_tuned_on_every_problem():
    easy, hard = ("a", 1.0), ("b", 2.0)
    cases = {
        easy: problems.NoisyQuadratic([1.0, 0.5], 0.3),
        hard: problems.NoisyQuadratic(np.arange(1.0, 6) ** -2.0, 0.3),
    }
    ones = np.ones(60)
    candidates = {
        "last": (sgd, ones),
        "linear": (sgd, schedules.Linear()(60)),
        "average": (methods.PolyakAverage().tableau, ones),
    }
    found = which_average_wins(cases, candidates)
    assert set(found) == set(cases)
    for key, problem in cases.items():
        assert list(found[key]) == list(candidates)
        for name, (method, shape) in candidates.items():
            assert found[key][name] == best_peak(problem, method, shape)
        assert found[key]["average"].loss < found[key]["last"].loss  # noise is averaged out


# known faults


NARROWER = pytest.mark.xfail(
    strict=True, reason="The loss oscillates over peaks with minima narrower than the grid's ratio."
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ema", marks=NARROWER),
        "gpa",
        "polyak_average",
        "suffix_average",
    ],
)
def test_the_best_loss_of_an_average_of_decaying_steps_is_a_loss(name):
    method, shape = METHODS[name].make(300), schedules.WSD(0.2)(300)
    best = best_peak(POWER_LAW, method.tableau, shape)
    stable = dense(POWER_LAW, method, shape, np.geomspace(1e-3, 4, 400))
    assert 0 <= best.loss <= stable.min() * (1 + 1e-6)


@pytest.mark.parametrize(
    ("lam", "noise", "method", "shape", "momentum"),
    [
        ([1.0, 0.1, 0.01], 0.01, methods.ScheduleFree(0.9), np.ones(1000), 0.0),
        ([1.0, 0.1, 0.01], 0.01, methods.PrimalAverage(), schedules.Linear()(1000), 0.0),
        pytest.param([1.0], 0.1, methods.HeavyBall(), np.ones(30), 0.0, marks=NARROWER),
        (POWER_LAW.eigenvalues, 0.1, methods.PrimalAverage(), schedules.Linear()(200), 0.5),
    ],
)
def test_no_peak_of_a_dense_grid_beats_the_best_one_where_the_loss_oscillates(
    lam, noise, method, shape, momentum
):
    problem = problems.NoisyQuadratic(lam, noise)
    best = best_peak(problem, method.tableau, shape, momentum=momentum)
    peaks = best.peak * np.geomspace(1e-3, 10, 400)
    losses = dense(problem, method, shape, peaks, momentum=momentum)
    assert losses.min() >= best.loss * 0.99


def test_a_slow_run_reaches_a_target_within_ten_million_steps():
    problem, step = problems.NoisyQuadratic([1.0], 0.0), 1e-8
    found = steps_to(problem, constant(methods.LastIterate())(step), 0.45)
    assert found == np.ceil(np.log(0.9) / (2 * np.log1p(-step)))


def test_the_critical_batch_of_a_regression_counts_its_own_noise():
    rows = SimpleNamespace(
        **{"eigenvalues": [1.0, 0.5], "noise": 0.1, "x1": 1.0, "x_star": 0.0},
        **{"mixing": 1.0, "multiplicative": 1.0},
    )
    make = constant(methods.LastIterate())(0.1)
    found = critical_batch(
        rows, lambda peak, N: sgd(np.full(N, peak)), 0.05, batches=[1.0], peaks=[0.1]
    )
    assert found.steps[0] == steps_to(rows, make, 0.05)


@pytest.mark.parametrize(("target", "batches"), [(1e-9, [1.0, 4.0]), (0.1, [0.0, 1.0])])
def test_a_target_that_no_batch_reaches_and_an_empty_batch_raise_no_warning(target, batches):
    problem = problems.NoisyQuadratic([1.0, 0.5], noise=1.0)
    try:
        found = critical_batch(
            problem,
            lambda peak, N: sgd(np.full(N, peak)),
            target,
            batches=batches,
            peaks=[0.5],
            most=100,
        )
    except InputError:
        return
    assert np.isnan(found.steps).all() and np.isnan(found.critical)


@pytest.mark.parametrize("options", [{"multiplicative": 0.3}, {"momentum": 0.9}])
def test_a_cooldown_of_a_run_with_other_dynamics_is_refused(options):
    found = moments(POWER_LAW, sgd([0.1] * 50), keep=[50], **options)
    refused = False
    try:
        after_cooldown(found, POWER_LAW, 50, [0.1, 0.05])
    except InputError:
        refused = True
    assert refused
