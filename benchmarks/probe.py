"""The cost of a probe: a training step of a 10-million-parameter model with it and without it.

A transformer is trained on random tokens: ten steps without a probe, ten with one that logs every
tenth step, ten with one that logs every step, in turns. They share the model, for two equal models
differ by some percent in where their memory lies. All metrics that are not sampled are logged for
every module. Ratios are medians over rounds, of wall time and of processor time, which neighbours
on the machine disturb less.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import sftheory as sft
from sftheory.probes import probe

WIDTH, LAYERS, VOCABULARY, LENGTH = 256, 12, 2048, 128
ROUNDS, STEPS = 7, 10


class Network(torch.nn.Module):
    """Tokens to logits, causal."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(VOCABULARY, WIDTH)
        layer = torch.nn.TransformerEncoderLayer(
            WIDTH, 4, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.blocks = torch.nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.head = torch.nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.mask = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        mask = self.mask.to(tokens.device)
        return self.head(self.blocks(self.embed(tokens), mask=mask, is_causal=True))


def training(make: Any, device: str, size: int) -> tuple[Callable[[], Any], Callable[[int], Any]]:
    """A function that takes one training step, and one that puts a probe on it."""
    torch.manual_seed(0)
    model = Network().to(device)
    optimizer = make(model.parameters())
    tokens = torch.randint(VOCABULARY, (size, LENGTH), device=device)

    def step() -> None:
        optimizer.zero_grad()
        logits = model(tokens).flatten(0, 1)
        torch.nn.functional.cross_entropy(logits, tokens.flatten()).backward()
        optimizer.step()

    return step, lambda every: probe(optimizer, model, every=every)


def seconds(step: Callable[[], Any], synchronize: Callable[[], None]) -> np.ndarray:
    """Wall time and processor time of one step."""
    synchronize()
    start = time.perf_counter(), time.process_time()
    step()
    synchronize()
    return np.array([time.perf_counter(), time.process_time()]) - start


NORMS = ["weight_norm.x", "weight_norm.y", "weight_norm.z", "grad_norm", "update_norm"]


def steps_alone() -> None:
    """Print what a probe at every step adds to the step alone, one thread, 36 layers.

    A round is 64 steps of each in turn, so that it holds one evaluation of the stored steps.
    """
    torch.set_num_threads(1)
    runs: dict[str, Any] = {}
    for name, metrics in {"bare": [], "norms of x, y, z, g and u": NORMS, "all": None}.items():
        model = torch.nn.Sequential(*(torch.nn.Linear(512, 512) for _ in range(36)))
        optimizer = sft.optim.ScheduleFreeAdamW(model.parameters(), lr=1e-4)
        log = None if name == "bare" else probe(optimizer, model, metrics=metrics)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        runs[name] = optimizer.step, log, []
    for _ in range(64 * (ROUNDS + 1)):
        for step, _, times in runs.values():
            times.append(seconds(step, lambda: None)[1])
    spent = {name: np.reshape(times, (-1, 64))[1:] for name, (*_, times) in runs.items()}
    for name, times in spent.items():
        ratios = times.mean(1) / spent["bare"].mean(1)
        typical = np.median(times) / np.median(spent["bare"])
        print(
            f"step alone, {name:26s} {1e3 * np.median(times.mean(1)):6.1f} ms "
            f"{np.median(ratios):6.3f} x processor ({ratios.min():.3f} to {ratios.max():.3f} "
            f"over rounds; typical step {typical:.3f})"
        )


def main() -> None:
    """Print the step, and the ratios with a probe."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    size = int(sys.argv[1]) if len(sys.argv) > 1 else (64 if device == "cuda" else 4)
    optimizers: dict[str, Any] = {
        "AdamW (fused)": lambda p: torch.optim.AdamW(p, lr=1e-4, fused=True),
        "ScheduleFreeAdamW": lambda p: sft.optim.ScheduleFreeAdamW(p, lr=1e-4),
    }
    count = sum(p.numel() for p in Network().parameters())
    print(f"{count / 1e6:.2f} M parameters, {size} x {LENGTH} tokens per step, {device}")
    for name, make in optimizers.items():
        step, watched = training(make, device, size)
        step()
        spent = np.zeros((ROUNDS, 3, 2))
        for turn in range(ROUNDS):
            for kind in np.roll(range(3), turn):
                log = watched((10, 1)[kind - 1]) if kind else None
                step()  # logged, at step 0
                for _ in range(STEPS):
                    spent[turn, kind] += seconds(step, synchronize) / STEPS
                if log is not None:
                    spent[turn, kind] += seconds(log.close, synchronize) / STEPS
        bare = 1e3 * np.median(spent[:, 0], axis=0)
        ratios = np.median(spent[:, 1:] / spent[:, :1], axis=0)
        print(
            f"{name:18s} step without a probe {bare[0]:8.1f} ms wall, {bare[1]:8.1f} ms processor"
        )
        for every, (wall, processor) in zip((10, 1), ratios, strict=True):
            bar = "   (bar: 1.05)" if every == 10 else ""
            took = f"{wall:6.3f} x wall, {processor:6.3f} x processor"
            print(f"{name:18s} every={every:<3d} {took}{bar}")
    steps_alone()


if __name__ == "__main__":
    main()
