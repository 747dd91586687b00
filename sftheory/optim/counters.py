r"""The numbers that change between steps, as tensors that each step writes in place.

A CUDA graph replays what a step did on the device, with the host's numbers as they were. With
capturable=True the counters of a group and the updates n of its parameters are 0-d float64 tensors
on the device, so that a replay counts on. Parameters updated in the same steps share one n.
Checkpoints hold numbers of the host either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from sftheory.core.errors import InputError

NAMES = ("averaged_steps", "weight_sum", "gamma_max", "scheduled_lr", "c")
Cohorts = list[tuple[Any, list[torch.Tensor]]]


def check(capturable: Any, nonfinite: str) -> bool:
    """Raises InputError if a step cannot be captured as asked."""
    if capturable not in (True, False):
        raise InputError(f"capturable must be True or False, but got {capturable!r}.")
    if capturable and nonfinite != "propagate":
        raise InputError(
            f"nonfinite={nonfinite!r} looks at the gradients, for which capturable=True cannot "
            f"wait; pass nonfinite='propagate'."
        )
    return bool(capturable)


def place(group: dict[str, Any], device: torch.device) -> None:
    """Moves the counters of a group to the device, unless they are there."""
    for name in NAMES:
        group[name] = tensor(group[name], device)


def tensor(value: Any, device: torch.device) -> torch.Tensor:
    """A counter on the device; the same one if it is there.

    A Parameter, because torch.compile loses what is written to other float64 scalars of processors.
    """
    if isinstance(value, torch.nn.Parameter) and value.device == device:
        return value
    if isinstance(value, torch.Tensor):
        made = value.to(device, torch.float64, copy=True)
    else:
        made = torch.full((), value, dtype=torch.float64, device=device)
    return torch.nn.Parameter(made, requires_grad=False)


def placed(group: dict[str, Any]) -> bool:
    """Whether the counters of a group are on the device."""
    return isinstance(group["averaged_steps"], torch.Tensor)


def put(group: dict[str, Any], name: str, value: Any) -> None:
    """Sets a counter: in place where it is on the device."""
    if placed(group):
        group[name].fill_(value)
    else:
        group[name] = value


def rate(group: dict[str, Any]) -> torch.Tensor:
    """The learning rate on the device; a tensor is read there at every replay."""
    lr, t = group["lr"], group["averaged_steps"]
    return lr.reshape(()).to(t) if isinstance(lr, torch.Tensor) else torch.full_like(t, lr)


def updated(params: list[torch.Tensor], group: dict[str, Any], states: Mapping) -> Cohorts:
    """Counts an update of each parameter; n on the device and the parameters that share it.

    Raises:
        InputError: a parameter lies on another device than the counters of its group.
    """
    known = (states[p].get("updates") for p in group["params"] if p in states)
    sharing = Counter(id(n) for n in known if isinstance(n, torch.Tensor))
    made: dict[Any, torch.Tensor] = {}
    cohorts: dict[int, list[torch.Tensor]] = {}
    for p in params:
        n = states[p]["updates"]
        if not isinstance(n, torch.Tensor):  # a first update, or loaded
            if p.device != group["averaged_steps"].device:
                raise InputError(
                    f"capturable=True keeps the counters of a group on one device, but its "
                    f"parameters lie on {group['averaged_steps'].device} and {p.device}; make a "
                    f"group for each."
                )
            if (n, p.dtype) not in made:
                made[n, p.dtype] = tensor(n, p.device)
            n = states[p]["updates"] = made[n, p.dtype]
        cohorts.setdefault(id(n), []).append(p)
    found: Cohorts = []
    for some in cohorts.values():
        n = states[some[0]]["updates"]
        if len(some) < sharing[id(n)]:  # the others have no gradient, and count alone from now on
            n = tensor(n.clone(), n.device)
            for p in some:
                states[p]["updates"] = n
        found.append((n.add_(1), some))
    return found


def on_host(saved: dict[str, Any]) -> dict[str, Any]:
    """A state_dict whose counters are numbers of the host; those of tensors are read."""
    groups = [
        {**g, **{k: float(g[k]) for k in NAMES}, "averaged_steps": int(g["averaged_steps"])}
        if placed(g)
        else g
        for g in saved["param_groups"]
    ]
    read: dict[int, int] = {}
    state: dict[Any, Any] = {}
    for key, entries in saved["state"].items():
        n = entries.get("updates") if isinstance(entries, dict) else None
        if isinstance(n, torch.Tensor):
            if id(n) not in read:
                read[id(n)] = int(n)
            entries = {**entries, "updates": read[id(n)]}
        state[key] = entries
    return {**saved, "state": state, "param_groups": groups}
