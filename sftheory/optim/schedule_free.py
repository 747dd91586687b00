"""Any torch optimizer made schedule-free."""

from __future__ import annotations

from typing import Any

import torch

from sftheory.core.errors import InputError, real
from sftheory.optim import arithmetic, averaging, nested
from sftheory.optim.averaging import Weights
from sftheory.optim.family import LOW, Family
from sftheory.optim.family import rate as learning_rate
from sftheory.optim.gradients import Gradients


class ScheduleFree(Family):
    r"""A torch optimizer that steps on z, with gradients at y and an average x around it.

    Problem: minimise E f(w; batch) over parameters w.
    Update: y_t = (1 - beta) z_t + beta x_t; z_{t+1} is what the base optimizer makes of z_t and the
        gradient at y_t; x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}.
    Guarantee: x inherits a regret bound of the base optimizer (defazio2024, online to batch).
        Around torch's SGD this is `ScheduleFreeSGD`, around Adam with betas (0, beta2)
        `ScheduleFreeAdamW`.
    Shapes and units:
        params: hold y, and x inside `averaged()`.  state: the base optimizer's, in its own
        namespace, and one tensor: z, or x where beta = 0. bfloat16 and float16 parameters keep z
        and x in float32, and the base optimizer works on z.
        It is a torch Optimizer which shares `param_groups` with its base: schedulers, hooks and
        state_dict work on it. Weight decay of the base acts at z.

    Args:
        base_optimizer: any torch optimizer with `lr`, freshly made or not, that needs no closure.
        momentum: beta in [0, 1].
        weight_decay_at_y: decoupled weight decay at y, which the base must not do too.
        r, weight_lr_power, weights, C, averaging_warmup, start_counts: as for `ScheduleFreeSGD`.
        nonfinite: as for `ScheduleFreeSGD`.

    Raises:
        InputError: an option is out of its range, or the base is no torch optimizer or needs a
            closure.
        RuntimeError: step() or backward() while the parameters hold x.

    References: defazio2024.

    Example:
        >>> import torch
        >>> w = torch.nn.Parameter(torch.tensor([3.0]))
        >>> optimizer = ScheduleFree(torch.optim.RMSprop([w], lr=0.05))
        >>> for _ in range(300):
        ...     optimizer.zero_grad()
        ...     w.abs().sum().backward()
        ...     _ = optimizer.step()
        >>> with optimizer.averaged():
        ...     bool(w.abs() < 0.2)
        True
    """

    tallies = ()  # the base optimizer steps

    def __init__(
        self,
        base_optimizer: torch.optim.Optimizer,
        momentum: float = 0.9,
        *,
        weight_decay_at_y: float = 0.0,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        weights: Weights = "max",
        C: float | None = None,
        averaging_warmup: int = 0,
        start_counts: bool = False,
        nonfinite: str = "propagate",
    ) -> None:
        if not isinstance(base_optimizer, torch.optim.Optimizer) or isinstance(
            base_optimizer, (Family, torch.optim.LBFGS)
        ):
            raise InputError(
                f"ScheduleFree wraps a torch optimizer that steps without a closure and does not "
                f"average itself, not {type(base_optimizer).__name__}."
            )
        self._momentum = real("momentum", momentum, 0, 1)
        self._decay_at_y = real("weight_decay_at_y", weight_decay_at_y, 0)
        self._base: torch.optim.Optimizer | None = None
        own = dict(
            r=r,
            weight_lr_power=weight_lr_power,
            weights=weights,
            C=C,
            averaging_warmup=averaging_warmup,
            start_counts=start_counts,
            base=type(base_optimizer).__name__,
        )
        defaults = {**base_optimizer.defaults, **own}
        super().__init__(base_optimizer.param_groups, defaults, nonfinite=nonfinite, compile=False)
        self._adopt(base_optimizer)

    @property
    def base_optimizer(self) -> torch.optim.Optimizer:
        """The optimizer that makes z_{t+1} of z_t."""
        assert self._base is not None
        return self._base

    def _adopt(self, base: torch.optim.Optimizer) -> None:
        self._base = base
        self.param_groups = base.param_groups  # one list, so that a scheduler's lr reaches the base

    def _beta(self, group: dict[str, Any]) -> float:
        return self._momentum

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        averaging.check(group, self._momentum)

    def _gamma(self, group: dict[str, Any]) -> Any:
        return learning_rate(group["lr"])

    def _take(self) -> None:
        gradients = Gradients.of(self.param_groups)
        if not gradients or not self._accepts(gradients):
            return
        beta = self._momentum
        moves = []
        for group, params in gradients.groups:
            gamma = self._gamma(group)
            for p in params:
                if "updates" not in self.state[p]:
                    self._start(p, group)
                self.state[p]["updates"] += 1
            c = self._coefficient(group, gamma)
            group["built_with"] = beta
            moves.append((params, gamma * self._decay_at_y, c))
        for params, decay, _ in moves:
            for p in params:
                self._forget_z(p, decay)
        self._base_step(gradients.params)
        for params, _, c in moves:
            for p in params:
                self._average(p, c)

    def _forget_z(self, p: torch.Tensor, decay: Any) -> None:
        """Decays z at y; then, where x is not stored, y becomes y - (1 - beta) z = beta x."""
        state = self.state[p]
        z = state.get("z", p.detach())
        keep = 1 - self._momentum
        if "x" in state:
            y = torch.lerp(z, state["x"], self._momentum) if "z" in state else z
            z.sub_(y * decay)
        else:
            y = p.detach()
            shift = y * decay
            y.sub_(z, alpha=keep)
            z.sub_(shift)

    def _base_step(self, params: list[torch.Tensor]) -> None:
        """The base optimizer's step with z in place of the parameters' memory."""
        held, sharded = [], []
        for p in params:
            z = self.state[p].get("z")
            if z is None:
                continue
            if hasattr(p, "to_local"):  # a DTensor's memory cannot be exchanged
                sharded.append((p, z, p.detach().clone()))
                p.copy_(z)
                continue
            held.append((p, p.data, p.grad))
            grad, p.grad = p.grad, None
            p.data = z
            p.grad = grad.to(p.dtype)  # pyright: ignore[reportOptionalMemberAccess]
        try:
            self.base_optimizer.step()
        finally:
            for p, data, grad in held:
                p.grad = None
                p.data = data
                p.grad = grad
            for p, z, y in sharded:
                z.copy_(p)
                p.copy_(y)

    def _average(self, p: torch.Tensor, c: Any) -> None:
        state, beta = self.state[p], self._momentum
        if "x" in state:
            z = state.get("z", p.detach())
            arithmetic.lerp([state["x"]], [z], c)
            if "z" in state:
                p.copy_(torch.lerp(z, state["x"], beta))
        else:
            p.mul_(1 - c)
            arithmetic.add([p], [state["z"]], 1 - beta * (1 - c))

    # Groups and checkpoints.

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds the group to the base optimizer too."""
        if self._base is None:
            super().add_param_group(param_group)
            return
        self._check({**self.defaults, **param_group})
        self._base.add_param_group(param_group)
        group = self.param_groups[-1]
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        if self.holds == "x":
            self._unguard()
            self._guard()

    def state_dict(self) -> dict[str, Any]:
        """As in torch; the base optimizer's entries of a parameter have names "base.…"."""
        saved, its = super().state_dict(), self.base_optimizer.state_dict()["state"]
        return {**saved, "state": nested.merged(saved["state"], its)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch, for this optimizer and its base."""
        base = self.base_optimizer
        for group in state_dict["param_groups"]:
            if group.get("base") != type(base).__name__:
                raise InputError(
                    f"This state was saved around {group.get('base', 'no base optimizer')!r} and "
                    f"not around {type(base).__name__!r}; wrap the same optimizer."
                )
        mine, its = nested.split(state_dict["state"])
        super().load_state_dict({**state_dict, "state": mine})
        wide = [
            (p, p.data)
            for group in self.param_groups
            for p in group["params"]
            if p.dtype in LOW and "z" in self.state.get(p, {})
        ]
        for p, _ in wide:  # the base's state has z's dtype, which torch would cast to p's
            p.grad, p.data = None, self.state[p]["z"]
        base.load_state_dict({"state": its, "param_groups": state_dict["param_groups"]})
        for p, data in wide:
            p.data = data
        for own, shared in zip(self.param_groups, base.param_groups, strict=True):
            shared.clear()
            shared.update(own)
        self._adopt(base)

    def __getstate__(self) -> dict[str, Any]:
        own = ("_momentum", "_decay_at_y", "_base")
        return {**super().__getstate__(), **{k: getattr(self, k) for k in own}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_base" in state:  # unpickled or copied; load_state_dict comes here too
            self._adopt(state["_base"])
