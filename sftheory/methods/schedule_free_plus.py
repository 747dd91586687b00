"""The step rule of ScheduleFree+."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sftheory.core.errors import InputError, count, real, steps
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Controller, coefficients, in_unit
from sftheory.methods.polyak_schedule_free import polyak_step


@METHODS.register(
    ref="defazio2026",
    tex=r"\gamma_t = [f(y_t) - f_\star + \beta_t \langle g_t, z_t - x_t \rangle]_+ / n_t,\quad"
    r" c_t = w_t / \textstyle\sum_{W < i \leq t} w_i,\quad w_t = t^r (\max_{i \leq t} \gamma_i)^p",
)
@dataclass(frozen=True)
class ScheduleFreePlus(Controller):
    r"""Schedule-free with Polyak steps, an annealed beta and averaging that starts late.

    The published rule without its inner momentum and its weight decay. As in the published package
    the start has no weight, so c_1 = 1. The slope takes the beta that made y_t, which the
    certificate needs; the published code takes the next one, which differs while beta is annealed.

    Args:
        beta: in [0, 1), the first beta.
        beta_max, anneal: 1 - beta_t falls geometrically from 1 - beta to 1 - beta_max over `anneal`
            steps; 0 keeps beta.
        warmup: W, the steps with c_t = 1 before averaging starts; they have no weight.
        r, power: weights w_t = t^r (max_{i<=t} gamma_i)^power. Once the steps have passed their
            largest, weights with r = 0 are flat.
        norm: n_t. "euclidean" is |g_t|², for plain steps; "one" is sqrt(pi/2) |g_t|_1, the squared
            dual norm of Adam's metric where gradients are normal, for a run with
            preconditioner=Adam().
        scale: multiplies the step; a number, (N,), or (..., N) for a batch.
        f_star: None takes the problem's; the published code takes 0.

    Guarantee: none beforehand. `bounds.certificate` holds after a run, whatever the weights;
        PolyakScheduleFree is the variant with a theorem.

    Raises:
        InputError: beta or beta_max outside [0, 1), a count negative, scale negative, power
            negative, or an unknown norm.
    """

    beta: float = 0.9
    beta_max: float = 0.965
    anneal: int = 0
    warmup: int = 0
    r: float = 0.0
    power: float = 2.0
    norm: Literal["euclidean", "one"] = "euclidean"
    scale: float | Array = 1.0
    f_star: float | None = None

    def __post_init__(self) -> None:
        in_unit("ScheduleFreePlus's beta", self.beta, below_one=True)
        in_unit("ScheduleFreePlus's beta_max", self.beta_max, below_one=True)
        count("ScheduleFreePlus's anneal", self.anneal, least=0)
        count("ScheduleFreePlus's warmup", self.warmup, least=0)
        real("ScheduleFreePlus's r", self.r, -1e6)
        real("ScheduleFreePlus's power", self.power, 0)
        steps("ScheduleFreePlus's scale", np.atleast_1d(self.scale))
        if self.norm not in ("euclidean", "one"):
            raise InputError(
                f"ScheduleFreePlus's norm is {self.norm!r}; choose 'euclidean' or 'one'."
            )

    @property
    def preconditioned(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the norm is that of Adam's steps."""
        return self.norm == "one"

    def template(self, N: int) -> Tableau:
        scale = np.broadcast_to(self.scale, np.broadcast_shapes(np.shape(self.scale), (N,)))
        k = np.maximum(
            np.arange(N) - 1, 0
        )  # y_1 = x_1 whatever beta, and y_{k+2} is made at step k
        share = np.minimum(k / self.anneal, 1) if self.anneal else np.zeros(N)
        beta = 1 - (1 - self.beta) ** (1 - share) * (1 - self.beta_max) ** share
        return Tableau(scale, beta, coefficients(np.ones(N + 1), start_counts=False))

    def start(self) -> Callable[..., tuple[Any, Any]]:
        t = 0
        largest: Any = 0.0
        total: Any = 0.0

        def choose(
            *, scale: Any, gap: Any, slope: Any, squared_norm: Any, one_norm: Any, **_: Any
        ) -> tuple[Any, Any]:
            nonlocal t, largest, total
            t += 1
            norm = math.sqrt(math.pi / 2) * one_norm if self.preconditioned else squared_norm
            gamma = scale * polyak_step(gap + slope, norm)
            grows = gamma > largest
            largest = gamma * grows + largest * ~grows
            if t <= self.warmup:
                return gamma, 0 * gamma + 1
            weight = float(t) ** self.r * largest**self.power
            total = total + weight
            return gamma, weight / (total + (total == 0))

        return choose
