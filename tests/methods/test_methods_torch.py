"""The methods against torch: the loop on tensors, torch.optim.SGD and the published package."""

import numpy as np
import pytest
import schedulefree
import torch

from sftheory.core.tableau import iterate
from sftheory.methods import METHODS, HeavyBall, ScheduleFree
from sftheory.schedules import SCHEDULES, Warmup

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
every_method = pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)
every_schedule = pytest.mark.parametrize("entry", SCHEDULES.load().values(), ids=lambda e: e.name)
N = 20
X1 = np.array([1.0, -2.0, 0.5])
STEPS = {
    "constant": np.full(N, 0.2),
    "warm-up": 0.3 * Warmup(steps=6)(N),
    "from zero to zero": 0.2 * np.sin(np.pi * np.arange(N) / (N - 1)).clip(0),
    "with pauses": 0.2 * (np.arange(N) % 3 > 0),
}
every_steps = pytest.mark.parametrize("gamma", STEPS.values(), ids=STEPS)


def bent(y):
    """A gradient that is linear in nothing, on arrays and tensors alike."""
    return 3 * y / (1 + y * y) + 0.1 * (y.roll(1, -1) if hasattr(y, "roll") else np.roll(y, 1, -1))


def expect_same_loops(tab, x1):
    arrays, tensors = iterate(tab, x1, bent), iterate(tab, torch.tensor(x1), bent)
    for here, there in zip(arrays, tensors, strict=True):
        np.testing.assert_allclose(np.array(here), torch.stack(there).numpy(), rtol=1e-12)


@every_method
def test_the_loop_on_tensors_equals_the_loop_on_arrays(entry):
    tab = entry.make(N).tableau(STEPS["warm-up"])
    expect_same_loops(tab, X1)


@every_method
def test_the_batched_loop_on_tensors_equals_the_one_on_arrays(entry):
    tab = entry.make(N).tableau(np.outer([0.5, 1.0], STEPS["warm-up"]))
    x1 = np.stack([X1, 2 * X1])
    expect_same_loops(tab, x1)


def played(optimizer, w, gamma):
    """The parameter before every step and after the last, with the steps of gamma."""
    points = []
    for step in gamma:
        points.append(w.detach().numpy().copy())
        optimizer.param_groups[0]["lr"] = float(step)
        w.grad = bent(w.detach())
        optimizer.step()
    return np.array([*points, w.detach().numpy()])


def expect_torch_sgd(gamma, momentum):
    w = torch.nn.Parameter(torch.tensor(X1))
    theirs = played(torch.optim.SGD([w], lr=1.0, momentum=momentum), w, gamma)
    ours = [x for x, *_ in iterate(HeavyBall(momentum).tableau(gamma), X1, bent)]
    np.testing.assert_allclose([X1, *ours], theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@every_schedule
def test_heavy_ball_is_torch_sgd_for_every_schedule(entry, momentum):
    expect_torch_sgd(0.1 * entry.make(N)(N), momentum)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@every_steps
def test_heavy_ball_is_torch_sgd_with_steps_of_zero(gamma, momentum):
    expect_torch_sgd(gamma, momentum)


def expect_published(optimizer, w, ours, gamma):
    """Our y, x, z are their parameter in training mode, in evaluation mode, and their state."""
    optimizer.train()
    theirs = played(optimizer, w, gamma)
    steps = list(iterate(ours.tableau(gamma), X1, bent))
    np.testing.assert_allclose([y for _, y, _, _ in steps], theirs[:-1], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(steps[-1][2], optimizer.state[w]["z"], rtol=1e-12, atol=1e-14)
    optimizer.eval()
    np.testing.assert_allclose(steps[-1][0], w.detach(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("r", "power"), [(0, 2), (0, 0), (1, 2), (2, 1)])
@pytest.mark.parametrize("beta", [0.3, 0.9, 0.98])
@every_steps
def test_schedule_free_is_the_published_optimizer(gamma, beta, r, power):
    w = torch.nn.Parameter(torch.tensor(X1))
    theirs = schedulefree.SGDScheduleFree([w], momentum=beta, r=r, weight_lr_power=power)
    ours = ScheduleFree(beta, r=r, power=power, start_counts=False)
    expect_published(theirs, w, ours, gamma)


@every_schedule
def test_schedule_free_is_the_published_optimizer_for_every_schedule(entry):
    w = torch.nn.Parameter(torch.tensor(X1))
    theirs = schedulefree.SGDScheduleFree([w], momentum=0.9)
    expect_published(theirs, w, ScheduleFree(0.9, start_counts=False), 0.1 * entry.make(N)(N))


@pytest.mark.parametrize("W", [0, 1, 5, 2 * N])
def test_the_warm_up_schedule_is_the_published_warm_up(W):
    w = torch.nn.Parameter(torch.tensor(X1))
    theirs = schedulefree.SGDScheduleFree([w], lr=0.2, momentum=0.9, warmup_steps=W)
    theirs.train()
    for _ in range(N):
        w.grad = bent(w.detach())
        theirs.step()
    theirs.eval()
    tab = ScheduleFree(0.9, start_counts=False).tableau(0.2 * Warmup(steps=W)(N))
    *_, (x, _, z, _) = iterate(tab, X1, bent)
    np.testing.assert_allclose(x, w.detach(), rtol=1e-12)
    np.testing.assert_allclose(z, theirs.state[w]["z"], rtol=1e-12)
