"""K small models as one stack, against the same K runs one after the other.

Both sides are the trainer's own steps (gradient, test for a finite loss, clip, optimizer), in one
process on the same bytes, and their steps alternate: a step of a stack, then one of each run alone.
The ratio is that of the medians. With one thread processor time is taken, which other work on the
machine disturbs least; with more it is wall-clock time.

"parts" are shares of a stacked step: batches, forward, backward, and clip with the optimizer.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from sftheory import lm
from sftheory.lm.devices import compiler
from sftheory.lm.session import Session
from sftheory.lm.stack import Stack
from sftheory.lm.tokens import Tokens, prepare

MODELS: dict[str, dict[str, Any]] = {
    "0.05M": {"width": 32, "layers": 4, "heads": 2},
    "0.3M": {"size": "0.3M"},
    "1M": {"size": "1M"},
}


def sessions_of(options: argparse.Namespace, size: str, batch: int, K: int, tokens: Tokens) -> Any:
    """K runs at learning rates and seeds of their own."""
    sections = {
        "model": {**MODELS[size], "context": options.context},
        "optimizer": {"name": options.optimizer},
        "run": {"steps": 10**5, "batch": batch, "device": options.device, "compile": "no"},
    }
    base = lm.Config.of(sections)
    each = [{"optimizer.lr": 1e-3 * (1 + k / K), "run.seed": k} for k in range(K)]
    return [Session(base.replaced(changes), tokens) for changes in each]


def alone(sessions: list[Session]) -> Callable[[], None]:
    """One step of each run, as the loop takes it."""

    def step() -> None:
        for session in sessions:
            loss, norm = session.gradient()
            if session.device.type == "cpu":
                float(loss + norm)
            session.move(loss, norm)

    return step


def together(stack: Stack) -> Callable[[], None]:
    """One step of the stack."""

    def step() -> None:
        losses, norms = stack.gradient()
        if stack.device.type == "cpu":
            (losses + norms).isfinite().tolist()
        stack.move(losses, norms)

    return step


def in_turns(steps: list[Callable[[], None]], repeats: int, clock: Callable[[], float]) -> Any:
    """(repeats, steps): the seconds of each, taken in turns, every second time backwards."""
    spent = np.zeros((repeats + 2, len(steps)))
    for k, row in enumerate(spent):
        order = range(len(steps))
        for i in order if k % 2 else reversed(order):
            begun = clock()
            steps[i]()
            row[i] = clock() - begun
    return spent[2:]  # the first ones warm up


def parts_of(stack: Stack, step: Callable[[], None], clock: Callable[[], float]) -> str:
    """Shares of a stacked step."""
    spent: dict[str, float] = dict.fromkeys(("batches", "forward", "gradient", "step"), 0.0)

    def timed(name: str, call: Any) -> Any:
        def measured(*args: Any) -> Any:
            begun = clock()
            answer = call(*args)
            spent[name] += clock() - begun
            return answer

        return measured

    own: Any = stack
    own._batches = timed("batches", own._batches)
    own._losses = timed("forward", own._losses)
    own.gradient, own.move = timed("gradient", own.gradient), timed("step", own.move)
    for _ in range(5):
        step()
    whole = spent["gradient"] + spent["step"]
    backward = spent["gradient"] - spent["batches"] - spent["forward"]
    named = {k: spent[k] for k in ("batches", "forward")} | {"backward": backward}
    return "  ".join(f"{k} {v / whole:.0%}" for k, v in {**named, "step": spent["step"]}.items())


def measure(options: argparse.Namespace, size: str, batch: int, K: int, tokens: Tokens) -> None:
    """One line."""

    def clock() -> float:
        if options.device != "cpu":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time() if options.threads == 1 else time.perf_counter()

    runs = sessions_of(options, size, batch, K, tokens)
    stack = Stack(sessions_of(options, size, batch, K, tokens), compiler(options.compile))
    step = together(stack)
    spent = in_turns([alone(runs), step], options.repeats, clock)
    separate, stacked = np.median(spent, axis=0)
    count = K * batch * options.context
    n = stack.theta.shape[1]
    print(
        f"{size:>6} {n:>9,} {K:>3} {batch:>6} {count / separate:>11,.0f} {count / stacked:>11,.0f} "
        f"{separate / stacked:>6.2f}   {parts_of(stack, step, clock)}",
        flush=True,
    )


def main() -> None:
    """Print the ratios of this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(MODELS))
    parser.add_argument("--models", nargs="+", type=int, default=[4, 8, 16])
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 2, 1])
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="the stack, not the runs alone")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokens = prepare(lm.Config.of({"data": {"limit": 2_000_000}}).data)
    how = "processor" if options.threads == 1 and options.device == "cpu" else "wall-clock"
    print(
        f"{options.device}, {options.threads} threads, {how} time, {options.optimizer}, context "
        f"{options.context}{', compiled' if options.compile else ''}, {options.repeats} rounds"
    )
    print("  size         n   K  batch alone tok/s  stack tok/s  ratio   parts of a stacked step")
    for size in options.sizes:
        for batch in options.batches:
            for K in options.models:
                measure(options, size, batch, K, tokens)


if __name__ == "__main__":
    main()
