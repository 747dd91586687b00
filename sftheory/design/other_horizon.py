"""`horizon_transfer`: a peak that was tuned at one horizon, taken to another."""

from __future__ import annotations

from typing import Any

import numpy as np

from sftheory.bounds import last_iterate_tuned
from sftheory.core.errors import InputError, count
from sftheory.design.plan import Plan, below, plan_of, positive
from sftheory.schedules.base import Schedule


def horizon_transfer(
    schedule: Schedule, N: int, N2: int, *, D: float | None = None, G: float = 1.0
) -> Plan:
    r"""The same shape at N2 steps, with the base step that theory makes of the one tuned at N.

    Update: gamma = (rho(N2) / rho(N)) schedule(N2), where rho is the base step that makes the exact
        worst case of the shape least (`bounds.last_iterate_tuned`). D and G cancel in the ratio.
    Guarantee: if the peak was the best one at N, it is the best one for this shape at N2.
        `Plan.price` says what keeping the shape costs against the best schedule of N2 steps, and
        `optimum_lower` is the shape's own best value at N2.

    Args:
        schedule: a Schedule with the peak that was tuned at N steps, `0.05 * WSD()`.
        N: steps at which it was tuned.
        N2: steps of the plan.
        D: > 0; None takes the distance for which the peak is the best one at N.
        G: > 0.

    Raises:
        InputError: `schedule` is no Schedule or does not exist at both horizons, or it is zero.

    References: schaipp2025 transfers between horizons by the bound Ω; here by the exact worst case.

    Example:
        >>> from sftheory.schedules import Linear
        >>> plan = horizon_transfer(0.1 * Linear(), 99, 399)
        >>> round(float(plan.gamma[0]), 4), round(plan.price, 9)
        (0.0504, 1.0)
    """
    if not isinstance(schedule, Schedule):
        raise InputError(
            f"design.horizon_transfer needs a Schedule, not {schedule!r}; "
            f"pass the peak times a shape, such as 0.05 * WSD()."
        )
    eta, eta2 = schedule(count("N", N)), schedule(count("N2", N2))
    G = positive("horizon_transfer", "G", G)
    rho, rho2 = _base(eta, G), _base(eta2, G)
    D = 1 / rho if D is None else positive("horizon_transfer", "D", D)
    best = last_iterate_tuned(eta2, D=D, G=G)[1]
    return plan_of((rho2 / rho) * eta2, D, G, optimum_lower=below(best, len(eta2)))


def _base(eta: Any, G: float) -> float:
    """The best base step for D = 1."""
    if not np.any(eta):
        raise InputError("The schedule is zero at all steps; pass one with a positive peak.")
    return last_iterate_tuned(eta, D=1, G=G)[0]
