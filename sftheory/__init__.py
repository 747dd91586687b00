"""Learning-rate schedules, averaging and schedule-free methods, as data.

A method is three sequences, a `Tableau(gamma, beta, c)`. It is run on problems, bounded by
theorems and drawn in figures whose claims are checked. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = (
    "bounds",
    "figures",
    "methods",
    "optim",
    "problems",
    "schedules",
    "simulation",
    "worst_cases",
)
_NAMES = {
    "Claim": "sftheory.core.claim",
    "InputError": "sftheory.core.errors",
    "Tableau": "sftheory.core.tableau",
    "iterate": "sftheory.core.tableau",
    "Trajectory": "sftheory.core.trajectory",
    "Adam": "sftheory.simulation",
    "run": "sftheory.simulation",
    "WorstCase": "sftheory.worst_cases",
    "worst_case": "sftheory.worst_cases",
    "replay": "sftheory.optim",
}
__all__ = sorted([*_MODULES, *_NAMES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    return list(__all__)
