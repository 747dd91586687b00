"""`continuation`: the best further steps after steps that have been taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from sftheory.core.errors import InputError, count, steps
from sftheory.design.certificate import from_chain, lower_bound, repair
from sftheory.design.limits import Limits
from sftheory.design.plan import Plan, plan_of, positive
from sftheory.worst_cases import recursion


def continuation(prefix: ArrayLike, n: int, *, D: float, G: float) -> Plan:
    r"""The best n further steps after a fixed prefix: linear decay to zero from a new height.

    Update: gamma_{n0+j} = tau (n + 1 - j), j = 1, ..., n, after gamma_1, ..., gamma_{n0}.
    Guarantee: no n further steps have a smaller worst case. The prefix sees the rest through
        P_{n0+1} alone, and of all tails with that value linear decay takes the most distance. In
        P_{n0+1} the worst case is convex, and least where the worst function's
        U_{n0+1} = n / (n + 1), which is increasing in tau.
    Shapes and units:
        prefix: (n0,), >= 0, units D / G.  D, G: > 0.  Plan.gamma: (n0 + n,), the prefix included.

    Raises:
        InputError: a negative step, n < 1, or a missing constant.

    References: the constant-step case's rate is zamani2023; we know of no published statement of
        the continuation. The proof is in docs/theory.

    Example:
        >>> plan = continuation(np.full(120, 0.08), 79, D=1, G=1)
        >>> round(float(plan.gamma[120]), 4), round(plan.price, 5), plan.gap < 1e-9
        (0.0406, 1.15175, True)
    """
    first = steps("prefix", prefix)
    if first.ndim != 1:
        raise InputError(f"prefix has shape {first.shape}; pass one run's steps, (n0,).")
    n = count("n", n)
    D, G = positive("continuation", "D", D), positive("continuation", "G", G)
    taken, shape = first[first > 0], np.arange(n, 0, -1.0)

    def excess(log_tau: float) -> float:
        h = np.concatenate([taken, np.exp(log_tau) * shape])
        _, _, U = recursion.worst_parameters(h, D, G)
        return float(U[len(taken)]) - n / (n + 1)

    low = high = np.log(D / (G * (len(first) + n + 1) ** 1.5))
    while excess(low) > 0:
        low -= 2
    while excess(high) < 0:
        high += 2
    tau = np.exp(float(brentq(excess, low, high, xtol=1e-14)))  # pyright: ignore[reportArgumentType]
    gamma = np.concatenate([first, tau * shape])
    limits = Limits.of(len(gamma), cap=None, floor=None, monotone=False, prefix=first)
    norms = np.full(len(gamma) + 1, G)
    P = recursion.chain(gamma)
    P[-1] = gamma[-1]
    q, A = from_chain(gamma, P, norms, D)
    alone = np.zeros(len(gamma) - 1, dtype=bool)
    A, _ = repair(A, q, gamma, norms, limits, alone)
    plan = plan_of(gamma, D, G)
    return Plan(**{**vars(plan), "optimum_lower": lower_bound(A, norms, D, limits, plan.upper)})
