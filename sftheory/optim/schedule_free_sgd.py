"""Schedule-free SGD for torch."""

from __future__ import annotations

from typing import Any

from sftheory.core.errors import count, real
from sftheory.optim import arithmetic, averaging
from sftheory.optim.averaging import Weights
from sftheory.optim.family import Family


class ScheduleFreeSGD(Family):
    r"""SGD whose gradient is taken between a running average x and a base sequence z.

    Problem: minimise E f(w; batch) over parameters w.
    Update (g_t is the gradient at y_t; gamma is `lr` times the warm-up, lambda is `weight_decay`):
        y_t     = (1 - beta) z_t + beta x_t
        z_{t+1} = z_t - gamma_t (g_t + lambda y_t)
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}
    Guarantee: without lambda this is the tableau ScheduleFree(beta, start_counts=False), or
        RefinedScheduleFree with C, whose bounds and exact worst case hold; tests replay its worst
        function. lr = D / (G sqrt(N + 1)) is within N^-2 of minimax.
    Shapes and units:
        params: hold y, and x inside `averaged()`.  lr: >= 0, a float or a 0-d tensor; 0 moves
        nothing.  state: one tensor, 4 bytes per float32 parameter: z, or x where beta = 0 and the
        parameter is z. Both are kept, and y is made of them, where 0 < beta < 0.1, and in
        float32 for bfloat16 and float16 parameters.

    Args:
        params: parameters, or groups of them.
        lr: the step gamma.
        momentum: beta in [0, 1]; 0 is Polyak averaging, 1 primal averaging.
        weight_decay: lambda, at y.
        warmup_steps: the first W steps are gamma t / W.
        r, weight_lr_power, weights: w_t = t^r (max gamma)^power, and the other kinds in
            `sftheory.optim.averaging`.
        C: the refined average, c_t <- min(1, (1 - beta) C c_t); None for none.
        averaging_warmup: steps with c_t = 1 before averaging begins; they have no weight.
        start_counts: True for the papers' c_t = w_{t+1} / (w_1 + ... + w_{t+1}), which only
            weights made from t alone allow.
        maximize: climb instead.
        nonfinite: what a gradient with NaN or inf does: "propagate", "raise", or "skip", which
            leaves every buffer as it was and counts the step in `skipped`.
        compile: one compiled pass over memory, on CUDA by Triton; None where it is worth it.
        capturable: for CUDA graphs: counters are tensors on the device, and so is all that is made
            of them; lr is read at every replay where it is a tensor there.

    Raises:
        InputError: an option is out of its range.
        RuntimeError: step() or backward() while the parameters hold x.

    References: defazio2024, song2025.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([3.0]))
        >>> optimizer = ScheduleFreeSGD([w], lr=0.1)
        >>> for _ in range(400):
        ...     optimizer.zero_grad()
        ...     w.abs().sum().backward()
        ...     _ = optimizer.step()
        >>> with optimizer.averaged():
        ...     bool(w.abs() <= 3**2 / (2 * 0.1 * 400) + 0.1 / 2)  # the theorem, G = 1, D = 3
        True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        weights: Weights = "max",
        C: float | None = None,
        averaging_warmup: int = 0,
        start_counts: bool = False,
        maximize: bool = False,
        nonfinite: str = "propagate",
        compile: bool | None = None,
        capturable: bool = False,
    ) -> None:
        defaults = dict(
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            warmup_steps=warmup_steps,
            r=r,
            weight_lr_power=weight_lr_power,
            weights=weights,
            C=C,
            averaging_warmup=averaging_warmup,
            start_counts=start_counts,
            maximize=maximize,
        )
        super().__init__(
            params, defaults, nonfinite=nonfinite, compile=compile, capturable=capturable
        )

    def _beta(self, group: dict[str, Any]) -> float:
        return group["momentum"]

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        real("momentum", group["momentum"], 0, 1)
        real("weight_decay", group["weight_decay"], 0)
        count("warmup_steps", group["warmup_steps"], least=0)
        averaging.check(group, group["momentum"])

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        return arithmetic.plain(maximize=group["maximize"], decay=decay)
