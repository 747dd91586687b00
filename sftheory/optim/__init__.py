"""Torch optimizers of the family, and replaying a function through any optimizer."""

from sftheory.core.lazy import attributes

__getattr__ = attributes(
    __name__,
    {"Objective": "sftheory.optim.replaying", "replay": "sftheory.optim.replaying"},
)
