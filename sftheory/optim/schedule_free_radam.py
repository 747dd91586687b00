"""Schedule-free RAdam for torch."""

from __future__ import annotations

import math
from typing import Any

import torch

from sftheory.core.errors import InputError
from sftheory.optim import arithmetic, averaging
from sftheory.optim.averaging import Weights
from sftheory.optim.family import Family
from sftheory.optim.schedule_free_adamw import check_adam


def rectifier(n: Any, beta2: float) -> Any:
    """RAdam's factor at the n-th update, or None while the variance of v is not defined.

    With n on the device it is 0 in place of None.
    """
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * n * beta2**n / (1 - beta2**n)
    if isinstance(rho, torch.Tensor):
        square = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        return torch.where(rho > 4, square, 0).sqrt()
    if rho <= 4:
        return None
    return math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))


class ScheduleFreeRAdam(Family):
    r"""Schedule-free AdamW whose first steps are rectified, which stands in for a warm-up.

    Problem: minimise E f(w; batch) over parameters w.
    Update: `ScheduleFreeAdamW`'s with gamma_t = lr rho_t, where rho_t is RAdam's rectifier; while
        it is not defined (the first 4 updates at beta2 = 0.999) gamma_t = 0 and only v is updated,
        or u_t = g_t and gamma_t = lr with silent_sgd_phase=False. A parameter that gets its first
        gradient late is rectified by its own count.
    Guarantee: none is known with the preconditioner.
    Shapes and units:
        params: hold y, and x inside `averaged()`.  state: z and v, 8 bytes per float32 parameter.

    Args:
        params: parameters, or groups of them.
        lr, betas, eps, weight_decay, r, weight_lr_power, weights, C: as for `ScheduleFreeAdamW`.
        silent_sgd_phase: whether nothing moves while the rectifier is not defined.
        maximize, nonfinite, compile, capturable: as for `ScheduleFreeSGD`; a first phase that is
            not silent cannot be captured.

    Raises:
        InputError: an option is out of its range.
        RuntimeError: step() or backward() while the parameters hold x.

    References: defazio2024, liu2020.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([3.0]))
        >>> optimizer = ScheduleFreeRAdam([w], lr=0.1)
        >>> moved = []
        >>> for _ in range(6):
        ...     w.grad = torch.ones(1)
        ...     _ = optimizer.step()
        ...     moved.append(w.item() < 3)
        >>> moved
        [False, False, False, False, True, True]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        weights: Weights = "max",
        C: float | None = None,
        silent_sgd_phase: bool = True,
        averaging_warmup: int = 0,
        start_counts: bool = False,
        maximize: bool = False,
        nonfinite: str = "propagate",
        compile: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            r=r,
            weight_lr_power=weight_lr_power,
            weights=weights,
            C=C,
            silent_sgd_phase=silent_sgd_phase,
            averaging_warmup=averaging_warmup,
            start_counts=start_counts,
            maximize=maximize,
        )
        super().__init__(
            params, defaults, nonfinite=nonfinite, compile=compile, capturable=capturable
        )

    def _beta(self, group: dict[str, Any]) -> float:
        return group["betas"][0]

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_adam(group)
        averaging.check(group, group["betas"][0])
        if self.capturable and not group["silent_sgd_phase"]:
            raise InputError(
                "silent_sgd_phase=False changes the direction after some updates, which "
                "capturable=True would not notice; pass one of them."
            )
        if group["betas"][1] <= 0.6:
            raise InputError(
                f"RAdam needs betas[1] > 0.6, below which it is never rectified, but got "
                f"{group['betas'][1]!r}; pass 0.999."
            )

    def _gamma(self, group: dict[str, Any]) -> Any:
        return self._rectified(group, self._rate(group), group["averaged_steps"] + 1)

    def _rectified(self, group: dict[str, Any], gamma: Any, n: Any) -> Any:
        factor = rectifier(n, group["betas"][1])
        if factor is None:
            factor = 0.0 if group["silent_sgd_phase"] else 1.0
        return self._rate(group) * factor

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("v",)

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        beta2 = group["betas"][1]
        how = arithmetic.adaptive(
            n,
            beta2=beta2,
            eps=group["eps"],
            maximize=group["maximize"],
            decay=decay,
            at="y",
        )
        if group["silent_sgd_phase"] or rectifier(n, beta2) is not None:
            return how
        return arithmetic.unscaled(beta2, maximize=group["maximize"], decay=decay)
