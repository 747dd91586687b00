"""Figures whose claims are checked: what a figure is, how it looks, how it is written out.

The figures themselves stand in `paper_figures`, one module for each paper.
"""

from __future__ import annotations

from typing import Any

from sftheory.core.registry import Registry

FIGURES = Registry("figure", "paper_figures")

_NAMES = {
    "Curve": "sftheory.figures.base",
    "Data": "sftheory.figures.base",
    "Figure": "sftheory.figures.base",
    "reproduce": "sftheory.figures.output",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = thing
    return thing
