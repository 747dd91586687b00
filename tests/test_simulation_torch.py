"""`run` on a problem whose points are tensors."""

import numpy as np
import pytest
import torch

from sftheory.methods import METHODS
from sftheory.simulation import Adam, run

N = 25
TABLEAU_METHODS = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
CONTROLLERS = [e for e in METHODS.load().values() if hasattr(e.object, "template")]


class Valley:
    """f(x) = |x|_1 + ½ |x|² in three dimensions, on arrays or on tensors."""

    f_star, name, convex, stochastic, samples_loss = 0.0, "Valley", True, False, False

    def __init__(self, kind):
        self.x1, self.x_star = kind([1.0, -2.0, 0.7]), kind([0.0, 0.0, 0.0])

    def value(self, x):
        return abs(x).sum(-1) + (x * x).sum(-1) / 2

    def oracle(self, x, noise=None):
        sign = torch.sign(x) if isinstance(x, torch.Tensor) else np.sign(x)
        return self.value(x), sign + x

    def draw(self, rng, steps):
        return None


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def expect_same(method, **arguments):
    here = run(Valley(np.array), method, record="all", **arguments)
    there = run(Valley(tensor), method, record="all", **arguments)
    names = ["x", "y", "z", "loss_x", "loss_y", "loss_z", "grad_norm", "certificate"]
    for name in [*names, "linear_regret", "diverged"]:
        on_tensors = getattr(there, name)
        assert isinstance(on_tensors, np.ndarray)
        np.testing.assert_allclose(on_tensors, getattr(here, name), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(there.tableau.gamma, here.tableau.gamma, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("entry", TABLEAU_METHODS, ids=lambda e: e.name)
def test_a_run_on_tensors_equals_the_run_on_arrays(entry):
    # not a multiple of the coordinates, so that no run lands on a kink
    gamma = 0.0317 * np.outer([1.0, 2.0], np.linspace(1, 0.1, N))
    expect_same(entry.make(N).tableau(gamma[0]))
    expect_same(entry.make(N).tableau(gamma), seeds=2)
    expect_same(entry.make(N).tableau(gamma), preconditioner=Adam(0.9))


@pytest.mark.parametrize("entry", CONTROLLERS, ids=lambda e: e.name)
def test_a_controlled_run_on_tensors_equals_the_one_on_arrays(entry):
    expect_same(entry.make(N), steps=N)
    expect_same(entry.object(scale=np.array([[0.5], [1.0]])), steps=N, seeds=2)
