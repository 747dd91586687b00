"""Methods that set their steps while they run."""

import numpy as np
import pytest

from sftheory import problems as p
from sftheory.core.errors import InputError
from sftheory.methods import METHODS, PolyakScheduleFree, PolyakSGD, ScheduleFree
from sftheory.simulation import run

CONTROLLERS = [e for e in METHODS.load().values() if hasattr(e.object, "template")]
every_controller = pytest.mark.parametrize("entry", CONTROLLERS, ids=lambda e: e.name)
every_beta = pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
# uncentred, 30 dimensions, 90 rows: D = G = 1
ML90 = p.MaxLinear(d=30, rows=90, centred=False)
PROBLEMS = [ML90, p.L1Regression(n=30, d=8), p.Quadratic(), p.NoisyQuadratic(), p.SongRiver()]


@every_controller
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda q: q.name)
def test_the_realised_tableau_replays_the_run(entry, problem):
    seeds = [3, 8]
    traj = run(problem, entry.make(), steps=30, seeds=seeds, record="all")
    assert traj.tableau.batch == (2,) and traj.tableau.steps == 30
    for i, seed in enumerate(seeds):
        again = run(problem, traj.tableau[i], seeds=[seed], record="all")
        for name in ("x", "y", "z"):
            points = getattr(traj, name)[i]
            np.testing.assert_allclose(getattr(again, name)[0], points, rtol=1e-10, atol=1e-12)


@every_controller
def test_scales_of_a_batch_are_runs_of_their_own(entry):
    scales = np.array([0.5, 1.0])
    batch = run(ML90, entry.object(scale=scales[:, None]), steps=20, seeds=2)
    assert batch.loss_x.shape == (2, 2, 21) and batch.tableau.batch == (2, 2)
    for row, scale in zip(batch.loss_x, scales, strict=True):
        alone = run(ML90, entry.object(scale=scale), steps=20, seeds=2)
        np.testing.assert_allclose(row, alone.loss_x, rtol=1e-12)


@every_controller
def test_a_start_at_the_minimiser_stays_there(entry):
    traj = run(p.Quadratic(x1=1.0, x_star=1.0), entry.make(), steps=5)
    assert (traj.tableau.gamma == 0).all() and (traj.loss_x == 0).all()


class Unknown(p.Quadratic):
    f_star = None


@pytest.mark.parametrize(
    "entry", [e for e in CONTROLLERS if e.object.needs_f_star], ids=lambda e: e.name
)
def test_an_unknown_f_star_is_asked_for(entry):
    with pytest.raises(InputError, match=r"needs f_star, the least value of f, .* pass f_star="):
        run(Unknown(), entry.make(), steps=5)
    given = run(Unknown(), entry.object(f_star=0.0), steps=5)
    np.testing.assert_array_equal(given.loss_x, run(p.Quadratic(), entry.make(), steps=5).loss_x)


def test_polyaks_step_is_the_gap_over_the_squared_norm():
    problem = p.L1Regression(n=30, d=8)
    traj = run(problem, PolyakSGD(scale=0.7), steps=20, record="all")
    steps = 0.7 * traj.gap_x[0, :-1] / traj.grad_norm[0, :-1] ** 2
    np.testing.assert_allclose(traj.tableau.gamma[0], steps, rtol=1e-12)
    distance = np.linalg.norm(traj.x[0] - problem.x_star, axis=-1)
    assert (np.diff(distance) <= 1e-12).all()  # it never grows


@every_beta
def test_the_schedule_free_step_adds_the_slope_from_y_to_z(beta):
    traj = run(ML90, PolyakScheduleFree(beta), steps=20, record="all")
    _, g = ML90.oracle(traj.y[0])
    numerator = traj.loss_y[0] + beta * (g * (traj.z[0] - traj.x[0])).sum(axis=-1)
    np.testing.assert_allclose(
        traj.tableau.gamma[0], np.maximum(numerator, 0)[:-1], rtol=1e-10, atol=1e-13
    )
    uniform = ScheduleFree(beta).tableau(np.ones(20))
    np.testing.assert_allclose(traj.tableau.c[0], uniform.c, rtol=1e-12)
    assert (traj.tableau.beta == beta).all()


