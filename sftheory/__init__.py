"""Learning-rate schedules, averaging and schedule-free methods, as data.

A method is three sequences, a `Tableau(gamma, beta, c)`. It is run on problems, bounded by
theorems and drawn in figures whose claims are checked. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import Any

from sftheory.core.lazy import attributes

__version__ = "0.1.0"

_MODULES = (
    "bounds",
    "design",
    "exact_moments",
    "explore",
    "figures",
    "fits",
    "lm",
    "methods",
    "optim",
    "probes",
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
    "Moments": "sftheory.exact_moments",
    "moments": "sftheory.exact_moments",
    "WorstCase": "sftheory.worst_cases",
    "worst_case": "sftheory.worst_cases",
    "replay": "sftheory.optim",
    "probe": "sftheory.probes",
}
__all__ = sorted([*_MODULES, *_NAMES, "__version__"])  # pyright: ignore[reportUnsupportedDunderAll]


_attribute = attributes(__name__, _NAMES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    return _attribute(name)


def __dir__() -> list[str]:
    return list(__all__)
