"""How the processes of a run share its model: alone, as replicas (DDP) or as shards (FSDP2).

none   one process; the parameters are one vector
ddp    every process has all parameters; torch averages the gradients while backward runs
fsdp   every process has 1/W of parameters, gradients, optimizer and averages, and gathers a
       block when it computes it; gradients are summed after each micro-batch, so that no
       process ever holds all of them
"""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sftheory.lm.flat import Flat
from sftheory.lm.parallel import World
from sftheory.lm.shards import Shards
from sftheory.lm.transformer import Norm, Transformer

Loss = Callable[..., tuple[Tensor, Tensor]]


def arranged(
    model: Transformer, world: World, wrap: Callable[[Any], Any], *, trains: bool = True
) -> tuple[Any, Loss]:
    """The vector of the parameters, and the function from tokens to objective and loss.

    Args:
        model: on its device; its parameters are replaced.
        world: the processes.
        wrap: compiles a function, or leaves it.
        trains: False for a model that is only evaluated, whose gradients nobody shares.

    Returns:
        a `Flat` or `Shards`, and a function of tokens with `last`, which says that no other
        micro-batch of this step follows.
    """
    if world.kind == "fsdp":
        _shard(model, wrap, keep=trains)
        return Shards(model), _of_all(model.loss)
    flat = Flat(model)
    if world.kind == "ddp" and trains:
        return flat, _replicated(model, wrap)
    return flat, _of_all(wrap(model.loss))


def _of_all(loss: Any) -> Loss:
    return lambda tokens, *, last=True: loss(tokens)


class _Objective(nn.Module):
    """The loss as the forward pass that DDP wants."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.loss(tokens)


def _replicated(model: Transformer, wrap: Callable[[Any], Any]) -> Loss:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this word has another name in new versions of torch
        replica = DistributedDataParallel(_Objective(model), broadcast_buffers=False)
    compiled = wrap(replica)
    shown: Any = model  # a probe asks it whether a gradient is that of all processes

    def loss(tokens: Tensor, *, last: bool = True) -> tuple[Tensor, Tensor]:
        replica.require_backward_grad_sync = shown.require_backward_grad_sync = last
        return compiled(tokens)

    return loss


def _shard(model: Transformer, wrap: Callable[[Any], Any], *, keep: bool) -> None:
    """Each block is gathered as a whole, and everything else together."""
    from torch.distributed import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    world = torch.distributed.get_world_size()
    low = model.dtype != torch.float32
    how: Any = {
        "mesh": init_device_mesh(model.embedding.device.type, (world,)),
        "mp_policy": MixedPrecisionPolicy(model.dtype, torch.float32)
        if low
        else MixedPrecisionPolicy(),
    }
    blocks: Any = model.blocks
    for module in model.modules():
        if isinstance(module, Norm) and module.weight.device.type == "cpu":
            _lend_copies(module)
    for block in blocks:
        block.forward = wrap(block.forward)  # the block's name and hooks stay as they are
        fully_shard(block, **how)
    # between forward and backward embedding and head are needed again at once
    fully_shard(model, reshard_after_forward=not keep, **how)
    register_fsdp_forward_method(model, "loss")


def _lend_copies(norm: Norm) -> None:
    """The kernels for processors lend a gain's memory to NumPy, and FSDP could not free it then."""
    own: list[Any] = []

    def before(*_: Any) -> None:
        own.append(norm._parameters["weight"])
        lent: Any = norm.weight.clone()
        norm._parameters["weight"] = lent

    def after(*_: Any) -> None:
        norm._parameters["weight"] = own.pop()

    norm.register_forward_pre_hook(before)
    norm.register_forward_hook(after)
