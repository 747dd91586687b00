"""Claimed and computed travel together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sftheory.core.errors import InputError

Relation = Literal["==", "<=", ">=", "in"]


@dataclass(frozen=True)
class Claim:
    r"""A statement of a source as one number that was computed here, and what it should be.

    An order of values is one `>=` claim on the smallest gap, so `computed` is always a number.

    Args:
        id: unique, "F01-ratio-cosine".
        statement: what the source says, in a sentence.
        computed: the number that came out here.
        relation: "==" is |computed - expected| <= tolerance; "<=" and ">=" give way by the
            tolerance; "in" takes `expected = (low, high)`.
        expected: the source's number, or the interval.
        atol, rtol: the tolerance is atol + rtol |expected|.
        source: key of references.bib with the place, "schaipp2025, Fig. 1".
        known_failure: the written reason why the claim does not hold here; it is shown with the
            claim, and such a claim is expected to fail.

    Raises:
        InputError: the relation is unknown, or the interval is not a pair low <= high.

    Example:
        >>> Claim("root", "sqrt 2 is 1.414", 2**0.5, "==", 1.414, atol=1e-3, source="school").holds
        True
    """

    id: str
    statement: str
    computed: float
    relation: Relation
    expected: float | tuple[float, float]
    atol: float = 0.0
    rtol: float = 0.0
    source: str = ""
    known_failure: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "computed", float(self.computed))
        if self.relation not in ("==", "<=", ">=", "in"):
            raise InputError(f"Claim {self.id}: relation {self.relation!r} is not ==, <=, >=, in.")
        expected = np.asarray(self.expected, dtype=float)
        if self.relation == "in":
            if expected.shape != (2,) or not expected[0] <= expected[1]:
                raise InputError(f"Claim {self.id}: 'in' needs expected=(low, high).")
            object.__setattr__(self, "expected", (float(expected[0]), float(expected[1])))
        elif expected.shape != ():
            raise InputError(f"Claim {self.id}: {self.relation!r} needs one expected number.")
        else:
            object.__setattr__(self, "expected", float(expected))

    @property
    def tolerance(self) -> float:
        """atol + rtol |expected|."""
        return self.atol + self.rtol * float(np.abs(self.expected).max())

    @property
    def holds(self) -> bool:
        """Whether the relation is true of what was computed; never of a NaN."""
        low, high = self.expected if isinstance(self.expected, tuple) else (self.expected,) * 2
        above = self.computed >= low - self.tolerance
        below = self.computed <= high + self.tolerance
        return {"<=": below, ">=": above}.get(self.relation, above and below)

    @property
    def as_recorded(self) -> bool:
        """Whether the outcome is the recorded one: holds, or fails with a reason written down."""
        return self.holds == (self.known_failure is None)

    def record(self) -> dict[str, Any]:
        """The claim as JSON values."""
        expected = list(self.expected) if isinstance(self.expected, tuple) else self.expected
        return {
            "id": self.id,
            "statement": self.statement,
            "relation": self.relation,
            "expected": expected,
            "computed": self.computed if np.isfinite(self.computed) else str(self.computed),
            "tolerance": self.tolerance,
            "source": self.source,
            "holds": self.holds,
            "known_failure": self.known_failure,
        }
