"""Heavy ball as primal averaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sftheory.core.errors import steps
from sftheory.core.tableau import Tableau
from sftheory.methods import METHODS
from sftheory.methods.base import Method, in_unit


@METHODS.register(
    ref="polyak1964",
    tex=r"\beta_t = 1, \quad c_t = \gamma_t / \eta_t, \quad"
    r"\eta_t = \gamma_t + m\, \eta_{t+1}, \quad \eta_{N+1} = \gamma_N / (1 - m)",
)
@dataclass(frozen=True)
class HeavyBall(Method):
    r"""SGD with momentum: b_t = m b_{t-1} + g_t, x_{t+1} = x_t - gamma_t b_t, any schedule.

    As a tableau it takes the gradient at the average, beta = 1, with base steps eta_t made
    backwards from eta_t = gamma_t + m eta_{t+1} and c_t = gamma_t / eta_t. Then
    z_{t+1} - x_t = -eta_t b_t, so the reported points are torch.optim.SGD's for every schedule.
    eta_{N+1} = gamma_N / (1 - m) is free; this choice gives constant steps a constant eta.

    Raises:
        InputError: momentum outside [0, 1).
    """

    momentum: float = 0.9

    def __post_init__(self) -> None:
        in_unit("HeavyBall's momentum", self.momentum, below_one=True)

    def tableau(self, gamma: ArrayLike) -> Tableau:
        gamma = steps("gamma", gamma)
        eta = np.empty_like(gamma)
        later = gamma[..., -1] / (1 - self.momentum)
        for t in reversed(range(gamma.shape[-1])):
            later = gamma[..., t] + self.momentum * later
            eta[..., t] = later
        c = np.divide(gamma, eta, out=np.zeros_like(eta), where=eta > 0)
        return Tableau(eta, beta=1.0, c=np.minimum(c, 1))
