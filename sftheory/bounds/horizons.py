"""The bounds of every point on the way: their arguments, and the free entry of each horizon."""

from __future__ import annotations

from typing import Any

import numpy as np

from sftheory.bounds.base import Array
from sftheory.core.errors import InputError, constant


def all_asked(horizons: Any) -> bool:
    """Whether every horizon is asked for.

    Raises:
        InputError: horizons is neither None nor "all".
    """
    if horizons not in (None, "all"):
        raise InputError(f"horizons is None or 'all', not {horizons!r}.")
    return horizons == "all"


def free_entries(bound: str, gamma: Array, last: Any) -> Array:
    """The free entry tau after t = 1, ..., N steps, (..., N): gamma_{t+1}, and `last` for t = N.

    Raises:
        InputError: last is missing or not positive.
    """
    if last is None:
        raise InputError(f"bounds.{bound} needs last=, the entry after gamma_N, for all horizons.")
    last = np.asarray(constant(f"bounds.{bound}", "last", last))
    ends = np.broadcast_to(last, gamma.shape[:-1])[..., None]
    return np.concatenate([gamma[..., 1:], ends], axis=-1)
