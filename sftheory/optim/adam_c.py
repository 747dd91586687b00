"""AdamW with corrected decay, without averaging."""

from __future__ import annotations

from typing import Any

from sftheory.optim import arithmetic, averaging
from sftheory.optim.family import Family
from sftheory.optim.schedule_free_adamw import check_adam


class AdamC(Family):
    r"""AdamW whose decay shrinks with the step, so that gradient norms do not rise at its end.

    Problem: minimise E f(w; batch) over parameters w.
    Update (m, v are Adam's corrected moments; gamma_t is `lr`, lambda is `weight_decay`):
        w_{t+1} = w_t - gamma_t (m / (sqrt(v) + eps) + lambda (gamma_t / max_{i<=t} gamma_i) w_t)
    Guarantee: for scale-invariant layers under plain steps the ratio |g| / |w| settles at
        sqrt(2 lambda / gamma_max) for every schedule, where AdamW's rises as gamma_t falls
        (theory; for Adam the argument is per layer and approximate). With a constant lr this is
        torch's AdamW.
    Shapes and units:
        params: hold w; x, y and z are one point.  state: m and v, 8 bytes per float32 parameter.

    Args:
        params: parameters, or groups of them; lambda is meant for normalised layers.
        lr, betas, eps, weight_decay: as for torch's AdamW.
        warmup_steps: the first W steps are gamma t / W.
        maximize, nonfinite, compile, capturable: as for `ScheduleFreeSGD`; processors have no such
            pass for it.

    Raises:
        InputError: an option is out of its range.

    References: defazio2025.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.ones(3))
        >>> optimizer = AdamC([w], lr=1.0, weight_decay=0.1)
        >>> for lr in (1.0, 0.5):
        ...     optimizer.param_groups[0]["lr"] = lr
        ...     w.grad = torch.zeros(3)
        ...     _ = optimizer.step()
        >>> torch.allclose(w, torch.tensor((1 - 0.1) * (1 - 0.5 * 0.1 * 0.5)))
        True
    """

    averages = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        *,
        warmup_steps: int = 0,
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
            warmup_steps=warmup_steps,
            corrected_decay=True,
            maximize=maximize,
        )
        super().__init__(
            params, defaults, nonfinite=nonfinite, compile=compile, capturable=capturable
        )

    def _beta(self, group: dict[str, Any]) -> float:
        return 0.0

    def _coefficient(self, group: dict[str, Any], gamma: Any) -> Any:
        averaging.counted(group, gamma)
        return 1.0

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_adam(group, below_one=True)

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("v", "m") if group["betas"][0] else ("v",)

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        mu, beta2 = group["betas"]
        return arithmetic.adaptive(
            n,
            beta2=beta2,
            eps=group["eps"],
            mu=mu,
            maximize=group["maximize"],
            decay=decay,
            at="y",
        )
