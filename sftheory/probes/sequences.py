"""x, y, z and gamma, beta, c of a running optimizer, whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

Group = Mapping[str, Any]
Number = float | Tensor


class Sequences(Protocol):
    """What an optimizer with x, y and z offers a probe; y is what its parameters hold in training.

    Attributes:
        exist: False where there is one sequence only; then `point` is never asked.
    """

    exist: bool

    def point(self, parameter: Tensor, group: Group, name: str) -> Tensor:
        """X or z of a parameter, in its shape; before its first step, the parameter.

        The caller copies it before the next step, and does not write to it.
        """
        ...

    def coefficients(self, group: Group) -> tuple[Number, Number, Number]:
        """(gamma, beta, c) of the last step: numbers, or 0-dim tensors that are not read."""
        ...

    def updates(self, group: Group) -> int | None:
        """How many steps have updated the group; None if every step counts."""
        ...


class OneSequence:
    """Any torch optimizer: gamma is its lr, beta = 0 and c = 1."""

    exist = False

    def point(self, parameter: Tensor, group: Group, name: str) -> Tensor:
        return parameter

    def coefficients(self, group: Group) -> tuple[Number, Number, Number]:
        return group["lr"], 0.0, 1.0

    def updates(self, group: Group) -> int | None:
        return None


class Family:
    """The optimizers of `sftheory.optim`: z and x are in the state, or follow from y and beta."""

    exist = True

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def point(self, parameter: Tensor, group: Group, name: str) -> Tensor:
        state, y = self._optimizer.state.get(parameter, {}), parameter.detach()
        if name in state:
            return state[name]
        beta, z = group["built_with"], state.get("z")
        if name == "z" or z is None or beta == 1:
            return y  # z with beta = 0, x with beta = 1, both before the first step
        return y + (1 - 1 / beta) * (z - y)

    def coefficients(self, group: Group) -> tuple[Number, Number, Number]:
        beta = group["built_with"]
        return group["scheduled_lr"], 0.0 if beta is None else beta, group["c"]

    def updates(self, group: Group) -> int | None:
        steps = group["averaged_steps"]
        return None if isinstance(steps, Tensor) else steps  # reading it would wait


class Published:
    """The classes of the published package that step in train mode; their parameters hold y."""

    exist = True

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self._optimizer = optimizer

    def point(self, parameter: Tensor, group: Group, name: str) -> Tensor:
        y = parameter.detach()
        z = self._optimizer.state.get(parameter, {}).get("z")
        if z is None or name == "z":
            return y if z is None else z
        return y + (1 - 1 / self._beta(group)) * (z - y)

    def coefficients(self, group: Group) -> tuple[Number, Number, Number]:
        # k counts this step already, and weight_sum contains its weight
        weight = group["k"] ** group["r"] * group["lr_max"] ** group["weight_lr_power"]
        total = group["weight_sum"]
        return group["scheduled_lr"], self._beta(group), weight / total if total else 0.0

    def updates(self, group: Group) -> int | None:
        return None

    def _beta(self, group: Group) -> float:
        return group["betas"][0] if "betas" in group else group["momentum"]


def sequences_of(optimizer: torch.optim.Optimizer) -> Sequences:
    """The sequences of an optimizer: what its `sequences()` returns, or one of those known here."""
    offered = getattr(optimizer, "sequences", None)
    if callable(offered):
        return offered()  # pyright: ignore[reportReturnType]
    keys = optimizer.param_groups[0].keys()
    if {"built_with", "scheduled_lr", "c", "averaged_steps"} <= keys:
        return Family(optimizer) if getattr(optimizer, "averages", True) else OneSequence()
    if {"train_mode", "weight_sum", "scheduled_lr", "k"} <= keys:
        return Published(optimizer)
    return OneSequence()


def preconditioner(optimizer: torch.optim.Optimizer, group: Group, p: Tensor) -> Tensor | None:
    """P = 1 / (sqrt(v / (1 - beta2^t)) + eps) from a second moment in the state; None without one.

    The moment may be called exp_avg_sq, as torch does, or v.
    """
    state = optimizer.state.get(p, {})
    v = state.get("exp_avg_sq", state.get("v"))
    if v is None or "betas" not in group:
        return None
    steps = state.get("step", state.get("updates", group.get("k")))
    if steps is None:
        return None
    correction = 1 - group["betas"][1] ** steps
    if isinstance(correction, Tensor):
        correction = correction.to(v.device, non_blocking=True)
    return 1 / ((v / correction).sqrt() + group["eps"])
