"""Problems: objectives with everything that is known of them. One file holds one problem."""

from sftheory.core.registry import Registry

PROBLEMS = Registry("problem", __name__)
__getattr__ = PROBLEMS.attribute
__dir__ = PROBLEMS.symbols
