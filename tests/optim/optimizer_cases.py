"""Every optimizer of the family with options that exercise its state, and how to drive one."""

import torch

from sftheory.optim import (
    AdamC,
    GPAAdamW,
    PolyakScheduleFreeSGD,
    ScheduleFree,
    ScheduleFreeAdamW,
    ScheduleFreePlus,
    ScheduleFreeRAdam,
    ScheduleFreeSGD,
)

optim = torch.optim
CASES = {
    "sgd": lambda p, **k: ScheduleFreeSGD(p, lr=0.05, weight_decay=0.01, **k),
    "sgd, beta 0": lambda p, **k: ScheduleFreeSGD(p, lr=0.05, momentum=0.0, **k),
    "sgd, beta 1": lambda p, **k: ScheduleFreeSGD(p, lr=0.05, momentum=1.0, **k),
    "sgd, uniform": lambda p, **k: ScheduleFreeSGD(
        p, lr=0.05, weights="uniform", start_counts=True, **k
    ),
    "adamw": lambda p, **k: ScheduleFreeAdamW(p, lr=0.01, weight_decay=0.1, warmup_steps=4, **k),
    "adamw, beta 0": lambda p, **k: ScheduleFreeAdamW(p, lr=0.01, betas=(0.0, 0.99), **k),
    "adamw, refined": lambda p, **k: ScheduleFreeAdamW(
        p, lr=0.01, C=30.0, inner_momentum=0.5, weight_decay=0.1, corrected_decay=True, **k
    ),
    "adamw, at z": lambda p, **k: ScheduleFreeAdamW(
        p, lr=0.01, weight_decay=0.1, decay_at="z", averaging_warmup=3, **k
    ),
    "radam": lambda p, **k: ScheduleFreeRAdam(p, lr=0.02, betas=(0.9, 0.9), **k),
    "radam, loud": lambda p, **k: ScheduleFreeRAdam(p, lr=0.02, silent_sgd_phase=False, **k),
    "gpa": lambda p, **k: GPAAdamW(p, lr=0.01, betas=(0.5, 0.99), weight_decay=0.1, **k),
    "adamc": lambda p, **k: AdamC(p, lr=0.01, weight_decay=0.1, warmup_steps=3, **k),
    "polyak": lambda p, **k: PolyakScheduleFreeSGD(p, f_star=-1.0, lr=0.5, **k),
    "plus": lambda p, **k: ScheduleFreePlus(
        p, lr=0.05, weight_decay=2.0, sf_beta1_anneal_steps=6, polyak_beta=0.5, c_warmup=2, **k
    ),
    "around sgd": lambda p, **k: ScheduleFree(optim.SGD(p, lr=0.05, momentum=0.5), **k),
    "around sgd, beta 0": lambda p, **k: ScheduleFree(optim.SGD(p, lr=0.05), momentum=0.0, **k),
    "around adamw": lambda p, **k: ScheduleFree(
        optim.AdamW(p, lr=0.01), weight_decay_at_y=0.1, **k
    ),
    "around rmsprop": lambda p, **k: ScheduleFree(optim.RMSprop(p, lr=0.01), **k),
    "around adafactor": lambda p, **k: ScheduleFree(optim.Adafactor(p, lr=0.01), **k),
}
WITHOUT_AVERAGE = {"adamc"}
ONE_POINT = {"adamc", "sgd, beta 1"}  # where y and x agree


def model(dtype=torch.float32, seed=0):
    """A small network with a bias, a 0-dimensional parameter and tied weights."""
    generator = torch.Generator().manual_seed(seed)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(4, 4)
            self.outer = torch.nn.Linear(4, 4)
            self.outer.weight = self.inner.weight
            self.scale = torch.nn.Parameter(torch.tensor(1.0))
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            return self.scale * self.outer(torch.tanh(self.inner(x)))

    net = Net()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / 2)
    return net.to(dtype)


def loss_of(net, t):
    """A loss that depends on the step t alone."""
    generator = torch.Generator().manual_seed(1000 + t)
    dtype = next(net.parameters()).dtype
    inputs = torch.randn(8, 4, generator=generator).to(dtype)
    return (net(inputs) - inputs.flip(-1)).float().square().mean()


def one(optimizer, net, t):
    """One training step."""
    optimizer.zero_grad()
    loss = loss_of(net, t)
    loss.backward()
    take(optimizer, loss)
    return loss.detach()


def take(optimizer, loss=1.0):
    """step(), with the loss where the optimizer wants it."""
    if hasattr(optimizer, "clipped"):
        optimizer.step(loss=loss)
    else:
        optimizer.step()


def train(optimizer, net, steps):
    """Training steps numbered as in `steps`."""
    for t in steps:
        one(optimizer, net, t)


def points(net):
    """All parameters as one vector."""
    return torch.cat([p.detach().flatten().clone() for p in net.parameters()])
