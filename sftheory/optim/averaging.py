r"""The averaging coefficient c_t, from counters that live in a parameter group.

c_t = w_t / (w_1 + ... + w_t), the published package's form, in which the start has no weight;
with start_counts, c_t = w_{t+1} / (w_1 + ... + w_{t+1}).

weights="max"      w_t = t^r (max_{i<=t} gamma_i)^p     the published package's
weights="power"    w_t = t^r gamma_t^p
weights="gamma"    w_t = gamma_t                        matches theory for any schedule
weights="uniform"  w_t = 1
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from sftheory.core.errors import InputError, constant, count, nearest, real
from sftheory.optim import counters

Weights = Literal["max", "power", "gamma", "uniform"]
WEIGHTS = ("max", "power", "gamma", "uniform")
COUNTERS: dict[str, Any] = {
    "averaged_steps": 0,  # t: the steps in which something of this group was updated
    "weight_sum": 0.0,
    "gamma_max": 0.0,
    "scheduled_lr": 0.0,  # gamma_t of the last step, for logging
    "c": 0.0,  # c_t of the last step, for logging
    "built_with": None,  # the beta that made y
}


def check(group: dict[str, Any], beta: float) -> None:
    """Raises InputError if the averaging of a group cannot be used."""
    if group["weights"] not in WEIGHTS:
        raise nearest("kind of weights", str(group["weights"]), WEIGHTS)
    real("r", group["r"], -1e6)
    real("weight_lr_power", group["weight_lr_power"], 0)
    count("averaging_warmup", group["averaging_warmup"], least=0)
    if group["C"] is not None:
        constant("The refined average", "C", group["C"])
        if beta == 1:
            raise InputError(
                f"C={group['C']!r} scales c_t by (1 - beta) C, which is 0 for beta=1; pass C=None."
            )
    if group["start_counts"]:
        if not _depends_on_t_alone(group):
            raise InputError(
                f"start_counts=True gives the next point a weight before its step is known, but "
                f"weights={group['weights']!r} are made from the step; pass weights='uniform' or "
                f"weight_lr_power=0, or leave start_counts=False."
            )
        if group["averaging_warmup"]:
            raise InputError(
                f"averaging_warmup={group['averaging_warmup']} forgets the start, which "
                f"start_counts=True counts; pass one of them."
            )


def _depends_on_t_alone(group: dict[str, Any]) -> bool:
    return group["weights"] == "uniform" or (
        group["weights"] in ("max", "power") and group["weight_lr_power"] == 0
    )


def weight(group: dict[str, Any], t: Any, gamma: Any) -> Any:
    """w_t; `gamma_max` of the group already knows gamma."""
    kind = group["weights"]
    if kind == "uniform":
        return 1.0
    if kind == "gamma":
        return gamma
    made_from = group["gamma_max"] if kind == "max" else gamma
    t = t if isinstance(t, torch.Tensor) else float(t)
    return t ** group["r"] * made_from ** group["weight_lr_power"]


def counted(group: dict[str, Any], gamma: Any) -> Any:
    """Counts a step of size gamma, a float or a tensor that stays on its device; returns t."""
    group["averaged_steps"] += 1  # in place where it is a tensor
    largest = group["gamma_max"]
    if counters.placed(group):
        counters.put(group, "gamma_max", torch.maximum(largest, gamma))
    elif isinstance(gamma, torch.Tensor):
        if isinstance(largest, torch.Tensor):
            largest = largest.to(gamma)
        else:  # torch.as_tensor would wait for the device
            largest = torch.full_like(gamma, largest)
        group["gamma_max"] = torch.maximum(largest, gamma)
    else:
        group["gamma_max"] = max(float(largest), gamma)
    counters.put(group, "scheduled_lr", gamma)
    return group["averaged_steps"]


def advance(group: dict[str, Any], gamma: Any, beta: float) -> Any:
    """Counts a step of size gamma and returns its c."""
    coefficient = _on_device if counters.placed(group) else _coefficient
    counters.put(group, "c", coefficient(group, counted(group, gamma), gamma, beta))
    return group["c"]


def _coefficient(group: dict[str, Any], t: int, gamma: Any, beta: float) -> Any:
    if t <= group["averaging_warmup"]:
        return 1.0
    if group["start_counts"]:
        if t == 1:
            group["weight_sum"] = weight(group, 1, gamma)
        t += 1
    w = weight(group, t, gamma)
    total = group["weight_sum"] = group["weight_sum"] + w
    if isinstance(total, torch.Tensor):
        c = w / torch.where(total > 0, total, 1)
        return c if group["C"] is None else ((1 - beta) * group["C"] * c).clamp(max=1)
    c = w / total if total > 0 else 0.0
    return c if group["C"] is None else min(1.0, (1 - beta) * group["C"] * c)


def _on_device(group: dict[str, Any], t: torch.Tensor, gamma: torch.Tensor, beta: float) -> Any:
    """`_coefficient` without a branch on a number."""
    first, warmup = group["start_counts"], group["averaging_warmup"]
    w = weight(group, t + 1 if first else t, gamma)
    if warmup:
        w = w * (t > warmup).to(t)
    total = group["weight_sum"]
    if first:  # weights made from t alone have w_1 = 1
        total += (t == 1).to(t)
    total += w
    c = w / torch.where(total > 0, total, 1)
    if group["C"] is not None:
        c = ((1 - beta) * group["C"] * c).clamp(max=1)
    return torch.where(t > warmup, c, 1) if warmup else c
