"""SGD with Polyak's step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sftheory.core.errors import steps
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Controller
from sftheory.methods.polyak_schedule_free import polyak_step


@METHODS.register(
    ref="polyak1987",
    tex=r"\gamma_t = [f(x_t) - f_\star]_+ / \|g_t\|^2, \quad \beta_t = 0,\ c_t = 1",
)
@dataclass(frozen=True)
class PolyakSGD(Controller):
    r"""The classical Polyak step, last iterate reported.

    Guarantee: min_t f(x_t) - f_star <= D G / sqrt(N + 1) where f_star is known; the distance to a
        minimiser never grows.

    Args:
        scale: multiplies the step; a number, (N,), or (..., N) for a batch.
        f_star: None takes the problem's.

    Raises:
        InputError: scale negative.
    """

    scale: float | Array = 1.0
    f_star: float | None = None

    def __post_init__(self) -> None:
        steps("PolyakSGD's scale", np.atleast_1d(self.scale))

    def template(self, N: int) -> Tableau:
        scale = np.broadcast_to(self.scale, np.broadcast_shapes(np.shape(self.scale), (N,)))
        return Tableau(scale, beta=0.0, c=1.0)

    def step(self, *, gap: Any, slope: Any, squared_norm: Any) -> Any:
        return polyak_step(gap, squared_norm)
