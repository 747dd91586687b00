"""x, y and z of an optimizer's parameters: putting one in place of another, saving, checking."""

from __future__ import annotations

from typing import Any

import torch

from sftheory.core.errors import InputError
from sftheory.optim.pieces import local, total


def average(optimizer: Any, p: torch.Tensor, group: dict[str, Any]) -> torch.Tensor:
    """x of one parameter in its own dtype, while the parameters hold y."""
    state = optimizer.state.get(p, {})
    if "x" in state:
        return state["x"].to(p.dtype)
    beta = group["built_with"]
    if "z" not in state or not optimizer.averages or beta == 1:
        return p.detach()
    return p.detach() + (1 - 1 / beta) * (state["z"] - p.detach())


def _held(optimizer: Any) -> Any:
    """The parameters that were updated, with their group."""
    for group in optimizer.param_groups:
        for p in group["params"]:
            if "updates" in optimizer.state.get(p, {}):
                yield p, group


@torch.no_grad()
def put_average(optimizer: Any) -> None:
    """Parameters become x; y is kept in the state, which makes the way back exact."""
    if not optimizer.averages:
        return
    for p, group in _held(optimizer):
        kept = p.detach().clone()
        p.copy_(average(optimizer, p, group))
        optimizer.state[p]["y"] = kept


@torch.no_grad()
def put_back(optimizer: Any) -> None:
    """Parameters become y: the kept one, or (1 - beta) z + beta x where x was declared."""
    if not optimizer.averages:
        return
    for p, group in _held(optimizer):
        state, beta = optimizer.state[p], group["built_with"]
        if "y" in state:
            p.copy_(state.pop("y"))
        elif "x" in state:
            p.copy_(torch.lerp(state["z"], state["x"], beta))
        else:
            p.lerp_(state["z"], 1 - beta)


def declare(optimizer: Any, holds: str) -> None:
    """Drops a kept y where the parameters hold y; where they hold x, z must be known."""
    for p, _ in _held(optimizer):
        state = optimizer.state[p]
        if holds == "y":
            state.pop("y", None)
        elif optimizer.averages and "z" not in state and "y" not in state:
            raise InputError(
                "With beta=0 the parameters are z, which a state saved at y does not hold; load "
                "the model that was saved together with this state."
            )


@torch.no_grad()
def averaged_state_dict(optimizer: Any, model: torch.nn.Module) -> dict[str, Any]:
    """The model's state_dict with x for every parameter of the optimizer."""
    if not isinstance(model, torch.nn.Module):
        raise InputError(
            f"averaged_state_dict() needs the model, a torch.nn.Module, but got "
            f"{type(model).__name__}; pass the model itself."
        )
    groups = {p: group for group in optimizer.param_groups for p in group["params"]}
    own = {id(p) for p in model.parameters()}
    for p in groups:
        if id(p) not in own:
            raise InputError(
                f"The optimizer's parameter of shape {tuple(p.shape)} is not one of the model's; "
                f"pass the model that it was made for."
            )
    at_y = optimizer.holds == "y"
    entries: dict[str, Any] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, torch.nn.Parameter) and value in groups and at_y:
            value = average(optimizer, value, groups[value])
        entries[name] = value.detach().clone() if isinstance(value, torch.Tensor) else value
    return entries


# Checkpoints.


def fingerprint(group: dict[str, Any]) -> int:
    """A sum of the bits of a group's parameters, the same however they are sharded."""
    parts = []
    for p in group["params"]:
        t = local(p.detach())
        t = torch.view_as_real(t) if t.is_complex() else t
        bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(t.element_size(), torch.uint8)
        parts.append(t.view(bits).sum(dtype=torch.int64))
    return int(total(group["params"], parts)) if parts else 0


def state_dict(optimizer: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """Torch's state_dict, with the facts in every group and no alias of what step() rebinds."""
    kinds = {name: type(getattr(type(optimizer), name)) for name in optimizer.facts}
    facts = {name: kind(getattr(optimizer, name)) for name, kind in kinds.items()}  # may wait
    groups = [
        {**packed, **facts, "fingerprint": fingerprint(group)}
        for packed, group in zip(saved["param_groups"], optimizer.param_groups, strict=True)
    ]
    state = {k: dict(v) if isinstance(v, dict) else v for k, v in saved["state"].items()}
    return {**saved, "state": state, "param_groups": groups}


def check_loadable(optimizer: Any, saved: dict[str, Any]) -> None:
    """Raises InputError unless an optimizer of the family saved this at one point."""
    name = type(optimizer).__name__
    if not isinstance(saved, dict) or not {"state", "param_groups"} <= saved.keys():
        raise InputError(
            f"This is no state of an optimizer; load what state_dict() of a {name} returned."
        )
    groups = saved["param_groups"]
    lacks = [key for key in optimizer.defaults if any(key not in group for group in groups)]
    if lacks and all("holds" in group for group in groups):
        raise InputError(
            f"This state was saved by another class: it has no {lacks[0]!r}, which {name} needs; "
            f"load it into an optimizer of the class that saved it."
        )
    if any(fact not in g for g in groups for fact in (*optimizer.facts, "averaged_steps")):
        raise InputError(
            f"This state was not saved by {name}: it does not say which point "
            f"its parameters hold; load a state_dict() of sftheory's own optimizers."
        )
    if len({g["holds"] for g in groups}) > 1:
        raise InputError("The groups of this state hold different points; save it again at one.")


def split(
    saved: dict[str, Any], facts: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any], list[int] | None]:
    """The saved state as torch knows it, the facts, and the fingerprints where there is state."""
    groups = saved["param_groups"]
    extra = {*facts, "fingerprint"}
    plain = [{k: v for k, v in g.items() if k not in extra} for g in groups]
    marks = [g["fingerprint"] for g in groups] if saved["state"] else None
    return {**saved, "param_groups": plain}, {k: groups[0][k] for k in facts}, marks


@torch.no_grad()
def restore_dtypes(optimizer: Any, saved: dict[str, Any]) -> None:
    """Undoes torch's cast of the state to the parameters' dtype; numbers follow their device."""
    for group, packed in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        for p, index in zip(group["params"], packed["params"], strict=True):
            for key, value in saved["state"].get(index, {}).items():
                if isinstance(value, torch.Tensor) and value.dtype != optimizer.state[p][key].dtype:
                    optimizer.state[p][key] = value.detach().to(p.device, copy=True)
        device = group["params"][0].device if group["params"] else None
        for key, value in group.items():
            if isinstance(value, torch.Tensor) and key != "lr":
                group[key] = value.to(device)


def verify(optimizer: Any, marks: list[int]) -> None:
    """Raises RuntimeError unless the parameters are the point that a state was saved with."""
    for group, mark in zip(optimizer.param_groups, marks, strict=False):
        if fingerprint(group) != mark:
            raise RuntimeError(
                f"The parameters are not the point {optimizer.holds} that the loaded optimizer "
                f"state was saved with; load the model saved together with it, or say which point "
                f"they hold by optimizer.declare('x') or optimizer.declare('y')."
            )
