"""All parameters of a model as one vector, and their gradients as another, without copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Flat:
    """Makes the parameters of a model views of one float32 vector.

    Attributes:
        theta: (n,): what averages read and checkpoints store.
        grad: (n,): what clipping reads; None until `with_grad`.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> flat = Flat(model)
        >>> _ = flat.theta.fill_(3.0)
        >>> model.weight.tolist(), model.bias.tolist()
        ([[3.0, 3.0]], [3.0])
    """

    def __init__(self, model: nn.Module) -> None:
        named = dict(model.named_parameters())
        self._names, self._params = list(named), list(named.values())
        self.theta = torch.cat([p.detach().reshape(-1) for p in self._params])
        self.grad: Tensor | None = None
        for p, part in zip(self._params, self.cut(self.theta), strict=True):
            p.data = part

    def cut(self, vector: Tensor) -> list[Tensor]:
        """Views of a vector, shaped like the parameters."""
        parts = vector.split([p.numel() for p in self._params])
        return [part.view(p.shape) for part, p in zip(parts, self._params, strict=True)]

    def put(self, vector: Tensor) -> None:
        """Parameters from a vector like `theta`."""
        self.theta.copy_(vector)

    def point(self) -> Tensor:
        """(n,): the parameters."""
        return self.theta

    def joined(self, named: Mapping[str, Tensor]) -> Tensor:
        """(n,): tensors, named and shaped like the parameters, as one vector."""
        return torch.cat([named[name].reshape(-1) for name in self._names])

    def packed(self, vector: Tensor) -> Tensor:
        """A vector as something that can be saved."""
        return vector

    def unpacked(self, saved: Tensor) -> Tensor:
        """What `packed` was given."""
        return saved

    def shared_state(self, state: dict[str, Any], optimizer: Any) -> dict[str, Any]:
        """The state of an optimizer, as it is."""
        return state

    def with_grad(self) -> Tensor:
        """Gradients gather in one vector from now on, which is returned, zeroed."""
        if self.grad is None:
            self.grad = torch.zeros_like(self.theta)
        else:
            self.grad.zero_()
        for p, part in zip(self._params, self.cut(self.grad), strict=True):
            if p.grad is None or p.grad.data_ptr() != part.data_ptr():
                p.grad = part
        return self.grad

    def norm(self) -> Tensor:
        """The norm of the whole gradient, on its device."""
        assert self.grad is not None
        return torch.linalg.vector_norm(self.grad)

    def clip(self, norm: Tensor, limit: float) -> None:
        """Scales the gradient, whose norm this is, down to the limit; 0 is none."""
        assert self.grad is not None
        if limit:
            self.grad.mul_((limit / (norm + 1e-6)).clamp(max=1.0))
