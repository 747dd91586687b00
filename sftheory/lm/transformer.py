r"""A decoder: tokens (B, T) to the loss of each next one.

    h <- h + Attention(norm(h)),   h <- h + MLP(norm(h)),   logits = W norm(h)

Weights are float32 masters; each product casts them to the dtype of the activations, which is the
dtype of the computation. There is no dropout, so a step has no randomness.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sftheory.core.errors import InputError
from sftheory.lm import fused
from sftheory.lm.loss import capped, cross_entropy
from sftheory.lm.sections import Model as Shape

EPS = 1e-6


class Linear(nn.Module):
    """W h + b with W cast to the dtype of h."""

    def __init__(self, inputs: int, outputs: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs)) if bias else None

    def forward(self, h: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(h.dtype)
        return functional.linear(h, self.weight.to(h.dtype), bias)


class Norm(nn.Module):
    """RMS norm, or layer norm, with a gain, of h plus what is added to it: (the sum, its norm)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(shape.width))
        layer = shape.norm == "layer"
        self.bias = nn.Parameter(torch.empty(shape.width)) if layer and shape.bias else None
        self._layer = layer

    def forward(self, h: Tensor, added: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if fused.usable(h) and not self._layer:
            return fused.NormOfSum.apply(h, added, self.weight)  # pyright: ignore[reportReturnType]
        h = h if added is None else h + added
        gain = self.weight.to(h.dtype)
        if self._layer:
            bias = None if self.bias is None else self.bias.to(h.dtype)
            return h, functional.layer_norm(h, gain.shape, gain, bias, EPS)
        return h, functional.rms_norm(h, gain.shape, gain, EPS)


class Attention(nn.Module):
    """Causal attention, by kernels that hold few scores at a time."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._heads, self._qk_norm = shape.heads, shape.qk_norm
        self.qkv = Linear(shape.width, 3 * shape.width, shape.bias)
        self.out = Linear(shape.width, shape.width, shape.bias)

    def forward(self, h: Tensor, turn: tuple[Tensor, Tensor] | None) -> Tensor:
        heads, (B, T, d) = self._heads, h.shape
        if turn and self._qk_norm and self.qkv.bias is None and fused.attends(h, heads):
            mixed: Any = fused.Attended.apply(h, self.qkv.weight, heads, *turn)
            return self.out(mixed)
        q, k, v = self.qkv(h).view(B, T, 3, heads, d // heads).unbind(2)
        if self._qk_norm:
            q, k = (functional.rms_norm(a, a.shape[-1:], None, EPS) for a in (q, k))
        if turn is not None:
            q, k = rotated(q, *turn), rotated(k, *turn)
        q, k, v = (a.transpose(1, 2) for a in (q, k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(h.shape))


class MLP(nn.Module):
    """(silu(a) b) W of a hidden width near 8d/3, or gelu(a) W of width 4d."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self._gated = shape.mlp == "swiglu"
        hidden = hidden_width(shape)
        self.into = Linear(shape.width, 2 * hidden if self._gated else hidden, shape.bias)
        self.out = Linear(hidden, shape.width, shape.bias)

    def forward(self, h: Tensor) -> Tensor:
        if self._gated and self.into.bias is None and fused.usable(h):
            made: Any = fused.Gated.apply(h, self.into.weight, self.out.weight)
            return made
        h = self.into(h)
        if self._gated:
            a, b = h.chunk(2, dim=-1)
            return self.out(functional.silu(a) * b)
        return self.out(functional.gelu(h))


class Block(nn.Module):
    """One layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm1, self.attention = Norm(shape), Attention(shape)
        self.norm2, self.mlp = Norm(shape), MLP(shape)

    def forward(
        self, h: Tensor, added: Tensor | None, turn: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """H and what is still to be added to it, before and after."""
        h, normed = self.norm1(h, added)
        h, normed = self.norm2(h, self.attention(normed, turn))
        return h, self.mlp(normed)


class Transformer(nn.Module):
    """The decoder that [model] describes, with `vocabulary` rows if it does not say how many.

    Example:
        >>> model = Transformer(Shape(width=16, layers=1, heads=1, context=8, vocabulary=64))
        >>> tokens = torch.arange(18).reshape(2, 9)
        >>> objective, loss = model.loss(tokens)
        >>> bool(abs(loss - math.log(64)) < 0.2), model(tokens[:, :-1]).shape
        (True, torch.Size([2, 8, 64]))
    """

    def __init__(self, shape: Shape, vocabulary: int = 64, dtype: Any = torch.float32) -> None:
        super().__init__()
        if shape.vocabulary and shape.vocabulary < vocabulary:
            raise InputError(
                f"model.vocabulary={shape.vocabulary} is too small for the corpus's {vocabulary} "
                f"tokens; leave it 0."
            )
        V = shape.vocabulary or -(-vocabulary // 64) * 64
        self.shape, self.dtype = replace(shape, vocabulary=V), dtype
        d = shape.width
        self.embedding = nn.Parameter(torch.empty(V, d))
        self.head = None if shape.tied else nn.Parameter(torch.empty(V, d))
        learned = shape.positions == "learned"
        self.positions = nn.Parameter(torch.empty(shape.context, d)) if learned else None
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)
        self.cos: Tensor
        self.sin: Tensor
        for name, part in zip(
            ("cos", "sin"), rotation(shape.context, d // shape.heads), strict=True
        ):
            self.register_buffer(name, part.to(dtype), persistent=False)
        self.initialise(0)

    def initialise(self, seed: int) -> None:
        """Normal weights, of deviation 0.02 at GPT-2's width 768 and 0.02 sqrt(768 / d) at width d.

        So that a layer does as much at every width. Those that add to h are smaller by sqrt(2 L).
        """
        generator = torch.Generator().manual_seed(seed)
        base = 0.02 * math.sqrt(768 / self.shape.width)
        for name, p in self.named_parameters():
            with torch.no_grad():
                if p.ndim == 1:
                    p.fill_(0.0 if name.endswith("bias") else 1.0)
                    continue
                deviation = base / math.sqrt(2 * self.shape.layers) if ".out." in name else base
                p.copy_(torch.randn(p.shape, generator=generator) * deviation)

    def hidden(self, tokens: Tensor) -> Tensor:
        """(B, T) to the normed (B, T, d)."""
        T = tokens.shape[1]
        h = functional.embedding(tokens, self.embedding).to(self.dtype)
        turn = None
        if self.positions is None:
            turn = self.cos[:T], self.sin[:T]
        else:
            h = h + self.positions[:T].to(self.dtype)
        added = None
        for block in self.blocks:
            h, added = block(h, added, turn)
        return self.norm(h, added)[1]

    def forward(self, tokens: Tensor) -> Tensor:
        """The logits, (B, T, V)."""
        h = self.hidden(tokens)
        return capped(functional.linear(h, self._head().to(h.dtype)).float(), self.shape.softcap)

    def loss(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """The objective and the mean cross-entropy in nats, of tokens (B, T + 1)."""
        h = self.hidden(tokens[:, :-1])
        return cross_entropy(
            h.flatten(0, 1),
            self._head(),
            tokens[:, 1:].reshape(-1),
            z_loss=self.shape.z_loss,
            softcap=self.shape.softcap,
            how=self.shape.loss,
        )

    def _head(self) -> Tensor:
        return self.embedding if self.head is None else self.head


def hidden_width(shape: Shape) -> int:
    """4d, or 8d/3 rounded to a multiple of 16, so that both MLPs have as many weights."""
    return 4 * shape.width if shape.mlp == "gelu" else max(1, round(shape.width / 6)) * 16


def rotation(context: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, width / 2) of position times 10000^(-2i / width)."""
    frequency = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = torch.outer(torch.arange(context, dtype=torch.float64), frequency)
    return angle.cos().float(), angle.sin().float()


def rotated(a: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(B, T, H, w): the pairs (i, i + w/2) turned by the angles of their position."""
    first, second = a.chunk(2, dim=-1)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def flops_per_token(model: Transformer, *, causal: bool = False) -> float:
    """6 N + 12 L d T of a forward and a backward pass; N without embedding lookup and positions.

    With causal=True attention counts half, as fused kernels compute it.
    """
    shape = model.shape
    N = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2)
    N -= 0 if model.positions is None else model.positions.numel()
    N -= 0 if model.head is None else model.embedding.numel()
    attention = 12 * shape.layers * shape.width * shape.context
    return 6 * N + (attention / 2 if causal else attention)
