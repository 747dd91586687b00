"""Which metrics a probe computes, from their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from sftheory.core.errors import InputError
from sftheory.core.registry import Entry
from sftheory.probes.metrics import METRICS
from sftheory.probes.reading import Reading

POINTS = ("x", "y", "z")


@dataclass(frozen=True)
class Chosen:
    """A metric of the parameters, or of x, y or z; called with a reading it gives its values."""

    name: str
    metric: Callable[[Reading], Tensor]
    point: str = ""

    def __call__(self, reading: Reading) -> Tensor:
        if not self.point:
            return self.metric(reading)
        if not reading.has_sequences:
            return reading.undefined
        return self.metric(reading.at(self.point))


def choose(names: Sequence[str] | None, has_sequences: bool) -> list[Chosen]:
    """The metrics with these names; None is every metric that is not sampled.

    Those that are marked `default` are then also taken of x, y and z where these exist.

    Raises:
        InputError: a suffix other than .x, .y and .z, or on a metric that is of no sequence.
        UnknownNameError: there is no such metric.
    """
    if names is None:
        chosen: list[Chosen] = []
        for entry in METRICS:
            facts = entry.facts or {}
            if not facts.get("sampled"):
                chosen.append(Chosen(entry.name, entry.object))
            if facts.get("default") and has_sequences:
                chosen += [_of(entry, point) for point in POINTS]
        return chosen
    if isinstance(names, str):
        raise InputError(f"metrics={names!r} is one name; pass a list of names.")
    if not names:
        raise InputError("metrics is empty; name at least one, or pass None for all.")
    chosen = []
    for name in dict.fromkeys(names):
        base, dot, point = str(name).partition(".")
        entry = METRICS[base]
        if not dot:
            chosen.append(Chosen(entry.name, entry.object))
        elif point in POINTS and (entry.facts or {}).get("sequence"):
            chosen.append(_of(entry, point))
        else:
            wanted = "is .x, .y or .z" if point not in POINTS else "needs a metric of a sequence"
            raise InputError(f"{name!r} is no metric: a suffix {wanted}; pass {entry.name!r}.")
    return chosen


def _of(entry: Entry, point: str) -> Chosen:
    return Chosen(f"{entry.name}.{point}", entry.object, point)
