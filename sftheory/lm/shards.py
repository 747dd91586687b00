"""What `Flat` is for whole parameters, for parameters of which each process holds a part (FSDP2).

Averages are elementwise, so each process averages its own parts and nothing is sent. The parts of a
process are one vector here; named by parameter, as `Pieces`, they are saved and read by any number
of processes.
"""

# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class Pieces(dict[str, Any]):
    """A vector of all parameters, or a stack of them, as one sharded tensor for each parameter."""

    def whole(self) -> Tensor:
        """(n,) or (m, n), on every process, all of which must call this."""
        parts = [whole(part) for part in self.values()]
        return torch.cat([part.flatten(self.stacked) for part in parts], dim=self.stacked)

    @property
    def stacked(self) -> int:
        """How many axes come before those of a parameter: 0, or 1 for a stack of vectors."""
        return next(iter(self.values())).placements[0].dim


class Shards:
    """The local parts of a sharded model's parameters and gradients, with the methods of `Flat`."""

    def __init__(self, model: nn.Module) -> None:
        named = dict(model.named_parameters())
        self._names, self._params = list(named), [_sharded(p) for p in named.values()]
        self._theta = torch.cat([local(p).reshape(-1) for p in self._params])

    @property
    def theta(self) -> Tensor:
        """(n of this process,): a copy of its parameters, made anew at each call."""
        return torch.cat([local(p).reshape(-1) for p in self._params], out=self._theta)

    def put(self, vector: Tensor) -> None:
        """Parameters from a vector like `theta`."""
        for p, part in zip(self._params, self._cut(vector), strict=True):
            local(p).copy_(part)

    def point(self) -> Tensor:
        """(n,): all parameters, in bfloat16 on the host; all processes must call this."""
        return torch.cat([whole(p).reshape(-1).bfloat16().cpu() for p in self._params])

    def with_grad(self) -> None:
        """Forget the gradients."""
        for p in self._params:
            p.grad = None

    def norm(self) -> Tensor:
        """The norm of the whole gradient, on its device."""
        norms = [torch.linalg.vector_norm(local(p.grad)) for p in self._params]
        square = torch.linalg.vector_norm(torch.stack(norms)).double().square()
        dist.all_reduce(square)
        return square.sqrt().float()

    def clip(self, norm: Tensor, limit: float) -> None:
        """Scales the gradient, whose norm this is, down to the limit; 0 is none."""
        if limit:
            scale = (limit / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_([local(p.grad) for p in self._params], scale)

    def joined(self, named: Mapping[str, Any]) -> Tensor:
        """The vector of this process's parts of named tensors, sharded or whole."""
        pairs = zip(self._names, self._params, strict=True)
        return torch.cat([local(self.share(named[name], p)).reshape(-1) for name, p in pairs])

    def packed(self, vector: Tensor) -> Pieces:
        """A vector of this process, or a stack of them, as something that can be saved."""
        stacked, answer = vector.ndim - 1, Pieces()
        for name, p, part in zip(self._names, self._params, self._cut(vector), strict=True):
            shape = torch.Size((*vector.shape[:-1], *p.shape))
            answer[name] = _tensors().DTensor.from_local(
                part.contiguous(),
                p.device_mesh,
                [_tensors().Shard(stacked)],
                run_check=False,
                shape=shape,
                stride=torch.empty(shape, device="meta").stride(),
            )
        return answer

    def unpacked(self, saved: Any) -> Tensor:
        """What `packed` was given, from its pieces or from a whole vector."""
        if isinstance(saved, Tensor):
            parts = saved.split([p.numel() for p in self._params], dim=-1)
            saved = {
                name: self.share(part.reshape(*saved.shape[:-1], *p.shape), p, saved.ndim - 1)
                for name, p, part in zip(self._names, self._params, parts, strict=True)
            }
        parts = [local(saved[name]) for name in self._names]
        stacked = parts[0].ndim - self._params[0].ndim
        return torch.cat([part.flatten(stacked) for part in parts], dim=stacked)

    def share(self, value: Tensor, like: Any, stacked: int = 0) -> Any:
        """A whole tensor that every process has, sharded as a parameter is."""
        if is_sharded(value):
            return value
        mesh = like.device_mesh
        value = value.to(local(like).device)
        return _tensors().distribute_tensor(value, mesh, [_tensors().Shard(stacked)])

    def shared_state(self, state: dict[str, Any], optimizer: Any) -> dict[str, Any]:
        """The state of an optimizer with every tensor of a parameter's shape sharded like it."""
        params = [p for group in optimizer.param_groups for p in group["params"]]
        entries = {
            i: {
                k: self.share(v, params[i])
                if isinstance(v, Tensor) and v.shape == params[i].shape
                else v
                for k, v in entry.items()
            }
            for i, entry in state["state"].items()
        }
        return {**state, "state": entries}

    def _cut(self, vector: Tensor) -> list[Tensor]:
        parts = [local(p) for p in self._params]
        cuts = vector.split([part.numel() for part in parts], dim=-1)
        lead = vector.shape[:-1]
        return [cut.reshape(*lead, *p.shape) for cut, p in zip(cuts, parts, strict=True)]


def is_sharded(value: Any) -> bool:
    """Whether it is a DTensor, whose module takes a second to import."""
    return hasattr(value, "device_mesh")


def local(value: Any) -> Tensor:
    """This process's part, or the tensor itself where it is not sharded."""
    value = value.detach()
    return value.to_local() if is_sharded(value) else value


def whole(value: Any) -> Tensor:
    """All of a tensor; of a sharded one all processes must call this."""
    value = value.detach()
    return value.full_tensor() if is_sharded(value) else value


def _sharded(p: Any) -> Any:
    assert is_sharded(p), "the model is not sharded, or its parameters are gathered now"
    return p


def _tensors() -> Any:
    import torch.distributed.tensor as tensors

    return tensors
