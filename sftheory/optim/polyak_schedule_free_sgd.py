"""Schedule-free SGD with Polyak's step for torch."""

from __future__ import annotations

from typing import Any

import torch

from sftheory.core.errors import real
from sftheory.optim import arithmetic
from sftheory.optim.gradients import Gradients
from sftheory.optim.polyak import PolyakFamily, check_f_star


class PolyakScheduleFreeSGD(PolyakFamily):
    r"""Schedule-free SGD whose step is the largest that its certificate allows; no lr to tune.

    Problem: minimise a convex f whose least value f_star is known, from values and subgradients.
    Update: ScheduleFreeSGD's with c_t = 1 / (t + 1) and
        gamma_t = lr [f(y_t) - f_star + <g_t, z_t - y_t>]_+ / |g_t|²
    Guarantee: with lr = 1, f(x_t) - f_star <= D G / sqrt(t) at every t and for every momentum
        (pun2025 v2). It is `methods.PolyakScheduleFree`.
    Shapes and units:
        params: hold y, and x inside `averaged()`.  state: one tensor, 4 bytes per float32
        parameter.  The norm and the inner product are over all groups.

    Args:
        params: parameters, or groups of them.
        lr: multiplies the step.
        momentum: beta in [0, 1]; 0 averages classical Polyak steps.
        f_star: the least value, or a lower bound of it.
        nonfinite: also for the loss; see `ScheduleFreeSGD`.
        compile, capturable: as for `ScheduleFreeSGD`.

    Raises:
        InputError: an option is out of its range, or step() has no loss.
        RuntimeError: step() or backward() while the parameters hold x.

    References: pun2025.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
        >>> optimizer = PolyakScheduleFreeSGD([w], f_star=0.0)
        >>> for _ in range(100):
        ...     optimizer.zero_grad()
        ...     loss = w.norm()
        ...     loss.backward()
        ...     _ = optimizer.step(loss=loss)
        >>> with optimizer.averaged():
        ...     bool(w.norm() <= 5.0 / 101**0.5)  # G = 1, D = 5
        True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        momentum: float = 0.9,
        *,
        f_star: float = 0.0,
        nonfinite: str = "propagate",
        compile: bool | None = None,
        capturable: bool = False,
    ) -> None:
        self.f_star = check_f_star(f_star)
        defaults = dict(
            lr=lr,
            momentum=momentum,
            r=0.0,
            weight_lr_power=0.0,
            weights="uniform",
            C=None,
            averaging_warmup=0,
            start_counts=True,
        )
        super().__init__(
            params, defaults, nonfinite=nonfinite, compile=compile, capturable=capturable
        )

    def _beta(self, group: dict[str, Any]) -> float:
        return group["momentum"]

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        real("momentum", group["momentum"], 0, 1)

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        return arithmetic.plain(maximize=False, decay=0.0)

    def _denominator(self, gradients: Gradients) -> torch.Tensor:
        return self._norm(gradients, 2)
