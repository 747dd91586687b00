"""What every design returns: steps, their exact worst case, and how far they are from the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.bounds import refined
from sftheory.core.errors import InputError, constant
from sftheory.schedules import FromValues
from sftheory.worst_cases import worst_case

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plan:
    r"""Steps for x_{t+1} = x_t - gamma_t g_t whose exact worst case of f(x_{N+1}) - f* is known.

    Attributes:
        gamma: (N,), >= 0, units D / G.
        value: the exact worst case of these steps, units D G.
        lower, upper: what encloses it; see `worst_case`.
        unconstrained: the least worst case of any N steps, D / sqrt(Σ G_t^-2); for one G that is
            D G / sqrt(N + 1).
        optimum_lower: no steps that are allowed have a smaller worst case than this.
    """

    gamma: Array
    value: float
    lower: float
    upper: float
    unconstrained: float
    optimum_lower: float

    @property
    def price(self) -> float:
        """value / unconstrained: what the constraints cost."""
        return self.value / self.unconstrained

    @property
    def gap(self) -> float:
        """value / optimum_lower - 1: how far the plan may be from the best that is allowed."""
        return self.value / self.optimum_lower - 1

    def schedule(self) -> FromValues:
        """The steps as a schedule of N steps."""
        return FromValues(self.gamma)

    def __repr__(self) -> str:
        return (
            f"Plan(N={len(self.gamma)}, value={self.value:.9g}, price={self.price:.6f}, "
            f"gap={self.gap:.1e})"
        )


def plan_of(gamma: Array, D: float, G: float | Array, optimum_lower: float | None = None) -> Plan:
    """The plan of some steps; without `optimum_lower` they compete with all N steps.

    G is one number or the N + 1 norms.
    """
    found = worst_case(gamma, D=D, G=G)
    norms = np.broadcast_to(G, (len(gamma) + 1,))
    unconstrained = refined(norms, D=D).value
    if optimum_lower is None:
        optimum_lower = below(unconstrained, len(gamma))
    return Plan(
        gamma=gamma,
        value=found.value,
        lower=found.lower,
        upper=found.upper,
        unconstrained=unconstrained,
        optimum_lower=optimum_lower,
    )


def below(value: float, N: int) -> float:
    """The value less what rounding of a sum of N terms can have added."""
    return value * (1 - 4 * (N + 8) * float(np.finfo(float).eps))


def positive(needed_by: str, name: str, value: Any) -> float:
    """D or G as one positive number.

    Raises:
        InputError: it is missing, not positive, or an array.
    """
    checked = constant(f"design.{needed_by}", name, value)
    if not isinstance(checked, float):
        raise InputError(f"design.{needed_by} needs one {name}, not {np.size(checked)} of them.")
    return checked
