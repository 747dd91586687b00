"""The one-pass kernels as differentiable functions, and when they take the place of torch's."""
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sftheory.lm import kernels


def usable(h: Tensor) -> bool:
    """Whether the kernels can work on this tensor: float32 on a processor, outside compilation."""
    return h.device.type == "cpu" and h.dtype == torch.float32 and not torch.compiler.is_compiling()


class RMSNorm(torch.autograd.Function):
    """(..., d) and a gain (d,)."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, gain: Tensor, eps: float) -> Tensor:
        h = h.contiguous()
        out, scale = torch.empty_like(h), h.new_empty(h.shape[:-1])
        x, y = _rows(h), _rows(out)
        g, r, e = gain.detach().numpy(), scale.view(-1).numpy(), np.float32(eps)
        kernels.shared(lambda _, a, b: kernels.norm_rows(x, g, e, y, r, a, b), x.shape[0], x.size)
        ctx.save_for_backward(h, gain, scale)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        h, gain, scale = ctx.saved_tensors
        dx = torch.empty_like(h)
        x, dy, out = _rows(h), _rows(grad.contiguous()), _rows(dx)
        g, r = gain.detach().numpy(), scale.view(-1).numpy()
        sums = np.zeros((kernels.shares_of(x.size), x.shape[1]), dtype=np.float32)
        kernels.shared(
            lambda i, a, b: kernels.norm_back_rows(dy, x, g, r, out, sums[i], a, b),
            x.shape[0],
            x.size,
        )
        return dx, torch.from_numpy(sums.sum(0)), None


class NormedTurned(torch.autograd.Function):
    """qkv (B, T, 3, H, w) to q and k, normed and turned, and v, each (B, T, H, w)."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, cos: Tensor, sin: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        qkv = qkv.contiguous()
        B, T, _, H, w = qkv.shape
        q, k, v = (qkv.new_empty(B, T, H, w) for _ in range(3))
        scale = qkv.new_empty(B * T, 2, H)
        x = qkv.detach().view(B * T, 3, H, w).numpy()
        given: tuple[Any, ...] = (x, cos.numpy(), sin.numpy(), np.float32(eps))
        made = (*(part.view(B * T, H, w).numpy() for part in (q, k, v)), scale.numpy())
        kernels.shared(lambda _, a, b: kernels.turn_rows(*given, *made, a, b), B * T, x.size)
        ctx.save_for_backward(qkv, cos, sin, scale)
        return q, k, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        qkv, cos, sin, scale = ctx.saved_tensors
        B, T, _, H, w = qkv.shape
        out = torch.empty_like(qkv)
        x, o = (part.detach().view(B * T, 3, H, w).numpy() for part in (qkv, out))
        given: list[Any] = [g.contiguous().view(B * T, H, w).numpy() for g in grads]
        given += [x, cos.numpy(), sin.numpy(), scale.numpy(), o]
        kernels.shared(lambda _, a, b: kernels.turn_back_rows(*given, a, b), B * T, x.size)
        return out, None, None, None


class SwiGLU(torch.autograd.Function):
    """(..., 2h) to silu of the first half times the second."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        both = both.contiguous()
        out = both.new_empty(*both.shape[:-1], both.shape[-1] // 2)
        x, y = _rows(both), _rows(out)
        kernels.shared(lambda _, a, b: kernels.gate_rows(x, y, a, b), x.shape[0], x.size)
        ctx.save_for_backward(both)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        out = torch.empty_like(both)
        x, dy, o = _rows(both), _rows(grad.contiguous()), _rows(out)
        kernels.shared(lambda _, a, b: kernels.gate_back_rows(dy, x, o, a, b), x.shape[0], x.size)
        return out


def _rows(tensor: Tensor) -> Any:
    return tensor.detach().view(-1, tensor.shape[-1]).numpy()
