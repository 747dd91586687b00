"""Training speed: against a plain nanoGPT-style model of equal size, and the cost of averages.

Both sides train in one process on the same bytes, and their steps alternate. Ratios are medians
over rounds, and those of the best rounds, which a busy machine disturbs least. On a GPU the run's
own speed and MFU are printed as well; without one they are "not measured".
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sftheory import lm
from sftheory.lm.averages import AverageBank
from sftheory.lm.devices import peak_flops
from sftheory.lm.session import Session
from sftheory.lm.tokens import Tokens, prepare

EIGHT = ["uniform", "poly:1", "poly:3", "lr2", "ema:0.9", "ema:0.99", "ema:0.999", "tail:1"]


class PlainBlock(nn.Module):
    """A layer as nanoGPT writes it: layer norm, one qkv product, GELU."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, bias=False) for _ in range(2))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.into = nn.Linear(width, 4 * width, bias=False)
        self.back = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        B, T, d = x.shape
        parts = self.qkv(self.norm1(x)).split(d, dim=2)
        q, k, v = (part.view(B, T, self.heads, d // self.heads).transpose(1, 2) for part in parts)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).contiguous().view(B, T, d))
        return x + self.back(functional.gelu(self.into(self.norm2(x))))


class Plain(nn.Module):
    """A model as nanoGPT writes it: learned positions, tied embeddings."""

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, context: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(PlainBlock(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.02)
        self.tokens.weight = self.head.weight

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        T = tokens.shape[1]
        x = self.tokens(tokens) + self.positions(torch.arange(T, device=tokens.device))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return functional.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def plain_step(config: lm.Config, tokens: Tokens) -> tuple[Callable[[], Any], int]:
    """One step of the plain loop, and the number of parameters."""
    shape, run = config.model, config.run
    model = Plain(256, shape.width, shape.layers, shape.heads, shape.context)
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95))
    data = torch.from_numpy(tokens.train.copy())

    def step() -> None:
        at = torch.randint(len(data) - shape.context - 1, (run.batch,)).tolist()
        x = torch.stack([data[i : i + shape.context].long() for i in at])
        y = torch.stack([data[i + 1 : i + 1 + shape.context].long() for i in at])
        model(x, y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step, sum(p.numel() for p in model.parameters())


def own_step(config: lm.Config, tokens: Tokens) -> tuple[Callable[[], Any], Session]:
    """One step of a run, and its session."""
    session = Session(config, tokens)

    def step() -> None:
        loss, norm = session.gradient()
        session.move(loss, norm)

    return step, session


def in_turns(
    steps: list[Callable[[], Any]], repeats: int, clock: Callable[[], float]
) -> np.ndarray:
    """(repeats, steps): the seconds of each, taken in turns, every second time backwards."""
    spent = np.zeros((repeats + 2, len(steps)))
    for k, row in enumerate(spent):
        order = range(len(steps))
        for i in order if k % 2 else reversed(order):
            begun = clock()
            steps[i]()
            row[i] = clock() - begun
    return spent[2:]  # the first ones warm up


def on_processor(size: str, batch: int, context: int, repeats: int, clock: str) -> None:
    """Tokens per second of both, and the share of eight averages."""
    timer = time.perf_counter if clock == "wall" else time.process_time
    sections = {
        "model": {"size": size, "context": context},
        "data": {"limit": 4_000_000},
        "run": {"steps": 10**6, "batch": batch, "device": "cpu"},
    }
    config = lm.Config.of(sections)
    tokens = prepare(config.data)
    own, session = own_step(config, tokens)
    plain, count = plain_step(config, tokens)
    theta = session.flat.theta
    bank = AverageBank(EIGHT, theta, 10**6)
    at = iter(range(1, 10**6))
    spent = in_turns([own, plain], repeats, timer)
    ours, theirs = np.median(spent, axis=0)
    least = spent.min(axis=0)
    shares = in_turns([own, lambda: bank.update(next(at), theta, 1e-3)], repeats, timer)
    averages = np.median(shares[:, 1] / shares[:, 0])
    each = batch * context
    print(
        f"{torch.get_num_threads()} threads, {each} tokens a step, {clock} time, {repeats} rounds"
    )
    print(f"sftheory   {theta.numel():>9,} parameters  {each / ours:>10,.0f} tokens/s")
    print(f"plain      {count:>9,} parameters  {each / theirs:>10,.0f} tokens/s")
    paired = np.median(spent[:, 1] / spent[:, 0])
    print(f"ratio sftheory / plain: {paired:.2f}, of the best rounds {least[1] / least[0]:.2f}")
    best = shares[:, 1].min() / shares[:, 0].min()
    print(f"8 averages: {averages:.2%} of a step, of the best rounds {best:.2%}")


def on_gpu(size: str, context: int, batch: int, repeats: int) -> None:
    """Tokens per second, MFU and GB/s of the averages on random tokens, V = 50,304, probe on."""
    from sftheory.probes import probe

    random = np.random.default_rng(0).integers(0, 50304, 10**7, dtype=np.uint16)
    tokens = Tokens(random[: -(10**5)], random[-(10**5) :], 50304, None, "")
    sections = {
        "model": {"size": size, "context": context, "vocabulary": 50304},
        "run": {"steps": 10**6, "batch": batch, "device": "cuda"},
    }
    own, session = own_step(lm.Config.of(sections), tokens)
    seen = probe(session.optimizer, session.model, 10, ["weight_norm", "grad_norm"], ["", "blocks"])

    def timed(step: Callable[[], Any], count: int) -> float:
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(count):
            step()
        torch.cuda.synchronize()
        return (time.perf_counter() - begun) / count

    timed(own, 5)
    seconds = min(timed(own, 10) for _ in range(repeats))
    seen.close()
    theta = session.flat.theta
    bank = AverageBank(EIGHT, theta, 10**6)
    at = iter(range(1, 10**6))
    averages = min(timed(lambda: bank.update(next(at), theta, 1e-3), 10) for _ in range(repeats))
    rate = batch * context / seconds
    peak = peak_flops(session.device)
    mfu = f"{rate * session.flops_per_token / peak:.1%}" if peak else "peak not known"
    moved = 4 * theta.numel() * (2 * len(EIGHT) + 1) / averages / 1e9
    print(f"{torch.cuda.get_device_name()}, {size}, T = {context}, batch {batch}")
    print(
        f"{rate:,.0f} tokens/s, MFU {mfu}, 8 averages {averages / seconds:.2%} at {moved:,.0f} GB/s"
    )


def main() -> None:
    """Print the ratios of this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="1M")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    on_processor(options.size, options.batch, options.context, options.repeats, options.clock)
    if not torch.cuda.is_available():
        print("GPU: not measured")
        return
    for size, batch in (("124M", 64), ("30M", 128)):
        on_gpu(size, 1024, batch, 3)


if __name__ == "__main__":
    main()
