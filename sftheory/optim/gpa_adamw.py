"""Generalized primal averaging with AdamW's steps."""

from __future__ import annotations

from typing import Any

from sftheory.core.errors import real
from sftheory.optim import arithmetic, averaging, counters
from sftheory.optim.family import Family
from sftheory.optim.schedule_free_adamw import check_adam


class GPAAdamW(Family):
    r"""AdamW between a base sequence and an average that forgets; a schedule is still needed.

    Problem: minimise E f(w; batch) over parameters w.
    Update (u_t is AdamW's direction with decay at y):
        y_t     = mu_y x_t + (1 - mu_y) z_t
        z_{t+1} = z_t - gamma_t u_t
        x_{t+1} = mu_x x_t + (1 - mu_x) z_{t+1}
    Guarantee: none is known with the preconditioner. The coefficients are the tableau
        GPA(mu_y, mu_x); schedule-free is the same with mu_x = t / (t + 1).
    Shapes and units:
        params: hold y, and x inside `averaged()`.  state: z and v, 8 bytes per float32 parameter;
        12 with inner momentum.

    Args:
        params: parameters, or groups of them.
        lr, eps, weight_decay, warmup_steps: as for `ScheduleFreeAdamW`.
        mu_y, mu_x: in [0, 1].
        betas: (inner momentum, beta2), both in [0, 1).
        maximize, nonfinite, compile, capturable: as for `ScheduleFreeSGD`.

    Raises:
        InputError: an option is out of its range.
        RuntimeError: step() or backward() while the parameters hold x.

    References: gpa2025.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([2.0]))
        >>> optimizer = GPAAdamW([w], lr=1.0, mu_x=0.75, eps=0.0)
        >>> w.grad = torch.tensor([5.0])
        >>> _ = optimizer.step()  # z = 2 - 1
        >>> optimizer.eval().holds, round(w.item(), 6)
        ('x', 1.75)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        mu_y: float = 0.9,
        mu_x: float = 0.99,
        betas: tuple[float, float] = (0.0, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        warmup_steps: int = 0,
        maximize: bool = False,
        nonfinite: str = "propagate",
        compile: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = dict(
            lr=lr,
            mu_y=mu_y,
            mu_x=mu_x,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            maximize=maximize,
        )
        super().__init__(
            params, defaults, nonfinite=nonfinite, compile=compile, capturable=capturable
        )

    def _beta(self, group: dict[str, Any]) -> float:
        return group["mu_y"]

    def _coefficient(self, group: dict[str, Any], gamma: Any) -> Any:
        averaging.counted(group, gamma)
        counters.put(group, "c", 1 - group["mu_x"])
        return group["c"]

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        real("mu_y", group["mu_y"], 0, 1)
        real("mu_x", group["mu_x"], 0, 1)
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