@every_beta
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_polyak_schedule_free_keeps_its_guarantee_at_every_step(beta, seed):
    problem = p.MaxLinear(d=30, rows=90, seed=seed, centred=False)
    loss = run(problem, PolyakScheduleFree(beta), steps=500).loss_x[0]
    assert (loss * np.sqrt(np.arange(1, 502))).max() <= 1  # f(x_t) sqrt(t) <= D G


def test_polyak_sgd_keeps_its_guarantee_for_the_best_point():
    loss = run(ML90, PolyakSGD(), steps=500).loss_x[0]
    best = np.minimum.accumulate(loss)
    assert (best * np.sqrt(np.arange(1, 502))).max() <= 1


SCALES = np.array([1 / 8, 1 / 4, 1 / 2, 1, 1.5, 1.9])
MEASURED = {  # after 2000 steps, times sqrt(2000): by scale, sup over t steps, f_star -+ 0.1
    0.0: ([0.692, 0.328, 0.150, 0.0653, 0.076, 0.172], 0.630, 3.503, 4.498),
    0.5: ([0.560, 0.264, 0.107, 0.0085, 0.0008, 0.0012], 0.609, 0.575, 4.493),
    0.9: ([0.588, 0.273, 0.115, 0.0313, 0.0, 0.0], 0.557, 0.093, 4.495),
}
CONSTANT = {  # steps 2^k / sqrt(2000), k = -3, ..., 3
    0.0: [3.95, 1.97, 1.01, 0.758, 0.824, 1.79, 3.41],
    0.5: [2.56, 0.630, 0.156, 0.130, 0.284, 0.483, 0.897],
    0.9: [2.01, 0.129, 0.0061, 0.0135, 0.0284, 0.0560, 0.168],
}
digits = {"rtol": 0.005, "atol": 6e-4}  # of the tables


@pytest.mark.parametrize("beta", MEASURED)
def test_the_runs_with_polyak_steps_are_the_measured_ones(beta):
    by_scale, supremum, under, over = MEASURED[beta]
    T = 2000
    method = PolyakScheduleFree(beta, scale=SCALES[:, None])
    loss = run(ML90, method, steps=T).loss_x[:, 0]
    np.testing.assert_allclose(loss[:, T] * np.sqrt(T), by_scale, **digits)
    taken = np.arange(1, T + 1)
    np.testing.assert_allclose((loss[3, 1:] * np.sqrt(taken)).max(), supremum, **digits)
    for error, measured in ((-0.1, under), (0.1, over)):
        wrong = run(ML90, PolyakScheduleFree(beta, f_star=error), steps=T).loss_x[0, T]
        np.testing.assert_allclose(wrong * np.sqrt(T), measured, **digits)
        assert error < 0 or wrong >= 0.09  # too large an f_star stalls at its error


@pytest.mark.parametrize("beta", CONSTANT)
def test_the_runs_with_constant_steps_are_the_measured_ones(beta):
    T = 2000
    gamma = 2.0 ** np.arange(-3, 4)[:, None] / np.sqrt(T) * np.ones(T)
    loss = run(ML90, ScheduleFree(beta).tableau(gamma)).loss_x[:, 0, T]
    np.testing.assert_allclose(loss * np.sqrt(T), CONSTANT[beta], **digits)


@pytest.mark.parametrize(
    ("T", "measured"), [(100, [0.580, 0.395, 0.310, 0.438]), (1000, [0.729, 0.207, 0.137, 0.402])]
)
def test_schedule_free_beats_polyak_and_primal_averaging_on_the_centred_problem(T, measured):
    betas = np.array([0.0, 0.5, 0.9, 1.0])
    tab = ScheduleFree(betas[:, None]).tableau(np.full((4, T - 1), T**-0.5))
    loss = [run(p.MaxLinear(seed=s), tab, record=[T - 1]).loss_x[:, 0, 0] for s in range(5)]
    np.testing.assert_allclose(np.max(loss, axis=0) * np.sqrt(T), measured, **digits)
