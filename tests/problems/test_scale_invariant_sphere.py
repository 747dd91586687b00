"""Scale-invariant losses: what follows from <g, x> = 0."""

import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.core.tableau import iterate
from sftheory.methods import LastIterate
from sftheory.problems import ScaleInvariantSphere
from sftheory.simulation import run

LAYER = ScaleInvariantSphere(d=30)
X = np.random.default_rng(5).standard_normal((50, 30))
NOISE = LAYER.draw(np.random.default_rng(6), 50)


def test_the_loss_ignores_the_length_and_the_gradient_shrinks_with_it():
    for factor in (0.1, 7.0):
        np.testing.assert_allclose(LAYER.value(factor * X), LAYER.value(X), rtol=1e-12)
        shrunk = LAYER.subgradient(factor * X, NOISE)
        np.testing.assert_allclose(factor * shrunk, LAYER.subgradient(X, NOISE), rtol=1e-10)


def test_every_gradient_is_tangential():
    g = LAYER.subgradient(X, NOISE)
    size = np.linalg.norm(g, axis=1) * np.linalg.norm(X, axis=1)
    assert (np.abs((g * X).sum(axis=1)) <= 1e-14 * size * 30).all()  # rounding


def test_every_step_lengthens_the_weights_by_pythagoras():
    traj = run(LAYER, LastIterate().tableau(np.full(100, 0.2)), record="all")
    assert traj.x is not None
    square = (traj.x[0] ** 2).sum(axis=-1)
    grown = (0.2 * traj.grad_norm[0, :-1]) ** 2
    np.testing.assert_allclose(np.diff(square), grown, rtol=1e-10)


@pytest.mark.parametrize(("gamma", "decay"), [(0.1, 0.05), (0.3, 0.2), (0.05, 1.0)])
def test_with_weight_decay_the_ratio_settles_at_its_stationary_value(gamma, decay):
    problem = ScaleInvariantSphere(signal=0.0)
    noise = iter(problem.draw(np.random.default_rng(1), 6000))
    lengths, x = [], problem.x1
    for x_next, _, _, g in iterate(
        LastIterate().tableau(np.full(6000, gamma)),
        problem.x1,
        lambda y: problem.subgradient(y, next(noise)),
        lambda gamma, x, y, z, g: gamma * (g + decay * z),
    ):
        lengths.append((g @ g, x @ x))
        x = x_next
    late = np.array(lengths[2000:]).mean(axis=0)
    # what |x|² changed between the ends of the mean is some percent of γ² Σ |g|²
    assert late[0] / late[1] == pytest.approx(2 * decay / gamma - decay**2, rel=0.01)


def test_without_signal_only_noise_is_left():
    problem = ScaleInvariantSphere(d=30, signal=0.0)
    assert (problem.value(X) == 0).all() and (problem.subgradient(X) == 0).all()
    assert (problem.subgradient(X, NOISE) != 0).any()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"d": 1}, "d must be a whole number >= 2"),
        ({"signal": -1.0}, "signal must be a number >= 0"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        ScaleInvariantSphere(**options)
