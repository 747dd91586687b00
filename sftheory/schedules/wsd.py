"""Warmup-stable-decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sftheory.core.errors import InputError, real
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule, Steps

Shape = Literal["linear", "1-sqrt", "cosine", "exponential"]


@SCHEDULES.register(
    ref="hagele2024",
    tex=r"\eta_k = 1 \text{ on the plateau, then } s(j / K),\ j = 1, \dots, K - 1, \quad"
    r" K = \min(\lfloor c (N + 1) \rfloor, N)",
)
@dataclass(frozen=True)
class WSD(Schedule):
    """A plateau at 1, then a cooldown over the last fraction of the run.

    The shapes, v = j / K: linear 1 - v; 1-sqrt 1 - sqrt(v); cosine (1 + cos πv) / 2; exponential
    0.01^v. Cooldown 1 with the linear shape is Linear. Warm-up is `Warmup(WSD(...), ...)`.

    Raises:
        InputError: cooldown outside [0, 1] or an unknown shape.
    """

    cooldown: float = 0.2
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        real("WSD's cooldown", self.cooldown, 0, 1)
        if self.shape not in get_args(Shape):
            raise InputError(
                f"WSD has no shape {self.shape!r}; choose one of {', '.join(get_args(Shape))}."
            )

    def values(self, N: int) -> Steps:
        # 1e-9 keeps products such as 0.07 * 100 = 7.000000000000001 and 0.29 * 100 < 29 whole
        K = min(int(self.cooldown * (N + 1) + 1e-9), N)
        v = np.arange(1, K) / max(K, 1)
        decay = {
            "linear": 1 - v,
            "1-sqrt": 1 - np.sqrt(v),
            "cosine": (1 + np.cos(np.pi * v)) / 2,
            "exponential": 0.01**v,
        }[self.shape]
        return np.concatenate([np.ones(N - len(v)), decay])
