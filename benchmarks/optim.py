"""Optimizer steps on one model, interleaved: ours against the published package and torch's.

On the processor: a network with the shapes of a small language model, 9.5 million float32
parameters in 74 tensors. Every round runs one step of each optimizer, and ratios are of medians
over the rounds. The bars: ScheduleFreeAdamW at most 0.30 of the published default step in one
compiled pass and at most 0.60 without; at most 1.05 of torch's fused AdamW.

On CUDA: GPT-2's shapes, 124 million float32 parameters in 148 tensors. The bars: at 28 bytes for
each parameter at least 0.80 of the bandwidth of a copy on that machine, and no wait of the host.

Run with the number of threads as argument, or with "cuda" for that part alone.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch

from sftheory import optim

ROUNDS = 25
WIDTH = 256
BYTES = 28  # for each parameter: y, z, v and g are read, y, z and v are written
REPEATS = 20  # steps between two events of the device


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
    import schedulefree

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


def on_processor(threads: int) -> None:
    """Print the median of each step and its ratios."""
    torch.set_num_threads(threads)
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


def gpt2() -> list[torch.nn.Parameter]:
    """Parameters and gradients on the GPU with the shapes of GPT-2, head and embedding tied."""
    d = 768
    shapes = [(50257, d), (1024, d), (d,), (d,)]
    for _ in range(12):
        shapes += [(d,), (d,), (3 * d, d), (3 * d,), (d, d), (d,)]
        shapes += [(d,), (d,), (4 * d, d), (4 * d,), (d, 4 * d), (d,)]
    params = [torch.nn.Parameter(torch.randn(s, device="cuda")) for s in shapes]
    for p in params:
        p.grad = torch.randn_like(p)
    return params


def on_device(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of one call on the device, and of the host to ask for it."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    before = time.perf_counter()
    start.record()
    for _ in range(REPEATS):
        call()
    end.record()
    asked = time.perf_counter() - before
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / REPEATS, asked / REPEATS


def waits(params: list[torch.nn.Parameter], step: Callable[[], object]) -> str:
    """Whether a step waits for the device, with the same gradients and with ones elsewhere."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
        for p in params:
            p.grad = p.grad.clone()  # pyright: ignore[reportOptionalMemberAccess]
        step()
    except RuntimeError as problem:
        return str(problem).partition("\n")[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "none"


def captured(step: Callable[[], object]) -> Callable[[], object]:
    """The replay of a graph of one step, whose numbers are those of that step."""
    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def agreement() -> float:
    """The largest difference between one step by the kernel and by lists."""
    torch.manual_seed(0)
    ours = gpt2()
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    for p, q in zip(ours, theirs, strict=True):
        q.grad = p.grad
    for params, compile in ((ours, True), (theirs, False)):
        optim.ScheduleFreeAdamW(params, weight_decay=0.1, compile=compile).step()
    return max((p - q).abs().max().item() for p, q in zip(ours, theirs, strict=True))


def on_cuda() -> None:
    """Print the bandwidth of each step against that of a copy, and what it waits for."""
    if not torch.cuda.is_available():
        print("CUDA: not measured, there is no GPU")
        return
    from_, to = (torch.empty(2**28, device="cuda") for _ in range(2))
    made: dict[str, tuple[list[torch.nn.Parameter], Callable[[], object]]] = {}
    for name, compile in (("one launch", True), ("lists", False)):
        params = gpt2()
        optimizer = optim.ScheduleFreeAdamW(params, weight_decay=0.1, compile=compile)
        made[f"ScheduleFreeAdamW, {name}"] = params, optimizer.step
    params = gpt2()
    plus = optim.ScheduleFreePlus(params, compile=True)
    loss = torch.ones((), device="cuda")
    made["ScheduleFreePlus"] = params, lambda: plus.step(loss=loss)
    params = gpt2()
    made["torch AdamW fused"] = params, torch.optim.AdamW(params, fused=True).step
    for _, step in made.values():
        step()  # compilation and state
    waited = {name: waits(*pair) for name, pair in made.items()}
    calls = {name: step for name, (_, step) in made.items()}
    calls["ScheduleFreeAdamW, captured"] = captured(calls["ScheduleFreeAdamW, one launch"])
    calls = {"copy": lambda: to.copy_(from_), **calls}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(on_device(call))
    size = sum(p.numel() for p in params)
    median = {
        n: [statistics.median(t) for t in zip(*pairs, strict=True)] for n, pairs in times.items()
    }
    copy = 2 * from_.numel() * from_.element_size() / median["copy"][0]
    print(f"{torch.cuda.get_device_name()}, {size:,} parameters, {len(params)} tensors; ", end="")
    print(f"copy {copy / 1e9:.0f} GB/s; kernel and lists differ by {agreement():.1e}")
    print(f"{'step':28s} {'ms':>8s} {'host ms':>8s} {'GB/s':>7s} {'/ copy':>7s}  waits")
    for name, (t, host) in median.items():
        if name != "copy":
            speed = BYTES * size / t
            line = f"{name:28s} {t * 1e3:8.3f} {host * 1e3:8.3f} {speed / 1e9:7.0f}"
            print(f"{line} {speed / copy:7.2f}  {waited.get(name, '')}")


def main() -> None:
    """Print what the processor takes, then what a GPU takes."""
    if "cuda" not in sys.argv[1:]:
        on_processor(int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads())
    on_cuda()


if __name__ == "__main__":
    main()
