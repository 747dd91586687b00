"""The one-pass kernels as differentiable functions, and when they take the place of torch's."""
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sftheory.lm import kernels
from sftheory.lm.team import shares_of


def usable(h: Tensor) -> bool:
    """Whether the kernels can work on this tensor: float32 on a processor, outside compilation."""
    return h.device.type == "cpu" and h.dtype == torch.float32 and not torch.compiler.is_compiling()


class NormOfSum(torch.autograd.Function):
    """x (..., d), what is added to it or None, and a gain (d,), to the sum and its RMS norm."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, added: Tensor | None, gain: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        x = x.contiguous()
        total = x if added is None else torch.empty_like(x)
        out, scale = torch.empty_like(x), x.new_empty(x.shape[:-1])
        other = 0 if added is None else added.contiguous()
        sizes = scale.numel(), x.numel()
        kernels.norm_rows(*sizes, x, other, total, out, gain, scale, x.shape[-1])
        ctx.save_for_backward(total, gain, scale)
        ctx.summed = added is not None
        return (total if ctx.summed else x.view_as(x)), out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_sum: Tensor | None, of_norm: Tensor | None) -> Any:
        total, gain, scale = ctx.saved_tensors
        if of_norm is None:
            return of_sum, of_sum if ctx.summed else None, None
        dx, d = torch.empty_like(total), total.shape[-1]
        sizes = scale.numel(), total.numel()
        d_gain = total.new_empty(shares_of(total.numel()), d)
        given = of_norm.contiguous(), 0 if of_sum is None else of_sum.contiguous()
        kernels.norm_back_rows(*sizes, *given, total, dx, gain, scale, d_gain, d)
        return dx, dx if ctx.summed else None, d_gain.sum(0)


class NormedTurned(torch.autograd.Function):
    """h (B, T, d) and W (3d, d) to q and k, normed and turned, and v, each (B, T, H, w)."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, weight: Tensor, heads: int, cos: Tensor, sin: Tensor
    ) -> tuple[Tensor, ...]:
        B, T, d = h.shape
        h = h.reshape(B * T, d)
        qkv, scale = h @ weight.T, h.new_empty(B * T, 2, heads)
        shape = T, heads, d // heads
        kernels.turn_rows(B * T, qkv.numel(), qkv, cos, sin, scale, *shape)
        ctx.save_for_backward(h, weight, qkv, cos, sin, scale)
        ctx.shape = shape
        return qkv.view(B, T, 3, heads, d // heads).unbind(2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Any:
        h, weight, qkv, cos, sin, scale = ctx.saved_tensors
        out = torch.empty_like(qkv)
        given = [g.contiguous() for g in grads]
        saved = qkv, cos, sin, scale
        kernels.turn_back_rows(h.shape[0], qkv.numel(), *given, *saved, out, *ctx.shape)
        B, T, H, w = grads[0].shape
        return (out @ weight).view(B, T, H * w), out.T @ h, None, None, None


class SwiGLU(torch.autograd.Function):
    """(..., 2h) to silu of the first half times the second."""

    @staticmethod
    def forward(ctx: Any, both: Tensor) -> Tensor:
        both = both.contiguous()
        h = both.shape[-1] // 2
        out = both.new_empty(*both.shape[:-1], h)
        kernels.gate_rows(both.numel() // (2 * h), both.numel(), both, out, h)
        ctx.save_for_backward(both)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (both,) = ctx.saved_tensors
        out, h = torch.empty_like(both), both.shape[-1] // 2
        rows = both.numel() // (2 * h)
        kernels.gate_back_rows(rows, both.numel(), grad.contiguous(), both, out, h)
        return out
