"""What a metric sees: inner products over modules, of many steps at once, still on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sftheory.core.errors import InputError, nearest

Pair = tuple[str, str]
_MOVING = ("w", "dw", "moved")  # the vectors that x, y and z each have
_VECTORS = {*_MOVING, "g", "first", "used", "z-x", "z-y"}


@dataclass(frozen=True)
class Reading:
    """The quantities of S logged steps; every tensor is (S modules,), one step after another.

    Attributes:
        product: (a, b) -> <a, b>, NaN for a module in which none of its parameters has both.
        curvature: (preconditioned=...) -> the largest eigenvalue of each module's Hessian.
        average: (name, value) -> the mean of this value over the logged steps up to each.
        gamma, beta, c: the coefficients of the step, NaN where a module's groups disagree.
        size: the number of entries.
        whole: True for the module '' alone.
        gap: f(y_t) - f*; NaN until a loss is observed.
        backwards: how many times backward() ran for each of these steps.
        batches: how many times the first of these passes' batch fits into the step's.
        has_sequences: whether the optimizer has x, y and z.
        point: which sequence `w` means: "" for the parameters, "x" or "z".
    """

    product: Callable[[Pair], Tensor]
    curvature: Callable[..., Tensor]
    average: Callable[[str, Tensor], Tensor]
    gamma: Tensor
    beta: Tensor
    c: Tensor
    size: Tensor
    whole: Tensor
    gap: Tensor
    backwards: int
    batches: int
    has_sequences: bool
    point: str = ""

    def at(self, point: str) -> Reading:
        """The same steps with x, y or z for w; y is what the parameters hold while training."""
        return replace(self, point="" if point == "y" else point)

    def dot(self, a: str, b: str) -> Tensor:
        """<a, b> of two of the vectors that `sftheory.probes.metrics` lists."""
        first, second = sorted((self._name(a), self._name(b)))
        return self.product((first, second))

    def norm(self, a: str) -> Tensor:
        """‖a‖."""
        return self.dot(a, a).sqrt()

    @property
    def undefined(self) -> Tensor:
        """Null for every module."""
        return torch.full_like(self.gamma, torch.nan)

    def ratio(self, a: Any, b: Any) -> Tensor:
        """a / b, null where b is zero."""
        quotient = torch.as_tensor(a, dtype=self.gamma.dtype, device=self.gamma.device)
        if isinstance(b, Tensor):
            return torch.where(b == 0, torch.nan, quotient / b)
        return quotient / b if b else torch.full_like(quotient, torch.nan)

    def _name(self, a: str) -> str:
        return f"{a}.{self.point}" if self.point and a in _MOVING else a


def asked_by(
    metrics: Iterable[Callable[[Reading], Tensor]], has_sequences: bool
) -> tuple[list[Pair], set[bool]]:
    """The inner products and the kinds of curvature that these metrics need.

    They are called once, with ones for all values.

    Raises:
        InputError: a product of vectors that are never there together.
        UnknownNameError: there is no such vector.
    """
    asked: dict[Pair, None] = {}
    curvatures: set[bool] = set()
    one = torch.ones(1, dtype=torch.float64)

    def product(pair: Pair) -> Tensor:
        kinds = {name.partition(".")[0] for name in pair}
        for kind in kinds - _VECTORS:
            raise nearest("vector", kind, _VECTORS)
        if kinds & {"g", "first"} and kinds & {"dw", "used"}:
            raise InputError(
                f"A metric asks for <{pair[0]}, {pair[1]}>, but the true gradient is read before "
                f"the step and not kept; ask for a product with 'used' instead."
            )
        asked[pair] = None
        return one

    def curvature(*, preconditioned: bool) -> Tensor:
        curvatures.add(preconditioned)
        return one

    dry = Reading(
        product=product,
        curvature=curvature,
        average=lambda _, value: value,
        gamma=one,
        beta=one,
        c=one,
        size=one,
        whole=one == 1,
        gap=one,
        backwards=2,
        batches=2,
        has_sequences=has_sequences,
    )
    for metric in metrics:
        metric(dry)
    return list(asked), curvatures
