"""The real curves under SFTHEORY_DATA, as the figures choose and cut them."""

from paper_figures.real_curves import CURVES, visible_curves

__all__ = ["CURVES", "visible_curves"]
