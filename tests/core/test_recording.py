import numpy as np

from sftheory.methods import LastIterate
from sftheory.simulation import run


class Bounce:
    """Walks from 0 to 1, out to 1e160, back to 2, and stays: its squares overflow on the way."""

    x1, x_star, f_star = np.zeros(1), None, None
    name, convex, stochastic, samples_loss = "Bounce", False, False, False

    def value(self, x):
        return x[..., 0]

    def oracle(self, x, noise=None):
        pull = np.select([x == 0, x == 1, x > 2], [-1.0, -1e160, x - 2], 0.0)
        return self.value(x), pull

    def draw(self, rng, steps):
        return None


def test_a_run_that_overflowed_once_stays_marked_when_it_comes_back():
    traj = run(Bounce(), LastIterate().tableau(np.ones((2, 5))), record="all")
    assert traj.diverged[0, 0].tolist() == [False, True, True, True, True, True]
    assert np.isinf(traj.loss_x[..., 1:]).all() and (traj.loss_x[..., 0] == 0).all()


def test_a_problem_without_constants_leaves_no_certificate():
    traj = run(Bounce(), LastIterate().tableau(np.ones(5)))
    assert traj.certificate is None and traj.linear_regret is None and traj.x_star is None
