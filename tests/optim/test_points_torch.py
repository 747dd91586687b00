"""x, y and z: averaged(), train() and eval(), and what happens at the wrong one."""

import copy

import numpy as np
import pytest
import torch
from optimizer_cases import CASES, ONE_POINT, loss_of, model, one, points, take, train

from sftheory import optim
from sftheory.core.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def trained(name, steps=9, dtype=torch.float32):
    net = model(dtype)
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(steps))
    return net, optimizer


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_averaged_restores_y_bit_for_bit(name, dtype):
    net, optimizer = trained(name, dtype=dtype)
    y = points(net)
    with optimizer.averaged():
        assert torch.equal(points(net), y) == (name in ONE_POINT)
        with optimizer.averaged():
            pass
        assert torch.equal(points(net), y) == (name in ONE_POINT)
    assert torch.equal(points(net), y)


def test_averaged_restores_y_after_an_error():
    net, optimizer = trained("adamw")
    y = points(net)
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    assert torch.equal(points(net), y)
    one(optimizer, net, 9)


@every_case
def test_modes_are_idempotent_and_return_the_optimizer(name):
    net, optimizer = trained(name)
    y = points(net)
    assert optimizer.eval() is optimizer
    x = points(net)
    assert optimizer.eval() is optimizer
    assert torch.equal(points(net), x)
    assert optimizer.train() is optimizer
    assert optimizer.train() is optimizer
    assert torch.equal(points(net), y)


@every_case
def test_evaluation_leaves_no_trace(name):
    (plain, a), (visited, b) = trained(name, 0), trained(name, 0)
    for t in range(8):
        one(a, plain, t)
        with b.averaged(), torch.no_grad():
            loss_of(visited, t)
        one(b, visited, t)
    assert torch.equal(points(plain), points(visited))


@every_case
def test_a_step_at_x_raises(name):
    net, optimizer = trained(name)
    with optimizer.averaged():
        x = points(net)
        with pytest.raises(RuntimeError, match=r"step\(\) came while"):
            take(optimizer)
        assert torch.equal(points(net), x)


def test_a_backward_at_x_raises_and_one_at_y_has_no_hook():
    net, optimizer = trained("adamw")
    with optimizer.averaged(), pytest.raises(RuntimeError, match=r"backward\(\) came while"):
        loss_of(net, 0).backward()
    assert all(not p._post_accumulate_grad_hooks for p in net.parameters())
    loss_of(net, 0).backward()


def test_gradients_at_x_that_are_not_accumulated_are_allowed():
    net, optimizer = trained("adamw")
    with optimizer.averaged():
        assert torch.autograd.grad(loss_of(net, 0), [net.scale])[0].isfinite()


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_averaged_state_dict_is_x_and_touches_nothing(beta):
    net = model()
    optimizer = optim.ScheduleFreeSGD(net.parameters(), lr=0.1, momentum=beta)
    train(optimizer, net, range(5))
    y = points(net)
    exported = optimizer.averaged_state_dict(net)
    assert torch.equal(points(net), y)
    with optimizer.averaged():
        inside = {k: v.clone() for k, v in net.state_dict().items()}
        again = optimizer.averaged_state_dict(net)
    assert exported.keys() == again.keys() == inside.keys()
    assert all(torch.equal(exported[k], inside[k]) for k in inside)
    assert all(torch.equal(again[k], inside[k]) for k in inside)
    other = model(seed=5)
    other.load_state_dict(exported)
    train(optimizer, net, range(5, 8))
    assert all(torch.equal(exported[k], inside[k]) for k in inside), "an alias of training"
    assert other.inner.weight is other.outer.weight


def test_averaged_state_dict_of_another_model_is_refused():
    _, optimizer = trained("adamw")
    with pytest.raises(InputError, match="not one of the model's"):
        optimizer.averaged_state_dict(model())


@pytest.mark.parametrize("mode", ["x", "y"])
def test_a_group_joins_at_the_point_that_the_others_hold(mode):
    net, optimizer = trained("adamw")
    late = torch.nn.Parameter(torch.ones(3))
    if mode == "x":
        optimizer.eval()
    optimizer.add_param_group({"params": [late]})
    if mode == "x":
        with pytest.raises(RuntimeError, match="backward"):
            late.sum().backward()
        late.grad = None
        optimizer.train()
    for t in range(4):
        late.grad = torch.ones(3)
        net.zero_grad()
        loss_of(net, t).backward()
        optimizer.step()
    y = late.detach().clone()
    z = optimizer.state[late]["z"]
    optimizer.eval()
    torch.testing.assert_close(late.detach(), (y - 0.1 * z) / 0.9)
    assert not torch.equal(late.detach(), y)


@every_case
def test_a_deep_copy_trains_on_alike(name):
    net, optimizer = trained(name)
    twin, other = copy.deepcopy((net, optimizer))
    train(optimizer, net, range(9, 12))
    train(other, twin, range(9, 12))
    assert torch.equal(points(net), points(twin))
    assert other.param_groups[0]["params"][0] is next(twin.parameters())


def test_parameters_without_a_gradient_are_their_own_average():
    net = model()
    net.inner.bias.requires_grad_(False)
    optimizer = optim.ScheduleFreeAdamW(net.parameters(), lr=0.1)
    before = net.inner.bias.clone()
    train(optimizer, net, range(4))
    with optimizer.averaged():
        assert torch.equal(net.inner.bias, before)
    assert net.inner.bias not in optimizer.state


