"""Optimization methods: `Method().tableau(gamma)` turns step sizes into a `Tableau`.

A controller also sets the steps while it runs: `run(problem, controller, steps=N)`. One file holds
one method.
"""

from sftheory.core.registry import Registry

METHODS = Registry("method", __name__)
__getattr__ = METHODS.attribute
__dir__ = METHODS.symbols
