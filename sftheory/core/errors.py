"""Bad input, and the checks that turn it into one sentence with the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


class InputError(ValueError):
    """What the caller gave cannot be used; the message is one sentence that ends in the remedy."""


class UnknownNameError(InputError, AttributeError):
    """A name that no registry holds; the message suggests the nearest one."""


def nearest(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for an unknown `name`: it suggests the closest known one, or lists them all."""
    known = sorted(known)
    folded = {k.lower(): k for k in known}
    close = get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    hint = (
        f"did you mean {folded[close[0]]!r}?"
        if close
        else f"choose one of {', '.join(k or repr(k) for k in known)}."
    )
    return UnknownNameError(f"There is no {kind} {name!r}; {hint}")


def numbers(what: str, values: ArrayLike, entry: str = "step") -> NDArray[np.float64]:
    """`values` as float64 with at least one axis, none of them empty, every entry finite.

    `entry` is what messages call one of them.

    Raises:
        InputError: the values are not numbers, there are none, or one is NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):  # the last is torch's, of what wants gradients
        shown = shorten(repr(values), 80)
        raise InputError(f"{what} must be numbers, but got {shown}; {_remedy(values)}.") from None
    if array.ndim == 0:
        raise InputError(f"{what} must be an array with one number per {entry}, not {values!r}.")
    if array.size == 0:
        raise InputError(f"{what} is empty; pass at least one entry.")
    bad = ~np.isfinite(array)
    if bad.any():
        raise InputError(f"{what} {_first(array, bad, entry)}; every one must be a finite number.")
    return array


def _remedy(values: Any) -> str:
    if hasattr(values, "tableau"):
        return "pass its .tableau(gamma)"
    if hasattr(values, "detach"):
        return "pass it with .detach()"
    return "call it with N, the number of steps" if callable(values) else "pass an array"


def steps(what: str, values: ArrayLike, entry: str = "step") -> NDArray[np.float64]:
    """`numbers` that are also non-negative: step sizes, weights.

    Raises:
        InputError: as `numbers`, or an entry is negative; the sentence names its step.
    """
    array = numbers(what, values, entry)
    if (array < 0).any():
        raise InputError(f"{what} {_first(array, array < 0, entry)}; pass values >= 0.")
    return array


def within(what: str, array: NDArray[np.float64], low: float, high: float) -> None:
    """Raises InputError unless low <= array <= high everywhere; the sentence names the step."""
    bad = (array < low) | (array > high)
    if bad.any():
        raise InputError(f"{what} {_first(array, bad)}; it must lie in [{low:g}, {high:g}].")


def count(what: str, value: Any, least: int = 1) -> int:
    """A whole number >= `least`, such as N.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        remedy = ""
        if isinstance(value, (float, np.floating)) and value >= least and value.is_integer():
            remedy = f"; write {int(value)}"
        raise InputError(f"{what} must be a whole number >= {least}, but got {value!r}{remedy}.")
    return int(value)


def real(what: str, value: Any, low: float, high: float = np.inf) -> float:
    """A finite number in [low, high].

    Raises:
        InputError: it is not.
    """
    one = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not one or not (low <= value <= high) or not np.isfinite(value):
        rule = f" in [{low:g}, {high:g}]" if np.isfinite(high) else f" >= {low:g}"
        kind = f"number{rule}" if np.isfinite(low) else "finite number"
        raise InputError(f"{what} must be a {kind}, but got {value!r}.")
    return float(value)


def _first(array: NDArray[np.float64], bad: NDArray[np.bool_], entry: str = "step") -> str:
    place = list(np.argwhere(bad)[0].tolist())
    row = f" of row {place[0] if len(place) == 2 else place[:-1]}" if len(place) > 1 else ""
    return f"has {array[tuple(place)]:g} at {entry} {place[-1] + 1}{row}"


_MEANING = {
    "D": ("the distance from x_1 to a minimiser", "pass D=..., an upper bound of that distance"),
    "G": (
        "a bound on the subgradient norms",
        "pass G=..., for a bound after the fact the largest norm met, traj.grad_norm.max()",
    ),
    "L": ("the smoothness constant", "pass L=..., the largest curvature"),
    "mu": ("the strong-convexity constant", "pass mu=..., the smallest curvature"),
    "f_star": ("the least value of f", "pass f_star=..., or a lower bound of it"),
}


def constant(needed_by: str, name: str, value: Any) -> Any:
    """A constant of the problem that a theorem needs: a positive number, or an array of them.

    Raises:
        InputError: the problem lacks it (None), or it is not positive and finite.
    """
    meaning, remedy = _MEANING.get(name, (name, f"pass {name}=... > 0"))
    if value is None:
        raise InputError(f"{needed_by} needs {name}, {meaning}, which is not known; {remedy}.")
    try:
        text = np.asarray(value).dtype.kind in "bUS"  # "1" and True are no measured constants
        array = np.array(np.nan) if text else np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.array(np.nan)
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any() or array.size == 0:
        found = f"it {_first(array, bad, 'entry')}" if bad.ndim and bad.any() else f"got {value!r}"
        raise InputError(f"{needed_by} needs {name} > 0 and finite, but {found}; {remedy}.")
    return float(array) if array.ndim == 0 else array
