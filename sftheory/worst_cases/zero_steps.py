"""Steps of zero: a worst case without what they do not ask for.

Where gamma_t = 0 the method has no use for a gradient at y_t and asks for none, so the class says
nothing about y_t: the norm of that step plays no role. Steps of zero before the first one that
moves leave z and x at x_1, so that the method without them is the same method.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sftheory.core.tableau import Tableau
from sftheory.worst_cases.points import Criterion, Points
from sftheory.worst_cases.result import WorstCase

Array = NDArray[np.float64]


def first_move(tableau: Tableau) -> int:
    """How many steps are zero before the first one that is not; N - 1 where all are."""
    moves = tableau.gamma > 0
    return int(np.argmax(moves)) if moves.any() else tableau.steps - 1


def since(tableau: Tableau, first: int) -> Tableau:
    """The same without its `first` steps."""
    if first == 0:
        return tableau
    return Tableau(*(part[first:] for part in (tableau.gamma, tableau.beta, tableau.c)))


def delayed(found: WorstCase, h: Array) -> WorstCase:
    """A worst case after more steps of zero; h is that of all steps."""
    first = len(h) - len(found.effective_schedule)
    gradient, multipliers = found.gradient, found.multipliers
    if gradient is not None:
        gradient = np.append(np.full(first, np.nan), gradient)
    if multipliers is not None:
        star, pairs = multipliers
        multipliers = np.pad(star, (first, 0)), np.pad(pairs, ((first, 0), (first, 0)))
    return replace(found, effective_schedule=h, gradient=gradient, multipliers=multipliers)


def least_norm_at_the_start(tableau: Tableau, norms: Array) -> float:
    """The least norm asked for at x_1, for a method that reports it and whose first step moves."""
    at_start = tableau.beta == 1
    at_start[:1] = True
    return float(norms[np.append(at_start & (tableau.gamma > 0), True)].min())


def norms_asked(norms: Array, gamma: Array) -> Array:
    """The norms, the largest one of them in the place of those that play no role."""
    asked = np.append(gamma > 0, True)
    return np.where(asked, norms, norms[asked].max())


def points_asked(points: Points, tableau: Tableau, criterion: Criterion) -> NDArray[np.bool_]:
    """Which of a method's points are reported, or have a gradient that is asked for, (M,)."""
    Y, _ = tableau.step_matrices()
    X, _ = Tableau(tableau.gamma, 1.0, tableau.c).step_matrices()
    unreported = (X != Y).any(axis=-1) | (criterion == "last")  # steps whose y_t is no report
    asked = points.reported > 0
    asked[~asked] = tableau.gamma[unreported] > 0
    return asked


def spread(values: Array, places: NDArray[np.bool_]) -> Array:
    """Values of the given places on every axis, with zeros at the others."""
    out = np.zeros((len(places),) * values.ndim)
    out[np.ix_(*[places] * values.ndim)] = values
    return out
