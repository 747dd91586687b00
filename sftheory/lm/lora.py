r"""The section [lora]: which matrices of a trained run get adapters, and of what rank.

    W' = W + (alpha / r) B A,   A (r, in),  B (out, r),   B = 0 at the start

Only A and B are trained, W and everything else stay as the base run left them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sftheory.core.errors import InputError, count, nearest, real

LINEAR = ("attention.qkv", "attention.out", "mlp.into", "mlp.out")  # of every block
TARGETS = sorted({*LINEAR, *(part for name in LINEAR for part in name.split("."))})


@dataclass(frozen=True)
class Lora:
    """[lora]: low-rank adapters; only for a run with a [start].

    Attributes:
        rank: r, from 1 to the smaller side of each matrix.
        alpha: the product B A is multiplied by alpha / r.
        targets: linear layers of the blocks by the model's own names: "attention.qkv",
            "attention.out", "mlp.into", "mlp.out", or a part of them: "mlp" is two, and so is
            "out".

    References: hu2021.

    Example:
        >>> Lora(rank=4, alpha=8).scale, Lora(targets=("qkv", "mlp")).layers()
        (2.0, ('attention.qkv', 'mlp.into', 'mlp.out'))
    """

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ("attention", "mlp")

    def __post_init__(self) -> None:
        count("lora.rank", self.rank)
        if not real("lora.alpha", self.alpha, 0):
            raise InputError("lora.alpha=0 would leave every matrix as it is; give a number > 0.")
        if not self.targets:
            raise InputError("lora.targets is empty; name layers, such as 'attention' and 'mlp'.")
        for target in self.targets:
            if target not in TARGETS:
                raise nearest("lora target", target, TARGETS)

    @property
    def scale(self) -> float:
        """Alpha / r."""
        return self.alpha / self.rank

    def layers(self) -> tuple[str, ...]:
        """The linear layers of a block that get adapters."""
        return tuple(
            name
            for name in LINEAR
            if any(target == name or target in name.split(".") for target in self.targets)
        )
