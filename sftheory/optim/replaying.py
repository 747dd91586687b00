"""Run a real torch optimizer on a function that only offers values and subgradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from sftheory.core.errors import InputError, count
from sftheory.core.errors import steps as checked_steps
from sftheory.optim.polyak import PolyakFamily


class _Evaluate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, point: torch.Tensor, function: Any) -> torch.Tensor:
        value, subgradient = function.oracle(point.detach().cpu().numpy())
        ctx.save_for_backward(torch.as_tensor(subgradient, dtype=point.dtype, device=point.device))
        return point.new_tensor(float(value))

    @staticmethod
    def backward(ctx: Any, *outer: Any) -> Any:
        (subgradient,) = ctx.saved_tensors
        return outer[0] * subgradient, None


class Objective(torch.nn.Module):
    """f as a torch module with one parameter, float64, which starts at x_1."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        start = torch.tensor(np.asarray(function.x1), dtype=torch.float64)
        self.point = torch.nn.Parameter(start)

    def forward(self) -> torch.Tensor:
        """The value at the parameter; backward() gives the oracle's subgradient."""
        return _Evaluate.apply(self.point, self.function)  # pyright: ignore[reportReturnType]


def replay(
    function: Any,
    make_optimizer: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer],
    steps: int,
    *,
    gamma: Sequence[float] | None = None,
) -> float:
    r"""The gap that a torch optimizer attains on a function.

    Args:
        function: anything with x1, f_star, value(x) and oracle(x) -> (value, subgradient), such as
            `worst_case(...).function`.
        make_optimizer: parameters -> optimizer. One with train() and eval() modes, such as the
            published schedulefree, steps in the first and is read in the second; one that makes its
            steps from the loss is given it.
        steps: N, the number of steps.
        gamma: (N,), the learning rates, played by LambdaLR; None leaves the optimizer's own.

    Returns:
        f(x) - f_star at the optimizer's parameters (in eval mode) after N steps.

    Raises:
        InputError: N < 1, or gamma has another length.

    Example:
        >>> from sftheory.schedules import Linear
        >>> from sftheory.worst_cases import worst_case
        >>> gamma = 0.375 * Linear()(3)
        >>> f = worst_case(gamma, D=1, G=1).function
        >>> gap = replay(f, lambda p: torch.optim.SGD(p, lr=1.0), steps=3, gamma=gamma)
        >>> round(gap, 12)
        0.5
    """
    N = count("steps", steps)
    objective = Objective(function)
    optimizer = make_optimizer(list(objective.parameters()))
    scheduler = None
    if gamma is not None:
        rates = checked_steps("gamma", gamma).tolist()
        if np.ndim(gamma) != 1:
            raise InputError(f"replay plays one schedule, not shape {np.shape(gamma)}; pass a row.")
        if len(rates) != N:
            raise InputError(f"gamma has {len(rates)} entries but steps={N}; pass one per step.")
        for group in optimizer.param_groups:
            group["lr"] = 1.0
            group.pop("initial_lr", None)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: rates[min(k, N - 1)])
    _mode(optimizer, "train")
    for _ in range(N):
        optimizer.zero_grad()
        loss = objective()
        loss.backward()
        if isinstance(optimizer, PolyakFamily):
            optimizer.step(loss=loss)
        else:
            optimizer.step()
        if scheduler is not None:
            scheduler.step()
    _mode(optimizer, "eval")
    return float(function.value(objective.point.detach().cpu().numpy()) - function.f_star)


def _mode(optimizer: Any, mode: str) -> None:
    switch = getattr(optimizer, mode, None)
    if callable(switch):
        switch()
