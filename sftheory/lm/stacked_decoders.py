r"""K decoders of one shape as one: explicit (K, out, in) weights, K B sequences in attention.

    h_k <- h_k + W_k f(norm(h_k)),   k = 1..K, each product one batched product

The sum of the K losses has the K gradients, since no loss depends on the weights of another.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sftheory.lm.loss import capped
from sftheory.lm.transformer import EPS, Transformer, rotated


class Decoders:
    """The losses of K decoders whose parameters are the rows of one matrix.

    Args:
        like: one of them, on its device; its shape, rotation and dtype of computation are taken.

    Example:
        >>> from sftheory.lm.sections import Model
        >>> one = Transformer(Model(width=16, layers=1, heads=1, context=8, vocabulary=64))
        >>> theta = torch.nn.utils.parameters_to_vector(one.parameters()).detach()
        >>> tokens = torch.arange(18).reshape(2, 9)
        >>> two = torch.stack([theta, theta]), torch.stack([tokens, tokens])
        >>> _, losses = Decoders(one).losses(*two)
        >>> torch.allclose(losses, one.loss(tokens)[1])
        True
    """

    def __init__(self, like: Transformer) -> None:
        self._shape, self._dtype = like.shape, like.dtype
        self._turn = (like.cos, like.sin) if like.positions is None else None
        self._names = {name: p.shape for name, p in like.named_parameters()}

    def losses(self, theta: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Objectives (K,) and cross-entropies (K,) in nats, of theta (K, n), tokens (K, B, T+1)."""
        K, z = len(theta), self._shape.z_loss
        weights = self._cut(theta)
        h = self._hidden(weights, tokens[:, :, :-1])
        head = weights["embedding" if self._shape.tied else "head"].to(h.dtype)
        logits = capped(torch.bmm(h, head.mT).float(), self._shape.softcap).flatten(0, 1)
        target = tokens[:, :, 1:].reshape(-1)
        if not z:
            losses = functional.cross_entropy(logits, target, reduction="none").view(K, -1).mean(1)
            return losses, losses
        lse = torch.logsumexp(logits, dim=-1)
        losses = (lse - logits.gather(1, target[:, None])[:, 0]).view(K, -1).mean(1)
        return losses + z * lse.square().view(K, -1).mean(1), losses.detach()

    def _cut(self, theta: Tensor) -> dict[str, Tensor]:
        """The parameters by name, each (K, ...)."""
        parts = theta.split([shape.numel() for shape in self._names.values()], dim=1)
        shapes = self._names.items()
        return {
            name: part.view(-1, *shape) for part, (name, shape) in zip(parts, shapes, strict=True)
        }

    def _hidden(self, weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
        """Tokens (K, B, T) to the normed (K, B T, d)."""
        K, B, T = tokens.shape
        members = torch.arange(K, device=tokens.device)[:, None]
        h = weights["embedding"][members, tokens.reshape(K, B * T)].to(self._dtype)
        if "positions" in weights:
            h = h + weights["positions"][:, :T].to(h.dtype).repeat(1, B, 1)
        for layer in range(self._shape.layers):
            name = f"blocks.{layer}."
            normed = self._normed(weights, name + "norm1", h)
            qkv = _product(weights, name + "attention.qkv", normed)
            h = _product(weights, name + "attention.out", self._attended(qkv, B, T), h)
            normed = self._normed(weights, name + "norm2", h)
            into = _product(weights, name + "mlp.into", normed)
            h = _product(weights, name + "mlp.out", self._gated(into), h)
        return self._normed(weights, "norm", h)

    def _normed(self, weights: dict[str, Tensor], name: str, h: Tensor) -> Tensor:
        gain = weights[name + ".weight"].to(h.dtype)[:, None]
        if self._shape.norm == "rms":
            return functional.rms_norm(h, h.shape[-1:], None, EPS) * gain
        h = functional.layer_norm(h, h.shape[-1:], None, None, EPS) * gain
        bias = weights.get(name + ".bias")
        return h if bias is None else h + bias.to(h.dtype)[:, None]

    def _attended(self, qkv: Tensor, B: int, T: int) -> Tensor:
        """(K, B T, 3 d) to (K, B T, d), by causal attention of K B sequences."""
        K, M, wide = qkv.shape
        heads = self._shape.heads
        q, k, v = qkv.view(K * B, T, 3, heads, wide // 3 // heads).unbind(2)
        if self._shape.qk_norm:
            q, k = (functional.rms_norm(a, a.shape[-1:], None, EPS) for a in (q, k))
        if self._turn is not None:
            turn = [a[:T] for a in self._turn]
            q, k = rotated(q, *turn), rotated(k, *turn)
        q, k, v = (a.transpose(1, 2) for a in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return mixed.transpose(1, 2).reshape(K, M, wide // 3)

    def _gated(self, h: Tensor) -> Tensor:
        if self._shape.mlp == "gelu":
            return functional.gelu(h)
        a, b = h.chunk(2, dim=-1)
        return functional.silu(a) * b


def _product(weights: dict[str, Tensor], name: str, h: Tensor, to: Tensor | None = None) -> Tensor:
    """W_k h_k + b_k for every k, and what it is added to."""
    weight, bias = weights[name + ".weight"].to(h.dtype).mT, weights.get(name + ".bias")
    if bias is not None:
        start = bias.to(h.dtype)[:, None]
        to = start if to is None else to + start
    return torch.bmm(h, weight) if to is None else torch.baddbmm(to, h, weight)
