"""The one-pass kernels as differentiable functions, and when they take the place of torch's."""
# pyright: reportIncompatibleMethodOverride=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sftheory.lm import attending, kernels
from sftheory.lm.products import blas
from sftheory.lm.team import shares_of


def usable(h: Tensor) -> bool:
    """Whether the kernels can work on this tensor: float32 on a processor, outside compilation."""
    return h.device.type == "cpu" and h.dtype == torch.float32 and not torch.compiler.is_compiling()


def attends(h: Tensor, heads: int) -> bool:
    """Whether attention of h (B, T, d) can be `Attended`: its BLAS is there, no thread idles.

    Inside `torch.nn.attention.sdpa_kernel` without flash attention it is torch's own.
    """
    return (
        usable(h)
        and h.shape[0] * heads >= torch.get_num_threads()
        and blas() != 0
        and torch.backends.cuda.flash_sdp_enabled()
    )


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


class Attended(torch.autograd.Function):
    """h (B, T, d) and W (3d, d) to causal attention of normed, turned queries and keys."""

    @staticmethod
    def forward(
        ctx: Any, h: Tensor, weight: Tensor, heads: int, cos: Tensor, sin: Tensor
    ) -> Tensor:
        B, T, d = h.shape
        h = h.reshape(B * T, d)
        qkv, out = h @ weight.T, h.new_empty(B, T, d)
        r, inverse = h.new_empty(B * heads, 2, T), h.new_empty(B * heads, T)
        ctx.sizes = blas(), T, heads, d // heads
        room = h.new_empty(shares_of(qkv.numel()), attending.ROWS, T)
        saved = qkv, cos, sin, r, inverse
        attending.attend(B * heads, qkv.numel(), *saved, out, room, *ctx.sizes)
        ctx.save_for_backward(h, weight, *saved)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> Any:
        h, weight, *saved = ctx.saved_tensors
        qkv, inverse = saved[0], saved[-1]
        out, T = torch.empty_like(qkv), inverse.shape[1]
        room = h.new_empty(shares_of(qkv.numel()), 2, attending.ROWS, T)
        given = inverse.shape[0], qkv.numel(), of_out.contiguous(), *saved, out, room
        attending.attend_back(*given, *ctx.sizes)
        of_h = (out @ weight).view_as(of_out) if ctx.needs_input_grad[0] else None
        return of_h, _of_weight(out, h) if ctx.needs_input_grad[1] else None, None, None, None


class Gated(torch.autograd.Function):
    """h (..., d), W (2m, d) and U (d, m) to U of silu of the first half of W h times the second."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, into: Tensor, back: Tensor) -> Tensor:
        shape, h = h.shape, h.reshape(-1, h.shape[-1])
        both, m = h @ into.T, back.shape[1]
        inner = both.new_empty(*shape[:-1], m)
        kernels.gate_rows(len(both), both.numel(), both, inner, m)
        ctx.save_for_backward(h, into, back, both, inner)
        return inner @ back.T  # a view of a product would not do: FSDP hangs its hooks on this

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_out: Tensor) -> Any:
        h, into, back, both, inner = ctx.saved_tensors
        inner, shape = inner.flatten(0, -2), of_out.shape
        of_out, of_both, wanted = (
            of_out.reshape(h.shape),
            torch.empty_like(both),
            ctx.needs_input_grad,
        )
        sizes = len(both), both.numel()
        kernels.gate_back_rows(*sizes, of_out @ back, both, of_both, inner.shape[1])
        of_h = (of_both @ into).view(shape) if wanted[0] else None
        of_into = _of_weight(of_both, h) if wanted[1] else None
        return of_h, of_into, _of_weight(of_out, inner) if wanted[2] else None


def _of_weight(of_out: Tensor, h: Tensor) -> Tensor:
    """The gradient (out, in) of W in W h; MKL is faster where the longer side is the last."""
    return of_out.T @ h if of_out.shape[1] <= h.shape[1] else (h.T @ of_out).T
