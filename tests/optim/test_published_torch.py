"""What the published schedulefree does, ours does too where they mean the same."""

import numpy as np
import pytest
import schedulefree
import torch
from optimizer_cases import loss_of, model, one, points

from sftheory import optim

PAIRS = {
    "sgd": (
        optim.ScheduleFreeSGD,
        schedulefree.SGDScheduleFree,
        [
            dict(),
            dict(momentum=0.5, weight_decay=0.1),
            dict(warmup_steps=7, r=1.0, weight_lr_power=1.0),
        ],
        0.1,
    ),
    "adamw": (
        optim.ScheduleFreeAdamW,
        schedulefree.AdamWScheduleFree,
        [
            dict(),
            dict(betas=(0.95, 0.99), weight_decay=0.2, eps=1e-4),
            dict(warmup_steps=7, r=2.0, weight_lr_power=0.0),
        ],
        0.01,
    ),
    "radam": (
        optim.ScheduleFreeRAdam,
        schedulefree.RAdamScheduleFree,
        [
            dict(),
            dict(betas=(0.95, 0.9), weight_decay=0.2, eps=1e-4),
            dict(silent_sgd_phase=False, r=1.0, weight_decay=0.1),
        ],
        0.01,
    ),
}
CASES = [(f, g, k, lr) for f, g, ks, lr in PAIRS.values() for k in ks]


def expect_equal(ours, theirs, mine, yours, steps=20, schedule=None):
    theirs.train()
    ours.train()
    for t in range(steps):
        if schedule is not None:
            for optimizer in (ours, theirs):
                optimizer.param_groups[0]["lr"] = schedule[t]
        for optimizer, net in ((ours, mine), (theirs, yours)):
            net.zero_grad()
            loss_of(net, t).backward()
            optimizer.step()
    np.testing.assert_allclose(points(mine), points(yours), rtol=1e-11, atol=1e-12)
    ours.eval()
    theirs.eval()
    np.testing.assert_allclose(points(mine), points(yours), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize(("our", "their", "options", "lr"), CASES)
def test_training_is_the_published_optimizers(our, their, options, lr, compile):
    mine, yours = model(torch.float64), model(torch.float64)
    ours = our(mine.parameters(), lr=lr, compile=compile, **options)
    theirs = their(yours.parameters(), lr=lr, foreach=compile, **options)
    expect_equal(ours, theirs, mine, yours)


@pytest.mark.parametrize(("our", "their", "options", "lr"), CASES)
def test_training_with_a_schedule_is_the_published_optimizers(our, their, options, lr):
    mine, yours = model(torch.float64), model(torch.float64)
    schedule = (lr * np.linspace(1, 0, 20) ** 2).tolist()
    expect_equal(
        our(mine.parameters(), lr=lr, **options),
        their(yours.parameters(), lr=lr, **options),
        mine,
        yours,
        schedule=schedule,
    )


@pytest.mark.parametrize("options", [dict(), dict(momentum=0.5, r=1.0, weight_lr_power=1.0)])
@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("base", ["SGD", "Adam"])
def test_the_wrapper_is_the_published_wrapper(base, decay, options):
    mine, yours = model(torch.float64), model(torch.float64)
    for net in (mine, yours):  # the published wrapper cannot swap a 0-dimensional parameter
        net.scale = torch.nn.Parameter(net.scale.detach().reshape(1))
    make = getattr(torch.optim, base)
    theirs = schedulefree.ScheduleFreeWrapper(
        make(yours.parameters(), lr=0.05), weight_decay_at_y=decay, **options
    )
    if base != "SGD":  # the published wrapper fails before the base has its state
        loss_of(yours, 0).backward()
        theirs.base.step()
        loss_of(mine, 0).backward()
    base_optimizer = make(mine.parameters(), lr=0.05)
    if base != "SGD":
        base_optimizer.step()
    ours = optim.ScheduleFree(base_optimizer, weight_decay_at_y=decay, **options)
    expect_equal(ours, theirs, mine, yours)


def test_the_first_step_needs_no_call_of_train():
    net = model()
    before = points(net)
    one(optim.ScheduleFreeAdamW(net.parameters()), net, 0)
    assert not torch.equal(points(net), before)
