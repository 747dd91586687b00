import numpy as np
import pytest

from sftheory import problems as p
from sftheory.core import recording
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, iterate
from sftheory.methods import METHODS, LastIterate, PolyakScheduleFree, ScheduleFree
from sftheory.problems import PROBLEMS
from sftheory.schedules import WSD
from sftheory.simulation import Adam, run

N = 40
GAMMA = 0.01 * WSD()(N)
ALL_METHODS = [e.make(N) for e in METHODS.load().values() if hasattr(e.object, "tableau")]
STACK = Tableau.stack([method.tableau(GAMMA) for method in ALL_METHODS])
MINIBATCHES = p.LogisticRegression("diabetes", batch=5)
NOISY = [p.NoisyQuadratic(), p.HillAndRiver(), MINIBATCHES]
every_noisy = pytest.mark.parametrize("problem", NOISY, ids=lambda q: q.name)
POINTS, LOSSES = ("x", "y", "z"), ("loss_x", "loss_y", "loss_z", "grad_norm")


def test_the_axes_are_batch_seed_step_and_coordinate():
    batch = ScheduleFree().tableau(np.full((2, 3, N), 0.01))
    traj = run(p.NoisyQuadratic(), batch, seeds=4, record="all")
    assert traj.seeds == (0, 1, 2, 3) and traj.step.tolist() == list(range(N + 1))
    for name in (*LOSSES, "diverged", "certificate", "linear_regret"):
        assert getattr(traj, name).shape == (2, 3, 4, N + 1)
    for name in POINTS:
        assert getattr(traj, name).shape == (2, 3, 4, N + 1, 3)
    assert run(p.Quadratic(), batch[0, 0]).loss_x.shape == (1, N + 1)


