"""Optimizer steps on one model, interleaved: ours against the published package and torch's.

A network with the shapes of a small language model, 9.5 million float32 parameters in 74 tensors.
Every round runs one step of each optimizer, and ratios are of medians over the rounds. The bars:
ScheduleFreeAdamW at most 0.30 of the published default step in one compiled pass and at most 0.60
without; at most 1.05 of torch's fused AdamW. Run with the number of threads as argument.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import schedulefree
import torch

from sftheory import optim

ROUNDS = 25
WIDTH = 256


def parameters() -> list[torch.nn.Parameter]:
    """The same random parameters and gradients each time."""
    d = WIDTH
    shapes = [(8192, d), (1024, d)]
    for _ in range(9):
        shapes += [(d,), (3 * d, d), (3 * d,), (d, d), (d,), (4 * d, d), (d, 4 * d), (d,)]
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    return params


def optimizers() -> dict[str, Callable[[], object]]:
    """The steps to time, by name."""
    published = schedulefree.AdamWScheduleFree(parameters(), weight_decay=0.1)
    published.train()
    base = torch.optim.RMSprop(parameters(), lr=1e-3)
    plus = optim.ScheduleFreePlus(parameters())
    return {
        "published AdamW (foreach)": published.step,
        "torch AdamW fused": torch.optim.AdamW(parameters(), fused=True).step,
        "torch AdamW foreach": torch.optim.AdamW(parameters(), foreach=True).step,
        "ScheduleFreeAdamW": optim.ScheduleFreeAdamW(parameters(), weight_decay=0.1).step,
        "ScheduleFreeAdamW, lists": optim.ScheduleFreeAdamW(
            parameters(), weight_decay=0.1, compile=False
        ).step,
        "ScheduleFreeSGD": optim.ScheduleFreeSGD(parameters()).step,
        "GPAAdamW": optim.GPAAdamW(parameters()).step,
        "AdamC": optim.AdamC(parameters()).step,
        "ScheduleFree(RMSprop)": optim.ScheduleFree(base).step,
        "ScheduleFreePlus": lambda: plus.step(loss=1.0),
    }


def main() -> None:
    """Print the median of each step and its ratios."""
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
    steps = optimizers()
    for step in steps.values():
        step()  # compilation and state
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    median = {name: statistics.median(t) for name, t in times.items()}
    published, fused = (median[n] for n in ("published AdamW (foreach)", "torch AdamW fused"))
    size = sum(p.numel() for p in parameters())
    print(f"{size:,} parameters, {torch.get_num_threads()} threads, {ROUNDS} interleaved rounds")
    print(f"{'step':28s} {'ms':>8s} {'/ published':>12s} {'/ fused':>9s}")
    for name, t in median.items():
        print(f"{name:28s} {t * 1e3:8.2f} {t / published:12.2f} {t / fused:9.2f}")


if __name__ == "__main__":
    main()
