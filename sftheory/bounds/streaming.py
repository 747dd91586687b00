"""The bound Ω while a run is under way, without its past."""

from __future__ import annotations

import numpy as np

from sftheory.bounds.base import distance
from sftheory.core.errors import InputError, constant, real

SPACING = 0.28
OMITTED = 1e-14  # of 1/x, at x = total: the nodes to the left of the first
SLACK = 1e-9  # a total that was summed in another order is no mistake


class OmegaStream:
    r"""Ω of the current point, step by step, in constant memory and time for each step.

    Problem: minimise a convex f with subgradients |g_t| <= G_t, from x_1 with |x_1 - x_*| <= D.
    Update: x_{t+1} = x_t - gamma_t g_t.
    Guarantee: `step(gamma_t, G_t)` returns, with P_t = gamma_1 + ... + gamma_t,
        f(x_t) - f* <= Ω_t = ½ [D² / P_t + Σ_{k<t} gamma_k² G_k² / (P_t - P_k) + gamma_t G_t²],
        which is `omega` of the t - 1 steps before, gamma_t being the free entry. The bound B' of
        the same point is Ω_t / 2 + ¾ gamma_t G_t².
    Method: 1/x = ∫ exp(u - x e^u) du by the trapezoid rule, spacing 0.28, so that the sum over k is
        one decaying number for each node nu: (ln(total / smallest) + 36) / 0.28 nodes.
    Error: relative, whatever the number of steps. The rule adds 2 |Γ(1 + 2πi / 0.28)| = 1.2e-14,
        its ends 1e-14 at x = total and 3e-15 at x = smallest. Numbers that decay little are updated
        by expm1 with a carry: a product of many factors near 1 would drift, by 6e-12 over a million
        steps. The tests find 4e-14 where 1e-12 is promised.

    Args:
        D: > 0, the distance to a minimiser.
        smallest: > 0, no larger than any positive step to come.
        total: no smaller than the sum of all steps to come.

    Raises:
        InputError: a constant is missing or not positive, or total < smallest.

    References: schaipp2025.

    Example:
        >>> from sftheory.bounds import omega
        >>> stream = OmegaStream(D=1, smallest=0.1, total=1)
        >>> [round(stream.step(eta, G=1), 9) for eta in (0.3, 0.2, 0.1)][1:]
        [1.325, 1.233333333]
        >>> omega([0.3, 0.2], D=1, G=1, last=0.1, horizons="all").round(9).tolist()
        [1.325, 1.233333333]
    """

    def __init__(self, *, D: float, smallest: float, total: float) -> None:
        self.D = distance("OmegaStream", D)
        self.smallest = real("smallest", smallest, np.finfo(float).tiny)
        self.total = real("total", total, self.smallest)
        first, end = np.log(OMITTED / self.total), np.log(36 / self.smallest)
        self._nu = np.exp(np.arange(first, end + SPACING, SPACING))
        self._decayed = np.zeros_like(self._nu)  # Σ_{k<t} gamma_k² G_k² exp(-nu (P_t - P_k))
        self._carry = np.zeros_like(self._nu)
        self._square = 0.0  # of the step before, times its norm
        self._sum, self._sum_carry = 0.0, 0.0

    def step(self, gamma: float, G: float) -> float:
        """Ω of the point at which the step gamma is about to be taken; inf if gamma is zero.

        Args:
            gamma: 0, or at least `smallest`; the steps so far sum to at most `total`.
            G: > 0, a bound on the norm of the subgradient at this point.

        Raises:
            InputError: the step is out of that range, or G is not positive; nothing is changed.
        """
        gamma, G = real("gamma", gamma, 0), float(constant("OmegaStream", "G", G))
        if 0 < gamma < self.smallest * (1 - SLACK):
            raise InputError(
                f"This step {gamma:g} is below smallest={self.smallest:g}; declare a smaller one."
            )
        change = gamma + self._sum_carry
        total = self._sum + change
        if total > self.total * (1 + SLACK):
            raise InputError(
                f"With this step {gamma:g} the steps sum to {total:g}, more than "
                f"total={self.total:g}; declare a larger one."
            )
        self._sum_carry, self._sum = change - (total - self._sum), total
        self._decay(gamma)
        self._square = (gamma * G) ** 2
        if gamma == 0:
            return np.inf
        noise = SPACING * (self._nu @ (self._decayed + self._carry))
        return float(self.D**2 / self._sum + noise + gamma * G**2) / 2

    def _decay(self, gamma: float) -> None:
        """(decayed + square) exp(-nu gamma): where that is near 1 the change is added."""
        fall = self._nu * gamma
        slow = np.searchsorted(fall, 0.5)
        value, carry = self._decayed, self._carry
        value[slow:] = (value[slow:] + carry[slow:] + self._square) * np.exp(-fall[slow:])
        carry[slow:] = 0
        old, fresh = value[:slow], carry[:slow] + self._square
        change = fresh + (old + fresh) * np.expm1(-fall[:slow])
        new = old + change
        carry[:slow] = change - (new - old)
        value[:slow] = new
