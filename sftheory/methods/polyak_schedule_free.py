"""Schedule-free with Polyak's step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sftheory.core.errors import steps
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Controller, coefficients, in_unit


@METHODS.register(
    ref="pun2025",
    tex=r"\gamma_t = [f(y_t) - f_\star + \beta_t \langle g_t, z_t - x_t \rangle]_+ / \|g_t\|^2,"
    r"\quad c_t = 1 / (t + 1)",
)
@dataclass(frozen=True)
class PolyakScheduleFree(Controller):
    r"""Schedule-free whose step is the largest that the certificate allows, with uniform weights.

    Guarantee: f(x_t) - f_star <= D G / sqrt(t) at every t and for every beta, where f_star is known
        (pun2025 v2; proved from the certificate of `bounds.certificate` and Cauchy-Schwarz).

    Args:
        beta: in [0, 1]; 0 averages classical Polyak steps.
        scale: multiplies the step; a number, (N,), or (..., N) for a batch.
        f_star: None takes the problem's; a value that is too large stalls at the error.

    Raises:
        InputError: beta outside [0, 1] or scale negative.
    """

    beta: float | Array = 0.9
    scale: float | Array = 1.0
    f_star: float | None = None

    def __post_init__(self) -> None:
        in_unit("PolyakScheduleFree's beta", self.beta)
        steps("PolyakScheduleFree's scale", np.atleast_1d(self.scale))

    def template(self, N: int) -> Tableau:
        scale = np.broadcast_to(self.scale, np.broadcast_shapes(np.shape(self.scale), (N,)))
        c = coefficients(np.ones(N + 1), start_counts=True)
        return Tableau(scale, self.beta, c)

    def step(self, *, gap: Any, slope: Any, squared_norm: Any) -> Any:
        return polyak_step(gap + slope, squared_norm)


def polyak_step(numerator: Any, squared_norm: Any) -> Any:
    """[numerator]_+ / |g|², and 0 where the gradient vanishes; on arrays and tensors alike."""
    positive = (abs(numerator) + numerator) / 2
    vanishes = squared_norm == 0
    return positive * ~vanishes / (squared_norm + vanishes)
