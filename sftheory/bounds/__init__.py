"""Convergence bounds: pure functions, one theorem a file, named by the paper that owns it.

Conventions: N steps gamma_1, ..., gamma_N of shape (..., N), the report is x_{N+1}; D = |x_1 - x_*|
is a distance; G bounds the norm of every subgradient, the report's included.
"""

from sftheory.core.registry import Registry

BOUNDS = Registry("bound", __name__)
__getattr__ = BOUNDS.attribute
__dir__ = BOUNDS.symbols
