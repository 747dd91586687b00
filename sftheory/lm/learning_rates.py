"""The steps of a run, from [schedule] and the registry of schedules."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError, nearest
from sftheory.lm.config import Config
from sftheory.schedules import SCHEDULES
from sftheory.schedules.base import Schedule
from sftheory.schedules.warmup import Warmup


def steps_of(config: Config) -> NDArray[np.float64]:
    """(N,): gamma of each of the run's own steps; (0,) for a run without steps."""
    section = config.schedule
    schedule = schedule_of({"name": section.name, **section.options})
    warmup = section.warmup
    if warmup:
        whole = float(warmup).is_integer()
        length: dict[str, Any] = {"steps": int(warmup)} if whole else {"fraction": warmup}
        schedule = Warmup(schedule, **length)
    N = config.run.steps
    return config.optimizer.lr * schedule(N) if N else np.zeros(0)


def schedule_of(given: Mapping[str, Any]) -> Schedule:
    """The schedule that a name and its options mean; mappings inside are schedules too.

    Raises:
        UnknownNameError: no such schedule or option.
        InputError: an option is missing or out of range.

    Example:
        >>> schedule_of({"name": "scaled", "inner": {"name": "linear"}, "factor": 0.5})(2).tolist()
        [0.5, 0.25]
    """
    options = dict(given)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"{dict(given)!r} names no schedule; write name = 'linear'.")
    cls = SCHEDULES[name].object
    fields = {f.name for f in dataclasses.fields(cls) if f.init}
    for option in options:
        if option not in fields:
            raise nearest(f"option of schedule {name},", option, fields)
    try:
        return cls(**{key: _inner(value) for key, value in options.items()})
    except TypeError as error:
        raise InputError(f"Schedule {name!r} cannot be built: {error}; give its options.") from None


def _inner(value: Any) -> Any:
    if isinstance(value, Mapping):
        return schedule_of(value)
    if isinstance(value, list):
        return tuple(_inner(v) for v in value)
    return value
