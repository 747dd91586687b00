r"""A model with adapters: its parameters are A and B of some layers, all else are buffers.

    W' = W + s B A,   A ~ N(0, 1 / in),  B = 0,   s = alpha / r

W' is formed once in each forward pass, in float32, so that every kernel sees one dense matrix as
before; its gradient G goes on to A as s Bᵀ G and to B as s G Aᵀ. For each entry of W that costs 6 r
FLOPs in a micro-batch, where the layer itself costs 6 for each token; and it holds one dense copy
of W and of its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sftheory.core.errors import InputError
from sftheory.lm.config import Config
from sftheory.lm.lora import Lora
from sftheory.lm.transformer import Linear, Transformer

_OTHERS = 2**32  # added to the seed, so that A does not repeat the numbers of the first weights


class Adapter(Linear):
    """A linear layer whose weight is W + s B A; W and the bias are frozen."""

    def __init__(self, frozen: Linear, rank: int, scale: float, generator: torch.Generator) -> None:
        nn.Module.__init__(self)
        outputs, inputs = frozen.weight.shape
        self.base: Tensor
        self.register_buffer("base", frozen.weight)
        self.register_buffer("bias", frozen.bias)
        A = torch.randn(rank, inputs, generator=generator) / math.sqrt(inputs)
        self.A, self.B = nn.Parameter(A), nn.Parameter(torch.zeros(outputs, rank))
        self.scale = scale

    @property
    def weight(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """(out, in): what the layer multiplies by."""
        return torch.addmm(self.base, self.B, self.A, alpha=self.scale)


def adapt(model: Transformer, config: Config) -> None:
    """Gives a model the adapters that [lora] asks for; without that section it stays as it is.

    Raises:
        InputError: there is no base run, or the rank is too large for a layer.
    """
    lora = config.lora
    if lora is None:
        return
    if not config.start.run:
        raise InputError(
            "[lora] adapts a run that was trained before; give --from RUN --at STEP, or call "
            "lm.branch(run, at=..., lora=...)."
        )
    for module in model.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, p.detach())
    generator = torch.Generator().manual_seed(config.run.seed + _OTHERS)
    for block in model.blocks:
        for name in lora.layers():
            _adapt_layer(block, name, lora, generator)


def _adapt_layer(block: Any, name: str, lora: Lora, generator: torch.Generator) -> None:
    frozen = block.get_submodule(name)
    least = min(frozen.weight.shape)
    if lora.rank > least:
        raise InputError(
            f"lora.rank={lora.rank} is more than {least}, the smaller side of {name}; choose a "
            f"rank up to {least}, or other lora.targets."
        )
    owner, _, last = name.rpartition(".")
    setattr(block.get_submodule(owner), last, Adapter(frozen, lora.rank, lora.scale, generator))


def lend(model: Transformer, scratch: Transformer) -> None:
    """Gives another model of the kind the frozen tensors of a model, without a copy."""
    for own, other in zip(model.modules(), scratch.modules(), strict=True):
        other._buffers.update(own._buffers)


def merged_weights(lora: Lora | None, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the tensors of an adapted model to those of a plain one, W + s B A in the place of W."""
    if lora is None:
        return dict(named)
    weights = {}
    for name, value in named.items():
        path, _, last = name.rpartition(".")
        if last == "base":
            A, B = named[f"{path}.A"], named[f"{path}.B"]
            weights[f"{path}.weight"] = torch.addmm(value, B, A, alpha=lora.scale)
        elif last not in ("A", "B"):
            weights[name] = value
    return weights


def on_base(model: Transformer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a model, adapted or not, whose frozen ones are the weights of a plain one."""
    own = dict(model.state_dict())
    named = {name: value for name, value in own.items() if name.rpartition(".")[2] in ("A", "B")}
    for name, value in weights.items():
        frozen = f"{name.removesuffix('weight')}base"
        named[frozen if frozen in own else name] = value
    return named
