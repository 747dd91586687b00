r"""Cross-entropy of a linear head, with or without all logits in memory at once.

    l = s tanh(W h / s)            soft-capped logits, l = W h without a cap
    L = mean_i [ log Σ_v exp l_iv - l_{i, target} ],    objective = L + z mean_i (log Σ_v exp l_iv)²

"chunked" makes the gradients of h and W in the forward pass, from a few rows of logits at a time;
it multiplies as often as "plain" does. "torch" is torch's own function, from 2.13 on.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CHUNK = 2**22  # logits at once
WORTH_CHUNKS = 2**25


def cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    target: Tensor,
    *,
    z_loss: float = 0.0,
    softcap: float = 0.0,
    how: str = "auto",
) -> tuple[Tensor, Tensor]:
    """The objective and the cross-entropy, in nats per token; equal tensors where z_loss = 0.

    Args:
        hidden: (M, d).
        weight: (V, d), of any float dtype.
        target: (M,), whole.
        z_loss: the weight z.
        softcap: s; 0 for none.
        how: "plain", "chunked", "torch" or "auto"; without torch's function, or with a z-loss or
            a soft-cap, "torch" is "chunked".
    """
    rows, V = hidden.shape[0], weight.shape[0]
    if how == "auto":
        how = "chunked" if rows * V >= WORTH_CHUNKS else "plain"
    if how == "torch":
        if has_torch_chunks() and not (z_loss or softcap or torch.compiler.is_compiling()):
            loss = _torch_chunks(hidden, weight.to(hidden.dtype), target)
            return loss, loss
        how = "chunked"
    weight = weight.to(hidden.dtype)
    if how == "chunked":
        both = _Chunked.apply(hidden, weight, target, z_loss, softcap)
        loss, square = both.unbind()
    else:
        logits = capped(functional.linear(hidden, weight).float(), softcap)
        if not z_loss:
            loss = functional.cross_entropy(logits, target)
            return loss, loss
        lse = torch.logsumexp(logits, dim=-1)
        loss = (lse - logits.gather(1, target[:, None])[:, 0]).mean()
        square = lse.square().mean()
    return (loss + z_loss * square if z_loss else loss), loss.detach() if z_loss else loss


def capped(logits: Tensor, softcap: float) -> Tensor:
    """S tanh(logits / s); the logits themselves for s = 0."""
    return softcap * torch.tanh(logits / softcap) if softcap else logits


def has_torch_chunks() -> bool:
    """Whether this torch has a cross-entropy that does not hold all logits."""
    return hasattr(functional, "linear_cross_entropy") and hasattr(
        torch.nn, "LinearCrossEntropyOptions"
    )


def _torch_chunks(hidden: Tensor, weight: Tensor, target: Tensor) -> Tensor:
    own: Any = functional
    options: Any = torch.nn.LinearCrossEntropyOptions()  # pyright: ignore[reportAttributeAccessIssue]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is new
        return own.linear_cross_entropy(hidden, weight, target, options=options)


class _Chunked(torch.autograd.Function):
    """(cross-entropy, mean squared log-sum-exp); only L + z times the second has a gradient."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, z_loss: float, softcap: float
    ) -> Tensor:
        rows = hidden.shape[0]
        wanted = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        d_hidden = torch.empty_like(hidden) if wanted else None
        d_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted else None
        total = hidden.new_zeros(2, dtype=torch.float32)
        step = max(1, CHUNK // weight.shape[0])
        for start in range(0, rows, step):
            h, y = hidden[start : start + step], target[start : start + step, None]
            logits = capped(functional.linear(h, weight).float(), softcap)
            lse = torch.logsumexp(logits, dim=-1, keepdim=True)
            losses = lse - logits.gather(1, y)
            total += torch.stack([losses.sum(), lse.square().sum()])
            if d_hidden is None or d_weight is None:
                continue
            slope = torch.exp(logits - lse)
            if z_loss:
                slope = slope * (1 + 2 * z_loss * lse)
            slope = slope.scatter_add(1, y, slope.new_full((1, 1), -1.0).expand_as(y))
            if softcap:
                slope = slope * (1 - (logits / softcap).square())
            slope = (slope / rows).to(hidden.dtype)
            d_hidden[start : start + step] = slope @ weight
            d_weight += slope.T @ h
        if d_hidden is not None and d_weight is not None:
            ctx.save_for_backward(d_hidden, d_weight.to(weight.dtype))
        return total / rows

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        d_hidden, d_weight = ctx.saved_tensors
        scale = grads[0][0]  # the second entry's is z_loss times this, and is in the slope already
        return (
            d_hidden * scale.to(d_hidden.dtype),
            d_weight * scale.to(d_weight.dtype),
            *(None,) * 3,
        )
