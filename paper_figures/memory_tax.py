"""What an optimizer costs beside AdamW: bytes of state, and the time of a step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

from paper_figures.digits_network import one_thread
from sftheory.core.claim import Claim
from sftheory.figures import FIGURES, Curve, Data, Figure

# bytes of state for each float32 parameter, by counting buffers
BYTES = {
    "ScheduleFreeSGD": 4,
    "PolyakScheduleFreeSGD": 4,
    "ScheduleFree(SGD)": 4,
    "ScheduleFreeAdamW": 8,
    "ScheduleFreeRAdam": 8,
    "GPAAdamW": 8,
    "AdamC": 8,
    "ScheduleFree(RMSprop)": 8,
    "ScheduleFreeAdamW, inner momentum": 12,
    "ScheduleFreePlus": 12,
    "torch SGD, momentum": 4,
    "torch AdamW": 8,
    "torch AdamW, foreach": 8,
    "torch AdamW, fused": 8,
    "torch AdamW + average of weights": 12,
}
BASE = "torch AdamW, foreach"
OURS = [name for name in BYTES if not name.startswith("torch")]


def builders() -> dict[str, Callable[[list[Any]], tuple[Any, Callable[[], Any]]]]:
    """Name -> a function from parameters to the optimizer and its step."""
    import torch

    from sftheory import optim

    def plain(make: Callable[[Any], Any]) -> Callable[[list[Any]], tuple[Any, Callable[[], Any]]]:
        def build(params: list[Any]) -> tuple[Any, Callable[[], Any]]:
            optimizer = make(params)
            return optimizer, optimizer.step

        return build

    def with_loss(make: Callable[[Any], Any]) -> Any:
        def build(params: list[Any]) -> tuple[Any, Callable[[], Any]]:
            optimizer = make(params)
            return optimizer, lambda: optimizer.step(loss=1.0)

        return build

    def averaged(params: list[Any]) -> tuple[Any, Callable[[], Any]]:
        optimizer = torch.optim.AdamW(params, foreach=True)
        held = torch.nn.ParameterList(params)
        average = torch.optim.swa_utils.AveragedModel(held, use_buffers=False)

        def step() -> None:
            optimizer.step()
            average.update_parameters(held)

        return (optimizer, average), step

    adamw = torch.optim.AdamW
    return {
        "ScheduleFreeSGD": plain(lambda p: optim.ScheduleFreeSGD(p, lr=1e-3)),
        "PolyakScheduleFreeSGD": with_loss(lambda p: optim.PolyakScheduleFreeSGD(p, lr=1e-3)),
        "ScheduleFree(SGD)": plain(lambda p: optim.ScheduleFree(torch.optim.SGD(p, lr=1e-3))),
        "ScheduleFreeAdamW": plain(lambda p: optim.ScheduleFreeAdamW(p, weight_decay=0.1)),
        "ScheduleFreeRAdam": plain(lambda p: optim.ScheduleFreeRAdam(p)),
        "GPAAdamW": plain(lambda p: optim.GPAAdamW(p)),
        "AdamC": plain(lambda p: optim.AdamC(p)),
        "ScheduleFree(RMSprop)": plain(
            lambda p: optim.ScheduleFree(torch.optim.RMSprop(p, lr=1e-3))
        ),
        "ScheduleFreeAdamW, inner momentum": plain(
            lambda p: optim.ScheduleFreeAdamW(p, inner_momentum=0.9)
        ),
        "ScheduleFreePlus": with_loss(lambda p: optim.ScheduleFreePlus(p)),
        "torch SGD, momentum": plain(lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9)),
        "torch AdamW": plain(lambda p: adamw(p, foreach=False)),
        "torch AdamW, foreach": plain(lambda p: adamw(p, foreach=True)),
        "torch AdamW, fused": plain(lambda p: adamw(p, fused=True)),
        "torch AdamW + average of weights": averaged,
    }


def state_bytes(held: Any, count: int) -> float:
    """Bytes of tensors beside the parameters, each a whole number of them, per parameter."""
    if isinstance(held, tuple):
        optimizer, average = held
        copy = sum(p.numel() * p.element_size() for p in average.parameters())
        return state_bytes(optimizer, count) + copy / count
    states = [*held.state.values()]
    base = getattr(held, "base_optimizer", None)
    if base is not None:
        states += base.state.values()
    buffers = {id(t): t for state in states for t in state.values() if getattr(t, "ndim", 0)}
    return sum(t.numel() * t.element_size() for t in buffers.values()) / count


@FIGURES.register("O05", ref="defazio2024", seed=0, seconds=15)
class MemoryTax(Figure):
    """Schedule-free costs the memory of AdamW, and its step the time of a pass over memory.

    Left: bytes of state for each float32 parameter. Right: processor time of a step over that of
    torch's AdamW with foreach, medians of interleaved rounds on one thread of this machine, on the
    38 tensors and 1.1 million parameters of a small transformer; both sides of a ratio are measured
    in the same rounds, and ratios differ between machines. Blue is this project, gray is torch. An
    average of weights beside AdamW, the other way to an averaged model, keeps a third copy.
    """

    ROUNDS = 25

    def data(self, quick: bool = False) -> Data:
        values: dict[str, float] = {}
        times: dict[str, list[float]] = {name: [] for name in BYTES}
        with one_thread() as torch:
            steps = {}
            for name, build in builders().items():
                params = _parameters(torch)
                held, step = build(params)
                step()  # state and compilation
                steps[name] = step
                count = sum(p.numel() for p in params)
                values[f"bytes {name}"] = state_bytes(held, count)
            for _ in range(10 if quick else self.ROUNDS):
                for name, step in steps.items():
                    start = time.process_time()  # neighbours on the machine do not count
                    step()
                    times[name].append(time.process_time() - start)
        median = {name: statistics.median(found) for name, found in times.items()}
        paired = {name: t / median[BASE] for name, t in median.items()}
        values |= {f"time {name}": ratio for name, ratio in paired.items()}
        places = range(len(BYTES))
        size = [values[f"bytes {name}"] for name in BYTES]
        return Data(
            [
                Curve("bytes", "state", places, size),
                Curve("time", "step", places, list(paired.values())),
            ],
            values,
        )

    def draw(self, data: Data) -> Any:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(7.2, 3.9))
        left, right = figure.subplots(1, 2, sharey=True)
        (size,), (ratio,) = (list(data.panel(p).values()) for p in ("bytes", "time"))
        colors = ["C5" if name.startswith("torch") else "C0" for name in BYTES]
        left.barh(size.x, size.y, color=colors, height=0.62)
        right.barh(ratio.x, ratio.y, color=colors, height=0.62)
        for axis, found, form in ((left, size, "{:.0f}"), (right, ratio, "{:.2f}")):
            for place, value in zip(found.x, found.y, strict=True):  # pyright: ignore
                axis.annotate(
                    form.format(value),
                    (value, place),
                    (3, 0),
                    textcoords="offset points",
                    va="center",
                    bbox={"facecolor": axis.get_facecolor(), "edgecolor": "none", "pad": 0.4},
                    fontsize=7,
                )
            axis.grid(axis="y", visible=False)
        left.set_yticks(list(size.x), list(BYTES))
        left.invert_yaxis()
        left.set_xticks((0, 4, 8, 12))
        left.set_xlabel("bytes of state per parameter")
        right.axvline(1, color="C5", linewidth=0.8, linestyle="--")
        right.set_xlabel("time of a step over torch AdamW, foreach")
        return figure

    def claims(self, data: Data) -> list[Claim]:
        v = data.values
        time_of: Mapping[str, float] = {name: v[f"time {name}"] for name in BYTES}
        ours = "this project"
        return [
            Claim(
                "O05-bytes",
                "Bytes of state are those of the buffers that the recursion needs, for all "
                "fifteen: largest difference",
                max(abs(v[f"bytes {name}"] - count) for name, count in BYTES.items()),
                "==",
                0,
                source=ours,
            ),
            Claim(
                "O05-tax",
                "Schedule-free AdamW keeps no more than AdamW: bytes over AdamW's",
                v["bytes ScheduleFreeAdamW"] / v["bytes torch AdamW"],
                "==",
                1,
                source="defazio2024, section on memory",
            ),
            Claim(
                "O05-average",
                "An average of weights beside AdamW keeps half as much again",
                v["bytes torch AdamW + average of weights"] / v["bytes torch AdamW"],
                "==",
                1.5,
                source=ours,
            ),
            Claim(
                "O05-published-plus",
                "ScheduleFree+ needs 12 bytes, where the published class keeps x, y, z, m and v in "
                "20: ratio",
                v["bytes ScheduleFreePlus"] / 20,
                "==",
                0.6,
                source="defazio2026, code",
            ),
            Claim(
                "O05-time",
                "A step of schedule-free AdamW takes no longer than one of AdamW with foreach: "
                "ratio of times",
                time_of["ScheduleFreeAdamW"],
                "<=",
                1,
                source="this project, measured on this machine",
            ),
            Claim(
                "O05-time-average",
                "It is faster than AdamW with an average of weights beside it: ratio of times",
                time_of["ScheduleFreeAdamW"] / time_of["torch AdamW + average of weights"],
                "<=",
                1,
                source="this project, measured on this machine",
            ),
        ]


def _parameters(torch: Any) -> list[Any]:
    """The tensors of a transformer of width 128 with 4 blocks, and gradients."""
    d = 128
    shapes = [(2048, d), (512, d), *[(d,), (3 * d, d), (3 * d,), (d, d), (d,), (4 * d, d)] * 4]
    shapes += [(d, 4 * d), (d,), (d,)] * 4
    generator = torch.Generator().manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    for p in params:
        p.grad = torch.randn(p.shape, generator=generator)
    return params
