"""The first state of a branch: a checkpoint of another run, continued or taken as weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sftheory.core.errors import InputError, nearest
from sftheory.lm import checkpoints, optimizers
from sftheory.lm.adapters import adapt, merged_weights, on_base
from sftheory.lm.config import Config
from sftheory.lm.session import Session
from sftheory.lm.store import check_unchanged
from sftheory.lm.transformer import Transformer


def begin(session: Session, out: Path) -> None:
    """Put a session at its [start]; a run of its own stays as it was initialised.

    Raises:
        InputError: the run or checkpoint is not in `out`, or does not fit to this config.
    """
    start = session.config.start
    if not start.run:
        return
    parent = check_unchanged(out / start.run)
    where = out / start.run / "checkpoints"
    state = session.world.agreed(lambda: checkpoints.read(where, start.step))
    same = parent.lora == session.config.lora
    if start.point == "state":
        if parent.optimizer.name != session.config.optimizer.name:
            raise InputError(
                f"The state of {parent.optimizer.name} cannot continue with "
                f"{session.config.optimizer.name}; set start.point to 'last' or 'x', which takes "
                f"the weights alone."
            )
        if not same:
            raise InputError(
                "start.point='state' cannot continue with another [lora], which has other "
                "parameters; set it to 'last' or 'x', which takes the weights alone."
            )
        options = asked(session)
        session.load(state)
        for group, own in zip(session.optimizer.param_groups, options, strict=True):
            group.update(own)
        return
    if same:
        session.load_weights(tensors_at(parent, state, start.point))
    else:  # adapters of the parent are merged
        session.load_weights(on_base(session.model, weights_at(parent, state, start.point)))
    session.step, session.samples = state["step"], state["samples"]


def asked(session: Session) -> list[dict[str, Any]]:
    """For each group what the config says of the optimizer, which a loaded state must not undo."""
    keys = {"weight_decay", *session.config.optimizer.options}
    return [
        {k: v for k, v in group.items() if k in keys} for group in session.optimizer.param_groups
    ]


@torch.no_grad()
def weights_at(config: Config, state: dict[str, Any], point: str) -> dict[str, Tensor]:
    """The named weights at a point of a state: "last", "x", or the name of an average.

    With [lora] these are W + (alpha / r) B A, of A and B at that point.

    Raises:
        InputError: the state has no such point.
    """
    return merged_weights(config.lora, tensors_at(config, state, point))


@torch.no_grad()
def tensors_at(config: Config, state: dict[str, Any], point: str) -> dict[str, Tensor]:
    """As `weights_at`, but of a run with [lora] its frozen tensors and its adapters."""
    named = state["model"]
    if point == "last":
        return named
    model = _model_of(config, named)
    if point == "x":
        optimizer: Any = optimizers.build(config.optimizer, model)
        if not optimizers.has_average(optimizer):
            raise InputError(
                f"{config.optimizer.name} has no average x; take 'last' or the name of an average."
            )
        optimizer.load_state_dict(state["optimizer"])
        return optimizer.averaged_state_dict(model)
    saved = state["averages"].get(point)
    if saved is None or not saved["count"]:
        raise nearest("average in this state", point, ["last", "x", *state["averages"]])
    value = saved["value"].mean(0) if saved["value"].ndim == 2 else saved["value"]
    torch.nn.utils.vector_to_parameters(value, model.parameters())
    return dict(model.state_dict())


@torch.no_grad()
def weights_of(config: Config, state: dict[str, Any], theta: Tensor) -> dict[str, Tensor]:
    """The named weights where the trained parameters are theta, (n,)."""
    model = _model_of(config, state["model"])
    torch.nn.utils.vector_to_parameters(theta, model.parameters())
    return merged_weights(config.lora, model.state_dict())


def _model_of(config: Config, named: dict[str, Tensor]) -> Transformer:
    model = Transformer(config.model, named["embedding"].shape[0])
    adapt(model, config)
    model.load_state_dict(named)
    return model
