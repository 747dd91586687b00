"""ScheduleFree+ for torch: AdamW's direction, Polyak's step, an annealed beta."""

from __future__ import annotations

import math
from typing import Any

import torch

from sftheory.core.errors import InputError, count, real
from sftheory.optim import arithmetic, averaging
from sftheory.optim.gradients import Gradients
from sftheory.optim.polyak import PolyakFamily, check_f_star
from sftheory.optim.schedule_free_adamw import check_adam


class ScheduleFreePlus(PolyakFamily):
    r"""Schedule-free AdamW that sets its own step from the loss.

    Problem: minimise E f(w; batch) over parameters w.
    Update (k = 0, 1, ...; g is the gradient at y; e is kept, its correction is a copy):
        e     <- polyak_beta e + (1 - polyak_beta) sqrt(pi / 2) |g|_1
        ê      = e / (1 - polyak_beta^{k+1})
        alpha  = lr [f(y) - f_star + <g, z - y>]_+ / ê
        z     <- z - alpha (m / (sqrt(v) + eps) + lambda alpha y)
        x     <- (1 - c) x + c z,   y <- (1 - beta_k) z + beta_k x
        1 - beta_k falls geometrically from 1 - beta to 1 - beta_max over sf_beta1_anneal_steps.
    Guarantee: none. The inner product is the one of the beta that built y, which the certificate
        needs; the published code takes the next one. sqrt(pi / 2) |g|_1 is the squared dual norm of
        Adam's metric where gradients are normal.
    Shapes and units:
        params: hold y, and x inside `averaged()`.  state: z, v and m, 12 bytes per float32
        parameter; x is recovered. The loss, the norm and alpha stay on the device. Norm and inner
        product are over all groups, and over all ranks where parameters are sharded.

    Args:
        params: parameters, or groups of them.
        lr: multiplies the step.
        betas: (inner momentum, beta2), both in [0, 1).
        eps: added to the root.
        weight_decay: lambda; it acts as lambda alpha², so useful values are 20 to 50.
        sf_beta1, sf_beta1_max, sf_beta1_anneal_steps: beta, beta_max and the steps in between;
            0 steps keep beta.
        polyak_beta: of the averaged norm; 0 takes the norm of this gradient.
        f_star: the least value of the loss, or a lower bound of it.
        c_warmup: steps with c = 1 before averaging begins; they have no weight.
        r, weight_lr_power: w_k = (k + 1)^r (max alpha)^power.
        nonfinite: also for the loss; see `ScheduleFreeSGD`.
        compile, capturable: as for `ScheduleFreeSGD`; an annealed beta cannot be captured.

    Raises:
        InputError: an option is out of its range, or step() has no loss.
        RuntimeError: step() or backward() while the parameters hold x.

    References: defazio2026.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([3.0, -4.0]))
        >>> optimizer = ScheduleFreePlus([w], betas=(0.0, 0.95))
        >>> for _ in range(200):
        ...     optimizer.zero_grad()
        ...     loss = w.norm()
        ...     loss.backward()
        ...     _ = optimizer.step(loss=loss)
        >>> with optimizer.averaged():
        ...     bool(w.norm() < 0.01)
        True
    """

    facts = (*PolyakFamily.facts, "norm_average", "polyak_steps")
    norm_average: Any = 0.0  # e, uncorrected
    polyak_steps: Any = 0

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        sf_beta1: float = 0.9,
        sf_beta1_max: float = 0.965,
        sf_beta1_anneal_steps: int = 0,
        polyak_beta: float = 0.0,
        f_star: float = 0.0,
        c_warmup: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        nonfinite: str = "propagate",
        compile: bool | None = None,
        capturable: bool = False,
    ) -> None:
        self.f_star = check_f_star(f_star)
        self.polyak_beta = real("polyak_beta", polyak_beta, 0, 1)
        if polyak_beta == 1:
            raise InputError("polyak_beta = 1 never sees a norm; pass a number in [0, 1).")
        defaults = dict(
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            sf_beta1=sf_beta1,
            sf_beta1_max=sf_beta1_max,
            sf_beta1_anneal_steps=sf_beta1_anneal_steps,
            r=r,
            weight_lr_power=weight_lr_power,
            weights="max",
            C=None,
            averaging_warmup=c_warmup,
            start_counts=False,
        )
        super().__init__(
            params, defaults, nonfinite=nonfinite, compile=compile, capturable=capturable
        )

    def _beta(self, group: dict[str, Any]) -> float:
        first, last, K = (group[f"sf_beta1{s}"] for s in ("", "_max", "_anneal_steps"))
        share = min(group["averaged_steps"] / K, 1) if K else 0.0
        return 1 - (1 - first) ** (1 - share) * (1 - last) ** share

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        check_adam(group, below_one=True)
        for name in ("sf_beta1", "sf_beta1_max"):
            real(name, group[name], 0, 1)
            if not 0 < group[name] < 1:
                raise InputError(
                    f"{name} must lie strictly between 0 and 1, but got {group[name]}; x is "
                    f"recovered from y and z while it changes."
                )
        count("sf_beta1_anneal_steps", group["sf_beta1_anneal_steps"], least=0)
        if self.capturable and group["sf_beta1_anneal_steps"]:
            raise InputError(
                f"sf_beta1_anneal_steps={group['sf_beta1_anneal_steps']} changes beta, a number of "
                f"the host that capturable=True would repeat; pass one of them."
            )
        averaging.check(group, group["sf_beta1"])

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("v", "m") if group["betas"][0] else ("v",)

    def _decay(self, group: dict[str, Any], gamma: Any) -> Any:
        return gamma * group["weight_decay"] if group["weight_decay"] else 0.0

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        mu, beta2 = group["betas"]
        return arithmetic.adaptive(
            n, beta2=beta2, eps=group["eps"], mu=mu, maximize=False, decay=decay, at="y"
        )

    def _denominator(self, gradients: Gradients) -> torch.Tensor:
        norm = math.sqrt(math.pi / 2) * self._norm(gradients, 1)
        self.polyak_steps += 1
        average = self.polyak_beta * self.norm_average + (1 - self.polyak_beta) * norm
        if self.capturable:
            self.norm_average.copy_(average)
        else:
            self.norm_average = average
        return self.norm_average / (1 - self.polyak_beta**self.polyak_steps)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "polyak_beta": self.polyak_beta}