@pytest.mark.parametrize("problem", [*NOISY, p.SongRiver(), p.Quadratic()], ids=lambda q: q.name)
def test_a_run_alone_walks_the_points_of_its_row_bit_for_bit(problem):
    seeds = [3, 1, 7]
    whole = run(problem, STACK, seeds=seeds, record="all")
    for i, j in np.ndindex(len(ALL_METHODS), len(seeds)):
        alone = run(problem, STACK[i], seeds=[seeds[j]], record="all")
        for name in POINTS:
            np.testing.assert_array_equal(getattr(whole, name)[i, j], getattr(alone, name)[0])
        for name in LOSSES:  # sums over rows of data are grouped by the shape of the batch
            row = getattr(whole, name)[i, j]
            np.testing.assert_allclose(row, getattr(alone, name)[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("entry", PROBLEMS.load().values(), ids=lambda e: e.name)
def test_a_run_alone_equals_its_row_to_rounding_on_every_problem(entry):
    problem = entry.make()
    rounding = 1e-12 if np.asarray(problem.x1).dtype == np.float64 else 1e-5
    whole = run(problem, STACK, seeds=[5], record="all")
    for i in range(len(ALL_METHODS)):
        alone = run(problem, STACK[i], seeds=[5], record="all")
        for name in (*POINTS, *LOSSES):
            row = getattr(whole, name)[i, 0]
            np.testing.assert_allclose(row, getattr(alone, name)[0], rtol=rounding, atol=rounding)


@pytest.mark.parametrize("entry", PROBLEMS.load().values(), ids=lambda e: e.name)
def test_what_is_recorded_is_the_loops_points_and_the_problems_values(entry):
    problem, tab = entry.make(), ScheduleFree(0.7).tableau(GAMMA)
    traj = run(problem, tab, seeds=[2], record="all")
    noise = iter(problem.draw(np.random.default_rng(2), N) if problem.stochastic else [None] * N)

    def oracle(y):
        drawn = next(noise)
        return problem.oracle(y[None], drawn if drawn is None else drawn[None])[1][0]

    def expect(recorded, looped):
        rounding = 1e-12 if recorded.dtype == np.float64 else 1e-5
        np.testing.assert_allclose(recorded, looped, rtol=rounding, atol=rounding)

    x, y, z, g = zip(*iterate(tab, np.asarray(problem.x1), oracle), strict=True)
    expect(traj.x[0], [problem.x1, *x])
    expect(traj.y[0, :-1], y)
    expect(traj.z[0], [problem.x1, *z])
    expect(traj.grad_norm[0, :-1], np.linalg.norm(g, axis=1))
    for name in POINTS:
        expect(getattr(traj, f"loss_{name}")[0], problem.value(getattr(traj, name)[0]))


def test_the_last_y_and_norm_are_taken_with_the_last_beta():
    traj = run(p.Quadratic(), ScheduleFree(0.7).tableau(GAMMA), record="all")
    y = 0.3 * traj.z[0, -1] + 0.7 * traj.x[0, -1]
    np.testing.assert_allclose(traj.y[0, -1], y, rtol=1e-12)
    slope = np.linalg.norm(p.Quadratic().subgradient(y))
    assert traj.grad_norm[0, -1] == pytest.approx(slope, rel=1e-12)


@every_noisy
@pytest.mark.parametrize("steps_a_block", [1, 7])
def test_the_noise_does_not_depend_on_how_many_steps_are_drawn_at_a_time(
    problem, steps_a_block, monkeypatch
):
    whole = run(problem, STACK[:2], seeds=3, record="all")
    a_step = problem.draw(np.random.default_rng(0), 1).nbytes * 3
    monkeypatch.setattr(recording, "BLOCK_BYTES", steps_a_block * a_step)
    monkeypatch.setattr(recording, "GROUP", 2)
    again = run(problem, STACK[:2], seeds=3, record="all")
    for name in (*POINTS, *LOSSES):
        np.testing.assert_array_equal(getattr(whole, name), getattr(again, name))


@every_noisy
def test_a_longer_run_begins_with_the_noise_of_a_shorter_one(problem):
    # SGD alone: other methods look at their whole schedule
    short = run(problem, LastIterate().tableau(np.full(15, 0.01)), seeds=2, record="all")
    long = run(problem, LastIterate().tableau(np.full(N, 0.01)), seeds=2, record="all")
    np.testing.assert_array_equal(short.x, long.x[:, :16])
    np.testing.assert_array_equal(short.grad_norm, long.grad_norm[:, :16])


def test_record_chooses_steps_and_points():
    problem, tab = p.NoisyQuadratic(), STACK[:2]
    whole = run(problem, tab, seeds=2, record="all")
    losses = run(problem, tab, seeds=2)
    assert (losses.x, losses.y, losses.z) == (None, None, None)
    some = run(problem, tab, seeds=2, record=np.array([N, 0, 7, 7]))
    assert some.step.tolist() == [0, 7, N]
    for name in (*LOSSES, "certificate"):
        np.testing.assert_array_equal(getattr(losses, name), getattr(whole, name))
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[..., [0, 7, N]])
    for name in POINTS:
        chosen = getattr(whole, name)[..., [0, 7, N], :]
        np.testing.assert_array_equal(getattr(some, name), chosen)


def test_a_numpy_integer_says_how_many_seeds():
    assert run(p.Quadratic(), STACK[0], seeds=np.int64(2)).seeds == (0, 1)


def test_a_run_that_overflows_is_marked_and_leaves_the_others_as_they_are():
    steps, problem = 400, p.NoisyQuadratic()
    batch = LastIterate().tableau(np.outer([0.1, 5.0, 0.2], np.ones(steps)))
    traj = run(problem, batch, seeds=2, record="all")
    assert traj.diverged[1, :, -1].all() and not traj.diverged[[0, 2]].any()
    for row in (0, 2):
        alone = run(problem, batch[row], seeds=2, record="all")
        for name in (*POINTS, "grad_norm"):
            np.testing.assert_array_equal(getattr(traj, name)[row], getattr(alone, name))
    first = traj.diverged[1, 0].argmax()
    assert 0 < first < steps and traj.diverged[1, 0, first:].all()
    for name in LOSSES:
        recorded = getattr(traj, name)[1, 0]
        assert np.isinf(recorded[first:]).all() and np.isfinite(recorded[:first]).all()


def test_adam_divides_by_the_root_of_the_corrected_mean_square():
    beta2, eps, tab = 0.9, 1e-3, ScheduleFree(0.8).tableau(np.full(10, 0.1))
    problem, v, x = p.SongRiver(), 0.0, np.array([2.0, 2.0])
    z = x
    for t in range(10):
        g = problem.subgradient(0.2 * z + 0.8 * x)
        v = beta2 * v + (1 - beta2) * g**2
        z = z - 0.1 * g / (np.sqrt(v / (1 - beta2 ** (t + 1))) + eps)
        x = x + (z - x) / (t + 2)
    traj = run(problem, tab, preconditioner=Adam(beta2, eps), record="all")
    np.testing.assert_allclose(traj.x[0, -1], x, rtol=1e-12)


def test_progress_is_told_of_every_step():
    told = []
    run(p.Quadratic(), STACK, progress=lambda *at: told.append(at))
    assert told == [(t, N) for t in range(1, N + 1)]


ONE = LastIterate().tableau([0.1, 0.1])
REFUSED = [
    ({"seeds": 0}, "seeds must be a whole number >= 1"),
    ({"seeds": []}, "seeds must be how many"),
    ({"seeds": [1, -1]}, "numbers >= 0"),
    ({"seeds": [0.5]}, "numbers >= 0"),
    ({"record": "everything"}, "is not 'losses', 'all'"),
    ({"record": []}, "whole steps in 0..2"),
    ({"record": [3]}, "whole steps in 0..2"),
    ({"record": [-1]}, "whole steps in 0..2"),
    ({"record": [0.5]}, "whole steps in 0..2"),
    ({"steps": 3}, "has N=2 steps but steps=3"),
    ({"method": PolyakScheduleFree()}, "pass steps=N"),
    ({"method": PolyakScheduleFree(), "steps": 0}, "steps must be a whole number >= 1"),
    ({"method": ScheduleFree()}, r"pass ScheduleFree\(...\).tableau\(gamma\)"),
    ({"method": [0.1, 0.1]}, "needs a Tableau or a controller"),
    ({"method": PolyakScheduleFree(), "steps": 2, "preconditioner": Adam()}, "Euclidean"),
]


@pytest.mark.parametrize(("wrong", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_arguments_out_of_range_are_refused_with_the_rule(wrong, reason):
    arguments = {"method": ONE} | wrong
    with pytest.raises(InputError, match=reason):
        run(p.Quadratic(), arguments.pop("method"), **arguments)


@pytest.mark.parametrize(("beta2", "eps"), [(1.0, 0), (-0.1, 0), (0.9, -1), (0.9, np.inf)])
def test_adam_refuses_numbers_out_of_range(beta2, eps):
    with pytest.raises(InputError, match="Adam needs"):
        Adam(beta2, eps)
