"""A number with its interval."""

from __future__ import annotations

from typing import Any, NamedTuple


class Estimate(NamedTuple):
    """A value with the two ends of its interval."""

    value: Any
    low: Any
    high: Any
