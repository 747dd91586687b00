"""Which parameters of a law the data determine, and which move together without being seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sftheory.fits.solution import Solution

SEEN = 0.2  # standard error of a determined parameter, in units of its size
SHOWN = 0.3  # part of the weakest direction from which on a parameter is named


@dataclass(frozen=True)
class Identifiability:
    r"""What a fit determines of its parameters.

    Attributes:
        errors: standard error of each parameter, autocorrelation included, divided by its size:
            its value, for the floor the fall of the loss, for b the shifted first step b + t_1, for
            lambda 1 - lambda. Infinite where the search stopped at a bound.
        determined, open: the names with an error below a fifth, and the others.
        condition: largest / smallest singular value of the Jacobian with columns of length 1.
        together: the direction that the data see least, its largest entry 1: by how much of their
            sizes the parameters may move together.
    """

    errors: dict[str, float]
    determined: tuple[str, ...]
    open: tuple[str, ...]
    condition: float
    together: dict[str, float]

    def __str__(self) -> str:
        known, unknown = (
            ", ".join(f"{name} (+-{100 * self.errors[name]:.2g}%)" for name in names)
            for names in (self.determined, self.open)
        )
        moved = [name for name, part in self.together.items() if abs(part) >= SHOWN]
        parts = [f"determined: {known or 'nothing'}", f"open: {unknown or 'nothing'}"]
        if len(moved) > 1:
            parts.append(f"hardest to tell apart: {', '.join(moved)}")
        return f"{'; '.join(parts)}; condition {self.condition:.2g}"


def identifiability(solution: Solution) -> Identifiability:
    """What the data determine of the parameters that were fitted.

    Example:
        >>> from sftheory.fits import Curve, fit
        >>> t = np.arange(1000, 50_001, 200)
        >>> wave = 1e-3 * np.cos(2.0 * np.arange(len(t)))
        >>> found = identifiability(fit(Curve(t, 28 / np.sqrt(t + 60) + 3 + wave)).power)
        >>> "c" in found.determined, sorted(found.errors) == ["a", "b", "c", "p"]
        (True, True)
    """
    law = solution.law
    sizes = law.sizes(solution.parameters, solution.rows)
    sizes[law.floor] = float(np.ptp(solution.loss))
    moves = solution.moves
    at_bound = zip(law.axes, solution.edge.T, strict=True)
    stopped = {axis.parameter or axis.name for axis, ends in at_bound if ends.any()}
    free = [name for name in law.names if np.any(moves[name]) or name in stopped]
    relative = np.array([moves[name] / max(sizes[name], 1e-300) for name in free])
    errors = {n: float(e) for n, e in zip(free, np.linalg.norm(relative, axis=1), strict=True)}
    errors |= dict.fromkeys(stopped, np.inf)
    left, _, _ = np.linalg.svd(relative, full_matrices=False)
    weakest = left[:, 0] / left[np.argmax(np.abs(left[:, 0])), 0]
    determined = tuple(name for name in free if errors[name] < SEEN)
    return Identifiability(
        errors,
        determined,
        tuple(name for name in free if name not in determined),
        solution.condition,
        {name: float(part) for name, part in zip(free, weakest, strict=True)},
    )
