r"""What the torch optimizers of the family share: one point, one set of counters, one step.

    y_t     = (1 - beta) z_t + beta x_t       the parameters, where gradients are taken
    z_{t+1} = z_t - gamma_t u_t               state
    x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}     recovered from y and z, and stored where that loses

Parameters hold y, always, except inside `averaged()` and between `eval()` and `train()`. A class of
the family says what beta, gamma and u are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Set
from typing import Any

import torch

from sftheory.core.errors import InputError, nearest, real
from sftheory.optim import arithmetic, averaging, counters, one_step, pieces
from sftheory.optim.gradients import POLICIES, Gradients
from sftheory.optim.holding import Holding
from sftheory.optim.tally import FEW, PAIRS

LOW = (torch.bfloat16, torch.float16)
SMALL_BETA = 0.1  # below it x = (y - (1 - beta) z) / beta loses more than a digit


def loss_of(closure: Any) -> Any:
    """What a closure returns that computes gradients."""
    if not callable(closure):
        raise InputError(
            f"step() takes a closure, a function that calls backward() and returns the loss, but "
            f"got {type(closure).__name__}; pass a loss by its name, step(loss=loss), to classes "
            f"that use it."
        )
    with torch.enable_grad():
        return closure()


class Family(Holding):
    """A torch optimizer whose parameters hold y and which knows x; base of the public classes.

    Attributes:
        tallies: the inner products that a step can take along; tallies_few: those that cost little.
        tally: where a probe wants them; None in a step that nobody looks at.
    """

    tallies: tuple[tuple[str, str], ...] = PAIRS
    tallies_few: Set[tuple[str, str]] = FEW
    tally: Any = None

    def __init__(
        self,
        params: Any,
        defaults: dict[str, Any],
        *,
        nonfinite: str,
        compile: bool | None,
        capturable: bool = False,
    ) -> None:
        if isinstance(params, torch.nn.Module):
            raise InputError(
                f"{type(self).__name__} takes parameters, not a module; pass model.parameters()."
            )
        if nonfinite not in POLICIES:
            raise nearest("policy for gradients that are not finite", str(nonfinite), POLICIES)
        if compile not in (None, True, False):
            raise InputError(f"compile must be True, False or None (auto), but got {compile!r}.")
        self.nonfinite, self.compile = nonfinite, compile
        self.capturable = counters.check(capturable, nonfinite)
        super().__init__(params, {**averaging.COUNTERS, **defaults})

    # What a class of the family defines.

    def _beta(self, group: dict[str, Any]) -> float:
        raise NotImplementedError

    def _direction(self, group: dict[str, Any], n: Any, decay: Any) -> arithmetic.Direction:
        """u for parameters at their n-th update."""
        raise NotImplementedError

    def _moments(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Which of v and m the direction keeps."""
        return ()

    def _gamma(self, group: dict[str, Any]) -> Any:
        """The step at the group's next update."""
        gamma, W = self._rate(group), group.get("warmup_steps", 0)
        t = group["averaged_steps"] + 1
        if self.capturable:
            return gamma * (t / W).clamp(max=1) if W else gamma
        return gamma * (t / W) if t < W else gamma

    def _rate(self, group: dict[str, Any]) -> Any:
        return counters.rate(group) if self.capturable else rate(group["lr"])

    def _rectified(self, group: dict[str, Any], gamma: Any, n: Any) -> Any:
        """The step of parameters at their n-th update, where it depends on n."""
        return gamma

    def _coefficient(self, group: dict[str, Any], gamma: Any) -> Any:
        return averaging.advance(group, gamma, self._beta(group))

    def _check(self, group: dict[str, Any]) -> None:
        """Raises InputError if an option of a group cannot be used."""
        lr = group["lr"]
        if not isinstance(lr, torch.Tensor):
            real("lr", lr, 0)
        elif lr.numel() != 1:
            raise InputError(f"lr must be one number, but got {lr.numel()}; pass a 0-d tensor.")

    # The step.

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore
        """One step from the gradients at y; returns the closure's loss.

        Raises:
            RuntimeError: the parameters hold x; leave `averaged()` or call train(), then step.
            FloatingPointError: a gradient is not finite, with nonfinite="raise".
            InputError: a gradient is sparse.
        """
        self._expect_y("step()")
        loss = None
        if closure is not None:
            loss = loss_of(closure)
        self._take()
        return loss

    def _take(self) -> None:
        gradients = Gradients.of(self.param_groups)
        if gradients and self._accepts(gradients):
            for group, params in gradients.groups:
                self._update(group, params)

    def _accepts(self, gradients: Gradients) -> bool:
        """Whether the policy for gradients that are not finite lets this step happen."""
        if self.nonfinite == "propagate" or gradients.finite():
            return True
        if self.nonfinite == "raise":
            raise FloatingPointError(gradients.complaint())
        self.skipped += 1
        return False

    def _update(self, group: dict[str, Any], params: list[torch.Tensor]) -> None:
        if self.capturable:
            counters.place(group, params[0].device)
        beta, gamma = float(self._beta(group)), self._gamma(group)
        built_with = beta if group["built_with"] is None else group["built_with"]
        if (beta == 0) != (built_with == 0):
            raise InputError(
                f"beta went from {built_with!r} to {beta!r}, but what is stored depends on whether "
                f"it is 0; start a new optimizer instead."
            )
        c = self._coefficient(group, gamma)
        group["built_with"] = beta
        for n, some in self._updated(group, params):
            how = self._direction(group, n, self._decay(group, gamma))
            own = self._rectified(group, gamma, n)
            move = arithmetic.Move.between(own, c, beta, built_with, how.scale)
            rows = [self._row(p, how) for p in some]
            one_step.run(rows, how, move, self._scratch, self.compile, some, self.tally)

    def _updated(self, group: dict[str, Any], params: list[torch.Tensor]) -> counters.Cohorts:
        """Counts an update of each parameter; n, and the parameters that are at it."""
        alike: defaultdict[Any, list[torch.Tensor]] = defaultdict(list)
        for p in params:
            state = self.state[p]
            if "updates" not in state:
                self._start(p, group)
            if not self.capturable:
                state["updates"] += 1
                alike[state["updates"], p.dtype, p.device].append(p)
        if self.capturable:
            return counters.updated(params, group, self.state)
        return [(n, some) for (n, *_), some in alike.items()]

    def _decay(self, group: dict[str, Any], gamma: Any) -> Any:
        """Lambda, or lambda gamma_t / gamma_max with corrected decay."""
        decay = group.get("weight_decay", 0.0)
        if decay == 0 or not group.get("corrected_decay"):
            return decay
        if isinstance(gamma, torch.Tensor):
            largest = group["gamma_max"]
            return decay * gamma / torch.where(largest > 0, largest, 1)
        return decay * gamma / group["gamma_max"] if group["gamma_max"] else 0.0

    def _start(self, p: torch.Tensor, group: dict[str, Any]) -> None:
        state, low = self.state[p], p.dtype in LOW
        keep = {"dtype": torch.float32 if low else p.dtype, "memory_format": torch.preserve_format}
        state["updates"] = 0
        beta = self._beta(group)
        if low or (self.averages and beta != 0):
            state["z"] = p.detach().to(torch.float32) if low else p.detach().clone()
        if self.averages and (low or beta < SMALL_BETA):
            state["x"] = p.detach().to(**keep, copy=True)
        for name in self._moments(group):
            state[name] = torch.zeros_like(p, **keep)

    def _row(self, p: torch.Tensor, how: arithmetic.Direction) -> pieces.Row:
        state = self.state[p]
        rebuilt = p.dtype in LOW or {"z", "x"} <= state.keys()
        row = {"p" if rebuilt else "y": p, "g": p.grad}
        return row | {k: state[k] for k in ("z", "x", "v", "m") if k in state}


def rate(lr: Any) -> Any:
    """A learning rate as a float, or as a tensor where reading it would stop an accelerator."""
    if isinstance(lr, torch.Tensor):
        return float(lr) if lr.device.type == "cpu" else lr.reshape(())
    return float(lr)
