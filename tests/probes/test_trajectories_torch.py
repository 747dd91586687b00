"""A probe changes nothing: with it and without it the parameters are equal, bit for bit."""

from itertools import chain

import pytest
import schedulefree
import torch
from networks import batch, loss_of, network, train

from sftheory.optim import ScheduleFreeAdamW, ScheduleFreeSGD
from sftheory.probes import METRICS, probe

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=0.02),
    "adamw fused": lambda p: torch.optim.AdamW(p, lr=0.02, fused=True),
    "adamw foreach": lambda p: torch.optim.AdamW(p, lr=0.02, foreach=True),
    "adamw capturable": lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.02), foreach=False),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    "published schedule-free": lambda p: schedulefree.AdamWScheduleFree(p, lr=0.02),
    "schedule-free sgd": lambda p: ScheduleFreeSGD(p, lr=0.3, momentum=0.9),
    "polyak": lambda p: ScheduleFreeSGD(p, lr=0.3, momentum=0.0),
    "schedule-free adamw": lambda p: ScheduleFreeAdamW(p, lr=0.02, weight_decay=0.1),
    "sgd, one pass": lambda p: ScheduleFreeSGD(p, lr=0.3, compile=True),
    "adamw, one pass": lambda p: ScheduleFreeAdamW(p, lr=0.02, weight_decay=0.1, compile=True),
    "momentum, one pass": lambda p: ScheduleFreeAdamW(p, lr=0.02, inner_momentum=0.5, compile=True),
}


def final(make, every, dtype=torch.float32):
    model = network(dtype)
    optimizer = make(model.parameters())
    if hasattr(optimizer, "train"):
        optimizer.train()
    if every:
        with probe(optimizer, model, every=every):
            return train(model, optimizer, 7), optimizer
    return train(model, optimizer, 7), optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("every", [1, 3])
def test_parameters_and_state_are_equal_bit_for_bit(name, every):
    with_probe, one = final(OPTIMIZERS[name], every)
    without, other = final(OPTIMIZERS[name], 0)
    for here, there in zip(with_probe, without, strict=True):
        for p, q in zip(here, there, strict=True):
            assert torch.equal(p, q)
    for s, r in zip(one.state.values(), other.state.values(), strict=True):
        for key in r:
            assert torch.equal(torch.as_tensor(s[key]), torch.as_tensor(r[key]))


class Noisy(torch.nn.Module):
    """Dropout draws random numbers, and batch normalisation counts batches."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6), torch.nn.Dropout(0.3)
        )
        self.head = torch.nn.Linear(6, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


@pytest.mark.parametrize("probed", [["sharpness", "preconditioned_sharpness"], None])
def test_sampling_the_curvature_leaves_random_numbers_and_buffers_alone(probed):
    def run(attach):
        torch.manual_seed(0)
        model = Noisy()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        fixed = batch(99, dtype=torch.float32)
        if attach:
            probe(optimizer, model, metrics=probed, loss=lambda: loss_of(model, fixed))
        return train(model, optimizer, 4), model.state_dict()

    (with_probe, here), (without, there) = run(True), run(False)
    for p, q in zip(chain(*with_probe), chain(*without), strict=True):
        assert torch.equal(p, q)
    assert all(torch.equal(here[key], there[key]) for key in there)


def test_gradients_stay_what_they_were():
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    fixed = batch(5)
    probe(optimizer, model, metrics=METRICS.names(), loss=lambda: loss_of(model, fixed))
    loss_of(model, batch(0)).backward()
    kept = [p.grad.clone() for p in model.parameters()]
    optimizer.step()
    for p, g in zip(model.parameters(), kept, strict=True):
        assert torch.equal(p.grad, g)


def test_a_closed_probe_has_no_hooks_left():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log = probe(optimizer, model)
    train(model, optimizer, 2)
    log.close()
    log.close()
    train(model, optimizer, 2)
    assert log.frame()["step"].max() == 1 and log.step == 2
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())