@pytest.mark.parametrize("make", ["sgd", "wrapper"])
def test_a_small_beta_loses_no_digits_of_x(make):
    found = []
    for dtype in (torch.float32, torch.float64):
        w = torch.nn.Parameter(torch.linspace(-1, 1, 50, dtype=dtype))
        if make == "sgd":
            optimizer = optim.ScheduleFreeSGD([w], lr=0.1, momentum=1e-4)
        else:
            optimizer = optim.ScheduleFree(torch.optim.SGD([w], lr=0.1), momentum=1e-4)
        for _ in range(50):
            w.grad = w.detach().sin()
            optimizer.step()
        with optimizer.averaged():
            found.append(w.detach().double().clone())
    torch.testing.assert_close(*found, rtol=0, atol=1e-6)


# Identities of the three sequences, in float64.


def test_without_interpolation_x_is_the_mean_of_sgds_iterates():
    w, v = (torch.nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2))
    ours = optim.ScheduleFreeSGD([w], lr=0.1, momentum=0.0)
    sgd = torch.optim.SGD([v], lr=0.1)
    iterates = []
    for _ in range(10):
        w.grad, v.grad = w.detach().sin(), v.detach().sin()
        ours.step()
        sgd.step()
        iterates.append(v.detach().clone())
    with ours.averaged():
        torch.testing.assert_close(w.detach(), torch.stack(iterates).mean(0), rtol=1e-14, atol=0)


def test_primal_averaging_is_heavy_ball_with_its_momentum():
    gamma, w = 0.1, torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    optimizer = optim.ScheduleFreeSGD([w], lr=gamma, momentum=1.0)
    x, v = w.detach().clone(), torch.zeros(4, dtype=torch.float64)
    for t in range(1, 30):
        c, before = 1 / t, 1 / (t - 1) if t > 1 else 1.0
        v = c * (1 - before) / before * v - gamma * c * x.sin()
        x = x + v
        w.grad = w.detach().sin()
        optimizer.step()
        torch.testing.assert_close(w.detach(), x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_uniform_weights_are_linear_decay_of_the_recorded_gradients(beta):
    T, gamma = 12, 0.1
    w = torch.nn.Parameter(torch.ones(4, dtype=torch.float64))
    optimizer = optim.ScheduleFreeSGD([w], lr=gamma, momentum=beta)
    expected = w.detach().clone()
    for t in range(T):
        w.grad = w.detach().sin()
        expected = expected - gamma * (1 - t / T) * w.grad
        optimizer.step()
    with optimizer.averaged():
        torch.testing.assert_close(w.detach(), expected, rtol=1e-14, atol=1e-14)


def test_a_large_C_is_the_base_optimizer():
    w, v = (torch.nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2))
    ours, adam = optim.ScheduleFreeAdamW([w], C=1e9), torch.optim.Adam([v], 0.0025, (0.0, 0.999))
    for _ in range(10):
        w.grad, v.grad = w.detach().sin(), v.detach().sin()
        ours.step()
        adam.step()
    torch.testing.assert_close(w.detach(), v.detach(), rtol=1e-13, atol=0)


def test_C_of_the_published_value_changes_nothing():
    runs = []
    for C in (None, 2.0):
        net = model(torch.float64)
        optimizer = optim.ScheduleFreeAdamW(net.parameters(), betas=(0.5, 0.9), C=C)
        train(optimizer, net, range(9))
        runs.append(points(net))
    assert torch.equal(*runs)


def test_float32_follows_the_three_sequence_form_for_2000_steps():
    w = torch.nn.Parameter(torch.linspace(-0.5, 0.5, 50))
    optimizer = optim.ScheduleFreeAdamW([w], lr=0.003)
    x = z = w.detach().clone()
    v = torch.zeros(50)
    for t in range(1, 2001):
        g = torch.randn(50, generator=torch.Generator().manual_seed(t))
        w.grad = g
        optimizer.step()
        v = 0.999 * v + 0.001 * g * g
        z = z - 0.003 * g / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        x = (1 - 1 / t) * x + z / t
    with optimizer.averaged():
        np.testing.assert_allclose(w.detach(), x, atol=2e-6)


class Silent:
    """What a framework may put around an optimizer: it steps, and drops train() and eval()."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def __getattr__(self, name):
        if name in ("zero_grad", "step", "state_dict", "param_groups", "clipped"):
            return getattr(self.optimizer, name)
        raise AttributeError(name)

    def train(self):
        pass

    eval = train


@pytest.mark.parametrize("name", CASES)
def test_a_framework_that_drops_train_and_eval_changes_nothing(name):
    net, plain = model(), model()
    optimizer, alone = (CASES[name](list(m.parameters())) for m in (net, plain))
    wrapped = Silent(optimizer)
    for t in range(4):
        wrapped.train()
        one(wrapped, net, t)
        wrapped.eval()
        assert optimizer.holds == "y"  # whoever asks learns that the call did not arrive
        one(alone, plain, t)
    assert torch.equal(points(net), points(plain))
    assert wrapped.state_dict()["param_groups"][0]["holds"] == "y"
    for p, q in zip(
        optimizer.averaged_state_dict(net).values(),
        alone.averaged_state_dict(plain).values(),
        strict=True,
    ):
        assert torch.equal(p, q)
