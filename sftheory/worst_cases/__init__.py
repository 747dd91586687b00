"""Exact worst cases: the value, a function that attains it, and a certificate."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {
    "WorstCase": "sftheory.worst_cases.solve",
    "worst_case": "sftheory.worst_cases.solve",
    "MaxOfLinear": "sftheory.worst_cases.hard_functions",
}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = thing
    return thing
