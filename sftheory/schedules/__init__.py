"""Learning-rate schedules: `Schedule()(N)` gives the shape of N steps; steps are peak * shape.

With k = 1, ..., N and u = (k - 1) / N. One file holds one schedule.
"""

from sftheory.core.registry import Registry

SCHEDULES = Registry("schedule", __name__)
__getattr__ = SCHEDULES.attribute
__dir__ = SCHEDULES.symbols
