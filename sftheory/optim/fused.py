r"""An adaptive step in few passes without a compiler, by the kernel of torch's fused AdamW.

With a second moment and no bias correction of its own that kernel makes z_{t+1} of z_t in one pass.
y needs only what z moved, z_{t+1} - z_t = along_z u:

    y_{t+1} = y + toward (z_t - y) + r (z_{t+1} - z_t),  r = along_y / along_z = 1 - beta (1 - c)

The kernel reads a first moment, which is the optimizer's m or a scratch that holds the gradient.
"""
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import torch

from sftheory.optim.arithmetic import Direction, Move, Tensors, add

KERNEL = getattr(torch, "_fused_adamw_", None)
LATE = 1e9  # a step number whose bias corrections are 1


def suits(points: dict[str, Tensors], how: Direction, move: Move) -> bool:
    """Whether these tensors and numbers are such that the kernel takes them."""
    first = points["g"][0]
    numbers = (move.along_z, move.along_y, move.toward, how.decay_y, how.decay_z)
    return (
        KERNEL is not None
        and first.device.type == "cpu"
        and first.dtype in (torch.float32, torch.float64)
        and {"y", "z", "v"} <= points.keys()
        and not {"x", "p"} & points.keys()
        and how.beta2 is not None
        and how.divides
        and not any(isinstance(number, torch.Tensor) for number in numbers)
        and move.along_z != 0
        and 1 + move.along_z * how.decay_z != 0
        and all(t.dtype == first.dtype for t in points["y"])
        and not torch.compiler.is_compiling()
    )


def step(points: dict[str, Tensors], how: Direction, move: Move, scratch: Tensors) -> None:
    """One step in place, as `arithmetic.step`; scratch is shaped like g."""
    assert KERNEL is not None and how.beta2 is not None
    y, z, g, v = (points[name] for name in ("y", "z", "g", "v"))
    p, q = 1 + move.along_z * how.decay_z, move.along_z * how.decay_y
    if p != 1:
        torch._foreach_mul_(z, p)
    if q:
        add(z, y, q)
    # z is now p z_t + q y; of y that leaves this much, before z moves on along the gradient
    r = move.along_y / move.along_z
    from_z = (move.toward - r) / p
    torch._foreach_mul_(y, 1 - move.toward - from_z * q)
    add(y, z, from_z)
    moment = points["m"] if how.mu is not None else scratch
    if how.mu is None:
        torch._foreach_zero_(moment)
    KERNEL(
        z,
        g,
        moment,
        v,
        [],
        [_late(z[0])] * len(z),
        lr=-move.along_z,
        beta1=how.mu or 0.0,
        beta2=how.beta2,
        weight_decay=0.0,
        eps=how.eps,
        amsgrad=False,
        maximize=False,
    )
    add(y, z, r)


def _late(like: torch.Tensor) -> torch.Tensor:
    return torch.full((), LATE, dtype=torch.float32, device=like.device)
