r"""One step of every optimizer of the family, on lists of tensors and in place.

    m       = mu m + (1 - mu) g                   inner momentum, where there is one
    v       = beta2 v + (1 - beta2) g²            where the step is adaptive
    u       = m / (sqrt(v) + eps) + decay_y y + decay_z z
    y_{t+1} = y + toward (z - y) + along_y u
    z_{t+1} = z + along_z u

x needs no memory: y = (1 - beta) z + beta x, and substituting the tableau's three lines gives the
two above with toward = 1 - (beta' / beta) (1 - c) and along_y = -gamma (1 - beta' (1 - c)), where
beta built y and beta' builds the next one; toward is c where beta stays. Bias corrections are
folded into the numbers. A number may be a float or a tensor on the device of the points.
"""
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

Tensors = list[torch.Tensor]


@dataclass(frozen=True)
class Direction:
    """u up to a factor, for parameters that were updated equally often.

    Attributes:
        scale: the factor: the update is scale (top / (sqrt(v) + eps) + ...).
        beta2: of v; None takes top itself, without v.
        eps: multiplied by the bias correction of sqrt(v).
        divides: whether v divides, or is only updated.
        mu: of m; None has top = g.
        decay_y, decay_z: weight decay at y and at z, divided by scale.
    """

    scale: Any = 1.0
    beta2: float | None = None
    eps: Any = 0.0
    divides: bool = True
    mu: float | None = None
    decay_y: Any = 0.0
    decay_z: Any = 0.0


def adaptive(
    n: Any, *, beta2: float, eps: float, mu: float = 0.0, maximize: bool, decay: Any, at: str
) -> Direction:
    """Adam's direction at a parameter's n-th update, with both bias corrections folded in."""
    left = 1 - beta2**n
    root = left.sqrt() if isinstance(left, torch.Tensor) else math.sqrt(left)
    scale = -root if maximize else root
    scale = scale / (1 - mu**n) if mu else scale
    return Direction(scale, beta2, eps * root, mu=mu or None, **_decays(decay, at, scale))


def plain(*, maximize: bool, decay: Any, at: str = "y") -> Direction:
    """The gradient itself, or its negative."""
    scale = -1.0 if maximize else 1.0
    return Direction(scale, **_decays(decay, at, scale))


def unscaled(beta2: float, *, maximize: bool, decay: Any) -> Direction:
    """The gradient itself, while v is only gathered."""
    scale = -1.0 if maximize else 1.0
    return Direction(scale, beta2, divides=False, **_decays(decay, "y", scale))


def _decays(decay: Any, at: str, scale: Any) -> dict[str, Any]:
    return {f"decay_{at}": decay / scale if isinstance(decay, torch.Tensor) or decay else 0.0}


@dataclass(frozen=True)
class Move:
    """How far the points go along u and towards each other."""

    toward: Any
    along_y: Any
    along_z: Any
    c: Any
    beta: float
    built_with: float

    @staticmethod
    def between(gamma: Any, c: Any, beta: float, built_with: float, scale: Any) -> Move:
        """The numbers for a step gamma, where `built_with` made y and `beta` makes the next."""
        toward = c if beta == built_with else 1 - (beta / built_with) * (1 - c)
        along = -gamma * scale
        return Move(toward, along * (1 - beta * (1 - c)), along, c, beta, built_with)


def step(points: dict[str, Tensors], how: Direction, move: Move, scratch: list[Tensors]) -> None:
    """One step of the lists in `points`, in place; g is left as it is.

    Args:
        points: "y" and "g", "v" and "m" as the direction wants them, and one of
            z        x is recovered from y and z;
            x        beta = 0, where y is z and x is stored;
            neither  no averaging;
            z, x, p  or z, p: p is the parameter in low precision, there is no y.
        how: the direction.
        move: how far along it.
        scratch: two lists shaped like g, the second only where there is p.
    """
    g, y = points["g"], points.get("y", [])
    if "p" in points:
        g = _copied(scratch[1], g)
    top, z = g, points.get("z", y)
    if how.mu is not None:
        top = points["m"]
        lerp(top, g, 1 - how.mu)
    v = points.get("v", [])
    if how.beta2 is not None:
        torch._foreach_mul_(v, how.beta2)
        torch._foreach_addcmul_(v, g, g, value=1 - how.beta2)
    if how.beta2 is not None and how.divides:
        u = _root(scratch[0], v)
        on_device = isinstance(how.eps, torch.Tensor)  # a list, since one tensor would be read
        torch._foreach_add_(u, [how.eps.to(u[0])] * len(u) if on_device else how.eps)
        _divide(top, u)
    else:
        u = top
    if decays(how):
        u = u if u[0] is scratch[0][0] else _copied(scratch[0], u)
        if "p" in points and _is_on(how.decay_y):
            y = _between(scratch[1], points, move.built_with)
        for rate, point in ((how.decay_y, y), (how.decay_z, z)):
            if _is_on(rate):
                add(u, point, rate)
    if "p" in points:
        add(z, u, move.along_z)
        if "x" in points:
            lerp(points["x"], z, move.c)
        torch._foreach_copy_(points["p"], _between(scratch[1], points, move.beta))
    elif "z" in points:
        lerp(y, z, move.toward)
        add(y, u, move.along_y)
        add(z, u, move.along_z)
    else:
        add(y, u, move.along_z)
        if "x" in points:
            lerp(points["x"], y, move.c)


def decays(how: Direction) -> bool:
    """Whether u has a part along a point."""
    return _is_on(how.decay_y) or _is_on(how.decay_z)


def _is_on(rate: Any) -> bool:
    return isinstance(rate, torch.Tensor) or rate != 0


def _between(out: Tensors, points: dict[str, Tensors], beta: float) -> Tensors:
    """(1 - beta) z + beta x, written to `out`; z where nothing is averaged."""
    _copied(out, points["z"])
    if "x" in points:
        lerp(out, points["x"], beta)
    return out


def _copied(out: Tensors, source: Tensors) -> Tensors:
    torch._foreach_copy_(out, source)
    return out


def _large(tensors: Tensors) -> bool:
    """Whether passes over memory cost more than calls."""
    first = tensors[0]
    return first.device.type == "cpu" and sum(t.numel() for t in tensors) > 4096 * len(tensors)


def _root(out: Tensors, v: Tensors) -> Tensors:
    if _large(out):  # one pass less than copying first
        for o, t in zip(out, v, strict=True):
            torch.sqrt(t, out=o)
    else:
        torch._foreach_sqrt_(_copied(out, v))
    return out


def _divide(top: Tensors, u: Tensors) -> None:
    """U becomes top / u."""
    if _large(u):
        for o, t in zip(u, top, strict=True):
            torch.div(t, o, out=o)
    else:
        torch._foreach_reciprocal_(u)
        torch._foreach_mul_(u, top)


def add(to: Tensors, u: Tensors, number: Any) -> None:
    """To + number u; a tensor as number broadcasts, so that it is never read by the host."""
    if isinstance(number, torch.Tensor):
        torch._foreach_addcmul_(to, u, [number.to(to[0])] * len(to))
    else:
        torch._foreach_add_(to, u, alpha=number)


def lerp(to: Tensors, end: Tensors, number: Any) -> None:
    """To + number (end - to), with a number as for `add`."""
    if isinstance(number, torch.Tensor):
        torch._foreach_lerp_(to, end, [number.to(to[0])] * len(to))
    else:
        torch._foreach_lerp_(to, end, number)
