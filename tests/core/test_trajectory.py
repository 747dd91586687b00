import numpy as np
import pytest

from sftheory import problems as p
from sftheory.core.errors import InputError
from sftheory.methods import ScheduleFree
from sftheory.simulation import run

N = 5
GAMMA = np.full(N, 0.1)
TRIPLE = ["seed", "step", "loss_x", "loss_y", "loss_z", "grad_norm", "diverged", "gap_x"]


@pytest.mark.parametrize(
    ("batch", "axes"), [((), []), ((2,), ["run"]), ((2, 3), ["run_0", "run_1"])]
)
def test_the_frame_has_a_row_for_every_run_and_step(batch, axes):
    tab = ScheduleFree().tableau(np.broadcast_to(GAMMA, (*batch, N)))
    traj = run(p.NoisyQuadratic(), tab, seeds=[7, 3])
    frame = traj.frame()
    assert frame.columns == [*axes, *TRIPLE]
    assert frame.height == traj.loss_x.size == np.prod(batch, dtype=int) * 2 * (N + 1)
    np.testing.assert_array_equal(frame["loss_x"].to_numpy(), traj.loss_x.ravel())
    assert set(frame["seed"]) == {3, 7} and set(frame["step"]) == set(range(N + 1))


def test_a_row_of_the_frame_is_the_entry_of_its_axes():
    tab = ScheduleFree().tableau(np.outer([1, 2], GAMMA))
    traj = run(p.NoisyQuadratic(), tab, seeds=[7, 3], record=[0, N])
    frame = traj.frame()
    assert frame.columns == ["run", *TRIPLE, "x_norm", "x", "y_norm", "y", "z_norm", "z"]
    row = frame.row(by_predicate=(frame_is(run=1, seed=3, step=N)), named=True)
    assert row["loss_z"] == traj.loss_z[1, 1, 1]
    np.testing.assert_array_equal(row["y"], traj.y[1, 1, 1])
    assert row["x_norm"] == pytest.approx(np.linalg.norm(traj.x[1, 1, 1]), rel=1e-12)


def frame_is(**values):
    import polars as pl

    return pl.all_horizontal([pl.col(name) == value for name, value in values.items()])


class Unknown(p.Quadratic):
    f_star = None


def test_the_gap_is_the_loss_above_f_star_and_needs_it():
    tab = ScheduleFree().tableau(GAMMA)
    problem = p.L1Regression(n=20, d=3, noise=0.5)
    traj = run(problem, tab)
    np.testing.assert_array_equal(traj.gap_x, traj.loss_x - problem.f_star)
    with pytest.raises(InputError, match="Unknown has no known f_star"):
        _ = run(Unknown(), tab).gap_x
