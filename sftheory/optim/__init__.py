"""Torch optimizers of the family, and replaying a function through any optimizer."""

from __future__ import annotations

import importlib
from typing import Any

_NAMES = {"replay": "sftheory.optim.replaying", "Objective": "sftheory.optim.replaying"}


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = thing
    return thing
