"""Networks and naive definitions that the probe's tests share."""

import torch


class Scale(torch.nn.Module):
    """A single number as a parameter, without axes."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        return self.gain * x


def network(dtype=torch.float64):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 7),
        torch.nn.Tanh(),
        torch.nn.Sequential(torch.nn.Linear(7, 4, bias=False), Scale()),
    ).to(dtype)


def batch(t, n=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(100 + t)
    return torch.randn(n, 5, generator=generator, dtype=torch.float64).to(dtype)


def loss_of(model, x):
    return (model(x) - x[:, :4]).square().mean()


def train(model, optimizer, steps, start=0):
    """Plain training; returns the parameters after every step."""
    points = []
    for t in range(start, start + steps):
        optimizer.zero_grad()
        loss_of(model, batch(t, dtype=next(model.parameters()).dtype)).backward()
        optimizer.step()
        points.append([p.detach().clone() for p in model.parameters()])
    return points


def table(probe):
    """The frame as {(step, module, metric): value}."""
    return {(s, module, metric): value for s, module, metric, value in probe.frame().rows()}


def members(model, module):
    """Index of the parameters in a module, from their names alone."""
    names = [name for name, _ in model.named_parameters()]
    return [
        i for i, name in enumerate(names) if module in ("", name) or name.startswith(module + ".")
    ]


def joined(tensors, which):
    return torch.cat([tensors[i].detach().double().reshape(-1) for i in which])
