"""Schedule-free AdamW for torch."""

from __future__ import annotations

from typing import Any, Literal

from sftheory.core.errors import InputError, count, nearest, real
from sftheory.optim import arithmetic, averaging
from sftheory.optim.averaging import Weights
from sftheory.optim.family import Family


class ScheduleFreeAdamW(Family):
    r"""AdamW whose gradient is taken between a running average x and a base sequence z.

    Problem: minimise E f(w; batch) over parameters w; nothing is assumed of f.
    Update (g_t is the gradient at y_t; elementwise; gamma is `lr` times the warm-up, lambda is
    `weight_decay`, n counts the updates of this parameter):
        y_t     = (1 - beta) z_t + beta x_t
        v_t     = beta2 v_{t-1} + (1 - beta2) g_t²
        z_{t+1} = z_t - gamma_t (g_t / (sqrt(v_t / (1 - beta2^n)) + eps) + lambda y_t)
        x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}
    Guarantee: none is known with the preconditioner. Without it and lambda this is the tableau
        ScheduleFree(beta, start_counts=False), whose bounds hold. Tests keep: equal to the
        published optimizer to rounding; a run cut by save and load is bit-equal; `.grad` stays as
        backward() wrote it.
    Shapes and units:
        params: hold y, and x inside `averaged()`.  lr: units of w.  state: z (x where beta = 0) and
        v, 8 bytes per float32 parameter; 12 with inner momentum. bfloat16 and float16 parameters
        keep z, x and v in float32.

    Args:
        params: parameters, or groups of them.
        lr: the step gamma, a float or a 0-d tensor; 0 moves nothing.
        betas: (beta in [0, 1], beta2 in [0, 1)).
        eps: added to the root.
        weight_decay: lambda.
        warmup_steps: the first W steps are gamma t / W.
        r, weight_lr_power, weights: w_t = t^r (max gamma)^power, and the other kinds in
            `sftheory.optim.averaging`.
        C: the refined average, c_t <- min(1, (1 - beta) C c_t); None for none.
        inner_momentum: mu of an average m of gradients in place of g_t above, bias-corrected.
        averaging_warmup: steps with c_t = 1 before averaging begins; they have no weight.
        decay_at: the point that decays, "y" or "z".
        corrected_decay: lambda gamma_t / max gamma in place of lambda (`AdamC`).
        start_counts: True for c_t = w_{t+1} / (w_1 + ... + w_{t+1}), which only weights made from
            t alone allow.
        maximize, nonfinite, compile, capturable: as for `ScheduleFreeSGD`.

    Raises:
        InputError: an option is out of its range.
        RuntimeError: step() or backward() while the parameters hold x.

    References: defazio2024, song2025, defazio2025.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([3.0]))
        >>> optimizer = ScheduleFreeAdamW([w], lr=0.1)
        >>> for _ in range(300):
        ...     optimizer.zero_grad()
        ...     w.abs().sum().backward()
        ...     _ = optimizer.step()
        >>> with optimizer.averaged():
        ...     bool(w.abs() < 0.2)
        True
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        warmup_steps: int = 0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        weights: Weights = "max",
        C: float | None = None,
        inner_momentum: float = 0.0,
        averaging_warmup: int = 0,
        decay_at: Literal["y", "z"] = "y",
        corrected_decay: bool = False,
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
            warmup_steps=warmup_steps,
            r=r,
            weight_lr_power=weight_lr_power,
            weights=weights,
            C=C,
            inner_momentum=inner_momentum,
            averaging_warmup=averaging_warmup,
            decay_at=decay_at,
            corrected_decay=corrected_decay,
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

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("v", "m") if group["inner_momentum"] else ("v",)

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        return arithmetic.adaptive(
            n,
            beta2=group["betas"][1],
            eps=group["eps"],
            mu=group["inner_momentum"],
            maximize=group["maximize"],
            decay=decay,
            at=group["decay_at"],
        )


def check_adam(group: dict[str, Any], *, below_one: bool = False) -> None:
    """Raises InputError if an option that Adam's relatives share cannot be used."""
    betas = group["betas"]
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise InputError(f"betas must be two numbers, (beta, beta2), but got {betas!r}.")
    real("betas[0]", betas[0], 0, 1)
    if below_one and betas[0] == 1:
        raise InputError("betas[0] = 1 never moves; pass a number in [0, 1).")
    for name, value in (("betas[1]", betas[1]), ("inner_momentum", group.get("inner_momentum", 0))):
        real(name, value, 0, 1)
        if value == 1:
            raise InputError(f"{name} = 1 forgets every gradient; pass a number in [0, 1).")
    real("eps", group["eps"], 0)
    real("weight_decay", group["weight_decay"], 0)
    count("warmup_steps", group.get("warmup_steps", 0), least=0)
    if group.get("decay_at", "y") not in ("y", "z"):
        raise nearest("point that decays", str(group["decay_at"]), ("y", "z"))
