"""The optimizers of a run by name: those of `sftheory.optim`, AdamW, SGD and Muon."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sftheory import optim
from sftheory.core.errors import InputError, nearest
from sftheory.lm.sections import Optimizer

_OWN = {
    "adamc": "AdamC",
    "gpa_adamw": "GPAAdamW",
    "polyak_schedule_free_sgd": "PolyakScheduleFreeSGD",
    "schedule_free_adamw": "ScheduleFreeAdamW",
    "schedule_free_plus": "ScheduleFreePlus",
    "schedule_free_radam": "ScheduleFreeRAdam",
    "schedule_free_sgd": "ScheduleFreeSGD",
}
OPTIMIZERS = sorted(["adamw", "sgd", "muon", "schedule_free", *_OWN])


def build(section: Optimizer, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that [optimizer] names; matrices decay, other parameters do not.

    Raises:
        InputError: an unknown name or option, or one out of its range.
    """
    return _build(section.name, section.lr, section.weight_decay, section.options, model)


def _build(
    name: str, lr: float, decay: float, options: dict[str, Any], model: nn.Module
) -> torch.optim.Optimizer:
    if name not in OPTIMIZERS:
        raise nearest("optimizer", name, OPTIMIZERS)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    if name == "muon":
        return Muon(model, lr, decay, options)
    if name == "schedule_free":
        base, inside = options.pop("base", "adamw"), options.pop("base_options", {})
        wrapped = _build(base, lr, decay, inside, model)
        return _made(optim.ScheduleFree, [wrapped], options)
    groups = grouped(model, decay)
    if name == "adamw":
        return _made(
            torch.optim.AdamW, [groups], {"betas": (0.9, 0.95), "fused": True} | options, lr
        )
    if name == "sgd":
        return _made(torch.optim.SGD, [groups], options, lr)
    return _made(getattr(optim, _OWN[name]), [groups], options, lr)


def grouped(model: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices with weight decay, everything else and learned positions without."""
    decayed, plain = [], []
    for name, p in model.named_parameters():
        (decayed if p.ndim >= 2 and name != "positions" else plain).append(p)
    return [
        {"params": decayed, "weight_decay": decay},
        {"params": plain, "weight_decay": 0.0},
    ]


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The step of every group."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def wants_loss(optimizer: torch.optim.Optimizer) -> bool:
    """Whether step() makes its size from the loss."""
    return "loss" in inspect.signature(optimizer.step).parameters


def has_average(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer has an x of its own."""
    return hasattr(optimizer, "averaged_state_dict") and getattr(optimizer, "averages", False)


class Muon(torch.optim.Optimizer):
    """Muon for the matrices between embedding and head, AdamW for the rest, as one optimizer.

    Steps of matrices are scaled to AdamW's root mean square, so that one lr serves both.

    Args:
        model: whose parameters it gets.
        lr, weight_decay: of both.
        options: momentum, nesterov, ns_steps and eps of Muon, betas of AdamW.
    """

    def __init__(
        self, model: nn.Module, lr: float, weight_decay: float, options: dict[str, Any]
    ) -> None:
        muon: Any = getattr(torch.optim, "Muon", None)
        if muon is None:
            raise InputError(
                f"Muon is part of torch from 2.9 on, and this is {torch.__version__}; update torch."
            )
        betas = options.pop("betas", (0.9, 0.95))
        named = list(model.named_parameters())
        hidden = [p for name, p in named if p.ndim == 2 and name.startswith("blocks.")]
        inside = {id(p) for p in hidden}
        rest = grouped(model, weight_decay)
        for group in rest:
            group["params"] = [p for p in group["params"] if id(p) not in inside]
        options = {"adjust_lr_fn": "match_rms_adamw", "weight_decay": weight_decay} | options
        self._parts = [
            _made(muon, [hidden], options, lr),
            torch.optim.AdamW(rest, lr=lr, betas=betas, fused=True),
        ]
        super().__init__([g for part in self._parts for g in part.param_groups], {})
        self._share()

    def _share(self) -> None:
        """One list of groups and one state, so that schedules, probes and wrappers see both."""
        first = len(self._parts[0].param_groups)
        for part, groups in zip(
            self._parts, (self.param_groups[:first], self.param_groups[first:]), strict=True
        ):
            part.param_groups, part.state = groups, self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore
        """One step of both."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As in torch."""
        super().load_state_dict(state_dict)
        self._share()


def _made(cls: Any, args: list[Any], options: dict[str, Any], lr: float | None = None) -> Any:
    known = set(inspect.signature(cls).parameters) - {"params", "lr", "base_optimizer"}
    for option in options:
        if option not in known:
            raise nearest(f"option of {cls.__name__},", option, known)
    try:
        return cls(*args, **options, **({} if lr is None else {"lr": lr}))
    except (TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{cls.__name__} refuses its options: {error}; change them.") from None
