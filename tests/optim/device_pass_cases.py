"""Steps for the kernel on CUDA; run as a program, takes them in Triton's interpreter.

The interpreter has to be chosen before triton is imported, hence a process of its own.
"""

import sys

import numpy as np
import torch
from optimizer_cases import CASES, model, points, train

from sftheory.optim import device_kernel, device_pass, one_step
from sftheory.optim.arithmetic import Direction, Move, adaptive, plain
from sftheory.optim.pieces import Scratch

KEEPS = Move.between(0.05, 0.3, 0.9, 0.9, 1.0)
ANNEALS = Move.between(0.05, 0.3, 0.95, 0.9, -0.4)
DEVICE = Move.between(*(torch.tensor(a, dtype=torch.float64) for a in (0.05, 0.3)), 0.9, 0.9, 1.0)
SIZES = (1, 3, 1023, 1024, 1025, 0, 2500)


def adam(n=3, **options):
    return adaptive(
        n, beta2=0.97, **{"eps": 1e-6, "maximize": False, "decay": 0.0, "at": "y"} | options
    )


STEPS = {  # direction, move, the points that a row has
    "adam": (adam(), KEEPS, "yzgv"),
    "adam, momentum": (adam(mu=0.8), KEEPS, "yzgvm"),
    "adam, decay at y": (adam(decay=0.3), KEEPS, "yzgv"),
    "adam, decay at z": (adam(decay=0.3, at="z", mu=0.5), KEEPS, "yzgvm"),
    "adam, maximize": (adam(maximize=True, decay=0.3), ANNEALS, "yzgv"),
    "adam, another beta": (adam(n=1), ANNEALS, "yzgv"),
    "adam, numbers on the device": (
        adam(decay=torch.tensor(0.3, dtype=torch.float64)),
        DEVICE,
        "yzgv",
    ),
    "adam, captured": (
        adam(n=torch.tensor(3.0, dtype=torch.float64), mu=0.8, decay=0.3),
        DEVICE,
        "yzgvm",
    ),
    "plain": (plain(maximize=False, decay=0.0), KEEPS, "yzg"),
    "plain, maximize, decay": (plain(maximize=True, decay=0.2), ANNEALS, "yzg"),
    "plain, decay at z": (plain(maximize=False, decay=0.2, at="z"), KEEPS, "yzg"),
    "momentum": (Direction(1.0, mu=0.8), KEEPS, "yzgm"),
    "v gathered": (Direction(1.0, 0.97, divides=False), KEEPS, "yzgv"),
    "no average": (adam(mu=0.8, decay=0.1), KEEPS, "ygvm"),
}
SUMS = (0, 1, 2)  # g (z - y), |g|, g²
LAYOUTS = {  # sizes of the tensors, entries by which they miss 16 bytes
    "sizes": (SIZES, 0),
    "off 16 bytes": (SIZES, 1),
    "many tensors": (tuple(range(1, 31)), 0),
    "nothing": ((0, 0), 0),
}
TRAINED = ("sgd", "adamw", "adamw, refined", "adamw, at z", "radam", "radam, loud", "gpa")
TRAINED = (*TRAINED, "adamc", "polyak", "plus")
TRAINING = 5


def rows(names, layout):
    """The same random tensors each time; one gradient is not finite."""
    sizes, skipped = LAYOUTS[layout]
    generator = torch.Generator().manual_seed(0)
    made = []
    for n in sizes:
        whole = {k: torch.randn(n + skipped, generator=generator) for k in names}
        made.append({k: (t.square() if k == "v" else t)[skipped:] for k, t in whole.items()})
    if len(made) > 1 and sizes[1] == 3:
        made[1]["g"][:] = torch.tensor([np.inf, -np.inf, np.nan])
    return made


def finite(some):
    """The rows whose gradients are finite."""
    return [row for row in some if row["g"].isfinite().all()]


def trained(name):
    """The parameters after some steps of an optimizer, and its own average."""
    net = model()
    optimizer = CASES[name](list(net.parameters()), compile=True)
    train(optimizer, net, range(TRAINING))
    y = points(net)
    with optimizer.averaged():
        return torch.stack([y, points(net)])


def main(path):
    found, launches = {}, []
    for layout in LAYOUTS:
        for name, (how, move, names) in STEPS.items():
            if layout == "sizes" or name == "adam, momentum":
                moved = rows(names, layout)
                device_pass.step(moved, how, move, Scratch())
                found |= {f"{layout}/{name}/{i}{k}": r[k] for i, r in enumerate(moved) for k in r}
        for what in SUMS:
            added = finite(rows("yzg", layout))
            found[f"{layout}/sum {what}"] = device_pass.total(added, what, Scratch())
    step = device_pass.step

    def counted(*arguments):
        launches.append(arguments)
        step(*arguments)

    device_pass.DEVICES.add("cpu")
    device_pass.step, one_step._one_pass = counted, lambda *_: False
    for name in TRAINED:
        launches.clear()
        found[f"trained/{name}"] = trained(name)
        found[f"launches/{name}"] = torch.tensor(len(launches))
    interpreted = type(device_kernel.move).__name__ == "InterpretedFunction"
    np.savez(path, interpreted=interpreted, **{k: t.numpy() for k, t in found.items()})


if __name__ == "__main__":
    with np.errstate(invalid="ignore"):  # of the gradient that is not finite
        main(sys.argv[1])
