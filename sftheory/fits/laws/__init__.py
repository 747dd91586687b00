"""Laws of loss curves: each is a few columns that enter linearly, and what bends them.

A law says loss(t) = c + Σ_j A_j x_j(t; theta). Which (A, c) fit best follows from theta by linear
least squares, so that only theta is searched. Adding a law is one file.
"""

from sftheory.core.registry import Registry

LAWS = Registry("law", __name__)
__getattr__ = LAWS.attribute
__dir__ = LAWS.symbols
