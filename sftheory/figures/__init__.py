"""Figures whose claims are checked: what a figure is, how it looks, how it is written out.

The figures themselves stand in `paper_figures`, one module for each paper.
"""

from sftheory.core.lazy import attributes
from sftheory.core.registry import Registry

FIGURES = Registry("figure", "paper_figures")

__getattr__ = attributes(
    __name__,
    {
        "Curve": "sftheory.figures.base",
        "Data": "sftheory.figures.base",
        "Figure": "sftheory.figures.base",
        "fit": "sftheory.figures.loss_curve",
        "Dashboard": "sftheory.figures.dashboards",
        "dashboard": "sftheory.figures.dashboards",
        "reproduce": "sftheory.figures.output",
    },
)
