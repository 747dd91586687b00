"""Steps from the loss: against the controller, a plain loop, and what goes wrong elsewhere."""

import math

import numpy as np
import pytest
import torch
from optimizer_cases import loss_of, model, one, points

import sftheory as sft
from sftheory.core.errors import InputError
from sftheory.optim import PolyakScheduleFreeSGD, ScheduleFreePlus


def quartic(w):
    return (w**4).sum() / 4 + (w - 1).abs().sum() + 0.3


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_polyak_schedule_free_is_the_controller_run_on_a_problem(beta, scale):
    problem = sft.problems.MaxLinear(d=5, rows=8)
    N = 30
    traj = sft.run(
        problem, sft.methods.PolyakScheduleFree(beta, scale=scale), steps=N, record="all"
    )
    w = torch.nn.Parameter(torch.tensor(problem.x1))
    optimizer = PolyakScheduleFreeSGD([w], lr=scale, momentum=beta, f_star=problem.f_star)
    for t in range(N):
        np.testing.assert_allclose(w.detach(), traj.y[0, t], rtol=1e-10, atol=1e-11)
        value, g = problem.oracle(w.detach().numpy(), None)
        w.grad = torch.tensor(g)
        optimizer.step(loss=float(value))
        gamma = traj.tableau.gamma[0, t]
        assert float(optimizer.param_groups[0]["scheduled_lr"]) == pytest.approx(gamma, rel=1e-9)
    with optimizer.averaged():
        np.testing.assert_allclose(w.detach(), traj.x[0, N], rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("beta", [0.0, 0.9, 1.0])
def test_polyak_schedule_free_keeps_its_guarantee_at_every_step(beta):
    w = torch.nn.Parameter(torch.tensor([3.0, -4.0], dtype=torch.float64))
    optimizer = PolyakScheduleFreeSGD([w], momentum=beta)
    for t in range(1, 60):
        optimizer.zero_grad()
        loss = w.abs().max()
        loss.backward()
        optimizer.step(loss=loss)
        with optimizer.averaged():
            assert w.detach().abs().max() <= 5 / math.sqrt(t + 1) * (1 + 1e-12)


PLUS = {
    "defaults": dict(),
    "annealed": dict(sf_beta1=0.8, sf_beta1_anneal_steps=12),
    "averaged norm": dict(polyak_beta=0.9),
    "decay, warm-up and weights": dict(weight_decay=5.0, c_warmup=4, r=2.0, eps=1e-3),
    "no momentum": dict(betas=(0.0, 0.95), lr=0.5),
    "all": dict(
        weight_decay=5.0,
        c_warmup=4,
        r=2.0,
        polyak_beta=0.9,
        sf_beta1=0.8,
        sf_beta1_anneal_steps=12,
        f_star=0.2,
    ),
}


def written_out(w, grads_and_losses, options, steps):
    """ScheduleFree+ with x, y, z and every scalar spelled out, in float64."""
    o = dict(lr=1.0, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, sf_beta1=0.9, r=0.0)
    o |= dict(sf_beta1_max=0.965, sf_beta1_anneal_steps=0, polyak_beta=0.0, f_star=0.0, c_warmup=0)
    o |= options
    x = y = z = w
    m = v = torch.zeros_like(w)
    e = largest = total = 0.0
    alphas = []
    for k in range(steps):
        loss, g = grads_and_losses(y)
        share = min(k / o["sf_beta1_anneal_steps"], 1) if o["sf_beta1_anneal_steps"] else 0
        logs = [math.log(1 - b) for b in (o["sf_beta1"], o["sf_beta1_max"])]
        beta = 1 - math.exp((1 - share) * logs[0] + share * logs[1])
        inner = float((g * (z - y)).sum())
        p = o["polyak_beta"]
        e = p * e + (1 - p) * math.sqrt(math.pi / 2) * float(g.abs().sum())
        alpha = o["lr"] * max(0.0, loss - o["f_star"] + inner) / (e / (1 - p ** (k + 1)))
        largest = max(largest, alpha)
        if k < o["c_warmup"]:
            c = 1.0
        else:
            weight = (k + 1) ** o["r"] * largest**2
            total += weight
            c = weight / total
        b1, b2 = o["betas"]
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        u = (m / (1 - b1 ** (k + 1))) / ((v / (1 - b2 ** (k + 1))).sqrt() + o["eps"])
        z = z - alpha**2 * o["weight_decay"] * y - alpha * u
        x = (1 - c) * x + c * z
        y = beta * x + (1 - beta) * z
        alphas.append(alpha)
    return x, y, z, alphas


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize("options", PLUS.values(), ids=PLUS)
def test_schedule_free_plus_is_its_loop_written_out(options, compile):
    start = torch.randn(6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def evaluate(y):
        y = y.clone().requires_grad_()
        loss = quartic(y)
        return loss.item(), torch.autograd.grad(loss, y)[0]

    x, y, z, alphas = written_out(start, evaluate, options, 20)
    parts = [torch.nn.Parameter(start[:2].clone()), torch.nn.Parameter(start[2:].clone())]
    optimizer = ScheduleFreePlus([{"params": [p]} for p in parts], compile=compile, **options)
    seen = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = quartic(torch.cat(list(parts)))
        loss.backward()
        optimizer.step(loss=loss)
        seen.append(float(optimizer.param_groups[1]["scheduled_lr"]))
    np.testing.assert_allclose(seen, alphas, rtol=1e-11)
    np.testing.assert_allclose(torch.cat(list(parts)).detach(), y, rtol=1e-11, atol=1e-12)
    zs = torch.cat([optimizer.state[p]["z"] for p in parts])
    np.testing.assert_allclose(zs, z, rtol=1e-11, atol=1e-12)
    with optimizer.averaged():
        np.testing.assert_allclose(torch.cat(list(parts)).detach(), x, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("options", [dict(), dict(beta=0.8, anneal=9, warmup=4, r=1.0)])
def test_schedule_free_plus_without_momentum_is_the_controller(options):
    problem = sft.problems.MaxLinear(d=5, rows=8)
    N = 30
    traj = sft.run(
        problem,
        sft.methods.ScheduleFreePlus(norm="one", scale=0.3, **options),
        steps=N,
        record="all",
        preconditioner=sft.simulation.Adam(beta2=0.95),
    )
    names = dict(beta="sf_beta1", anneal="sf_beta1_anneal_steps", warmup="c_warmup", r="r")
    w = torch.nn.Parameter(torch.tensor(problem.x1))
    optimizer = ScheduleFreePlus(
        [w],
        lr=0.3,
        betas=(0.0, 0.95),
        f_star=problem.f_star,
        **{names[k]: v for k, v in options.items()},
    )
    for t in range(N):
        np.testing.assert_allclose(w.detach(), traj.y[0, t], rtol=1e-9, atol=1e-10)
        value, g = problem.oracle(w.detach().numpy(), None)
        w.grad = torch.tensor(g)
        optimizer.step(loss=float(value))
    with optimizer.averaged():
        np.testing.assert_allclose(w.detach(), traj.x[0, N], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("polyak_beta", [0.0, 0.9])
def test_the_rate_on_constant_data_does_not_drift(polyak_beta):
    w = torch.nn.Parameter(torch.zeros(4, dtype=torch.float64))
    optimizer = ScheduleFreePlus([w], polyak_beta=polyak_beta, lr=1e-6)
    rates = []
    for _ in range(12):
        w.grad = torch.ones(4, dtype=torch.float64)
        optimizer.step(loss=1.0)
        rates.append(float(optimizer.param_groups[0]["scheduled_lr"]))
    np.testing.assert_allclose(rates, 1e-6 / (math.sqrt(math.pi / 2) * 4), rtol=1e-4)


@pytest.mark.parametrize("make", [PolyakScheduleFreeSGD, ScheduleFreePlus])
def test_the_inner_product_is_the_one_with_x(make):
    net = model(torch.float64)
    optimizer = make(net.parameters(), lr=0.1)
    for t in range(6):
        one(optimizer, net, t)
    net.zero_grad()
    loss_of(net, 6).backward()
    params = list(net.parameters())
    x = optimizer.averaged_state_dict(net)
    xs = dict(zip(params, (x[k] for k, _ in net.named_parameters()), strict=True))
    beta = optimizer.param_groups[0]["built_with"]
    direct = sum(float(beta * (p.grad * (optimizer.state[p]["z"] - xs[p])).sum()) for p in params)
    from sftheory.optim.gradients import Gradients

    slope = float(optimizer._slope(Gradients.of(optimizer.param_groups)))
    assert slope == pytest.approx(direct, rel=1e-9)


@pytest.mark.parametrize("make", [PolyakScheduleFreeSGD, ScheduleFreePlus])
class TestLosses:
    def test_a_loss_is_needed(self, make):
        w = torch.nn.Parameter(torch.ones(2))
        with pytest.raises(InputError, match=r"step\(loss=loss\)"):
            make([w]).step()

    @pytest.mark.parametrize("loss", [torch.ones(2), "0.5", True])
    def test_a_loss_is_one_number(self, make, loss):
        w = torch.nn.Parameter(torch.ones(2))
        w.grad = torch.ones(2)
        with pytest.raises(InputError, match="loss must be"):
            make([w]).step(loss=loss)

    def test_a_closure_gives_the_loss(self, make):
        runs = []
        for use_closure in (True, False):
            net = model()
            optimizer = make(net.parameters(), lr=0.1)
            for t in range(4):

                def closure(net=net, optimizer=optimizer, t=t):
                    optimizer.zero_grad()
                    loss = loss_of(net, t)
                    loss.backward()
                    return loss

                optimizer.step(closure) if use_closure else optimizer.step(loss=closure())
            runs.append(points(net))
        assert torch.equal(*runs)

    @pytest.mark.parametrize("loss", [math.nan, math.inf])
    def test_a_loss_that_is_not_finite_follows_the_policy(self, make, loss):
        outcomes = {}
        for policy in ("propagate", "raise", "skip"):
            net = model()
            optimizer = make(net.parameters(), lr=0.1, nonfinite=policy)
            one(optimizer, net, 0)
            before = points(net)
            if policy == "raise":
                with pytest.raises(FloatingPointError, match="The loss is"):
                    optimizer.step(loss=loss)
            else:
                optimizer.step(loss=torch.tensor(loss))
            outcomes[policy] = torch.equal(points(net), before), optimizer.skipped
        assert outcomes == {"propagate": (False, 0), "raise": (True, 0), "skip": (True, 1)}

    def test_a_loss_below_f_star_takes_no_step_and_is_counted(self, make):
        net = model()
        optimizer = make(net.parameters(), f_star=5.0)
        loss_of(net, 0).backward()
        before = points(net)
        optimizer.step(loss=0.5)
        torch.testing.assert_close(points(net), before, rtol=0, atol=0)
        assert int(optimizer.clipped) == 1 and int(optimizer.stalled) == 0

    def test_gradients_of_zero_take_no_step_and_are_counted(self, make):
        w = torch.nn.Parameter(torch.ones(3))
        optimizer = make([w])
        for _ in range(3):
            w.grad = torch.zeros(3)
            optimizer.step(loss=0.5)
        assert torch.equal(w.detach(), torch.ones(3))
        assert int(optimizer.stalled) == 3

    def test_the_counters_survive_a_checkpoint(self, make):
        w = torch.nn.Parameter(torch.ones(3))
        optimizer = make([w])
        w.grad = torch.zeros(3)
        optimizer.step(loss=0.5)
        other = make([w])
        other.load_state_dict(optimizer.state_dict())
        assert other.stalled == 1

    def test_the_step_reads_no_number_from_the_device(self, make, monkeypatch):
        w = torch.nn.Parameter(torch.ones(3))
        optimizer = make([w], compile=False)
        w.grad = torch.ones(3)
        optimizer.step(loss=torch.tensor(0.5))

        def refuse(_):
            raise AssertionError("read by the host")

        for name in ("item", "__float__", "__bool__", "__int__", "tolist"):
            monkeypatch.setattr(torch.Tensor, name, refuse)
        optimizer.step(loss=torch.tensor(0.5))
