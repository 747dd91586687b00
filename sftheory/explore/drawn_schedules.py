"""What the worst-case explorer shows: a drawn schedule, its exact worst case, Ω, a function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sftheory.bounds import last_iterate_gradient, last_iterate_tuned, omega
from sftheory.core.errors import InputError, count, numbers, real
from sftheory.core.tableau import Array
from sftheory.worst_cases import worst_case

STEPS, POINTS, HIGHEST = 400, 40, 1000.0
SECTION = np.linspace(-0.25, 1.75, 121)  # where the line through x_1 and x_{N+1} is looked at
PLATEAU = [[u, 1.0] for u in (0, 0.2, 0.4, 0.6, 0.8)] + [
    [0.85, 0.75],
    [0.9, 0.5],
    [0.95, 0.25],
    [1, 0],
]
INPUTS: dict[str, Any] = {"points": PLATEAU, "steps": 400}


def worst_case_data(*, points: Sequence[Sequence[float]], steps: int = 400) -> dict[str, Any]:
    r"""The exact worst case of SGD with a drawn schedule, for D = G = 1.

    Step k is the height of the drawn line at (k - 1)/N, divided by sqrt(N + 1): a line from 1 to 0
    is linear decay, N/(N + 1) of which is minimax.

    Args:
        points: (u, height) of the corners, u from 0 to 1 and increasing, heights in [0, 1000].
        steps: N, 1 to 400.

    Returns:
        gamma: (N,).  value: the worst case of f(x_{N+1}) - f*, exact (`worst_case`).  minimax:
        1/sqrt(N + 1), the least that N steps can promise.  omega: the bound Ω with its best free
        entry.  gradient: (N,), ∂value/∂gamma_k.  scale, scaled: the factor for all steps that makes
        the value least, and that value; None where all steps are zero.
        run: (N + 1,), f(x_t) - f* on the worst function.  pieces: how many linear pieces it has.
        section: {"s", "f"}, the function at x_1 + s (x_{N+1} - x_1); none where x does not move.

    Raises:
        InputError: the points are not in order, a height or the number of steps is out of range.

    Example:
        >>> found = worst_case_data(points=[[0, 1], [1, 0]], steps=24)
        >>> round(found["scale"], 12), round(found["scaled"], 12), found["minimax"]
        (0.96, 0.2, 0.2)
        >>> abs(found["run"][-1] - found["value"]) < 1e-12
        True
    """
    gamma = drawn(points, steps)
    found = worst_case(gamma, D=1.0, G=1.0, certify=None)
    x = _points(found.function.pieces, gamma)
    line = x[0] + SECTION[:, None] * (x[-1] - x[0])
    moves = bool(gamma.any())
    scale, scaled = last_iterate_tuned(gamma, D=1.0, G=1.0) if moves else (None, None)
    return {
        "gamma": gamma.tolist(),
        "value": found.value,
        "minimax": 1 / float(np.sqrt(len(gamma) + 1)),
        "omega": float(omega(gamma, D=1.0, G=1.0)),
        "gradient": last_iterate_gradient(gamma, D=1.0, G=1.0).tolist(),
        "scale": None if scale is None else float(scale),
        "scaled": None if scaled is None else float(scaled),
        "run": found.function.value(x).tolist(),
        "pieces": len(found.function.x1),
        "section": {"s": SECTION.tolist(), "f": found.function.value(line).tolist()}
        if moves
        else None,
    }


def _points(pieces: Array, gamma: Array) -> Array:
    """x_1, ..., x_{N+1} of SGD on the worst function, which returns a new piece at every step."""
    piece = np.minimum(np.cumsum(gamma > 0) - (gamma > 0), len(pieces) - 1)
    moves = np.cumsum(-gamma[:, None] * pieces[piece], axis=0)
    start = np.zeros(pieces.shape[1])
    start[0] = 1
    return start + np.concatenate([np.zeros((1, len(start))), moves])


def drawn(points: Any, steps: int) -> Array:
    """The N steps of a drawn schedule; see `worst_case_data`."""
    N = count("steps", steps)
    if N > STEPS:
        raise InputError(f"steps must be 1 to {STEPS}, but got {N}.")
    corners = numbers("points", points, "corner")
    if corners.ndim != 2 or corners.shape[1] != 2 or not 2 <= len(corners) <= POINTS:
        raise InputError(
            f"points has shape {corners.shape}; pass 2 to {POINTS} corners (place, height)."
        )
    u, height = corners.T
    if u[0] != 0 or u[-1] != 1 or (np.diff(u) <= 0).any():
        raise InputError("The places of the corners must increase from 0 to 1; sort them.")
    real("A height", float(height.min()), 0, HIGHEST)
    real("A height", float(height.max()), 0, HIGHEST)
    return np.interp(np.arange(N) / N, u, height) / np.sqrt(N + 1)
