import json

import numpy as np
import pytest

from sftheory.core.claim import Claim
from sftheory.core.errors import InputError

NAN, INF = float("nan"), float("inf")


def claim(computed, relation, expected, **more):
    return Claim("id", "a statement", computed, relation, expected, **more)


@pytest.mark.parametrize(
    ("computed", "relation", "expected", "tolerance", "holds"),
    [
        (1.0, "==", 1.0, {}, True),
        (1.0 + 1e-15, "==", 1.0, {}, False),
        (1.05, "==", 1.0, {"atol": 0.1}, True),
        (0.95, "==", 1.0, {"atol": 0.1}, True),
        (1.2, "==", 1.0, {"atol": 0.1}, False),
        (104, "==", 100, {"rtol": 0.05}, True),
        (-104, "==", -100, {"rtol": 0.05}, True),
        (106, "==", 100, {"rtol": 0.05}, False),
        (106, "==", 100, {"rtol": 0.05, "atol": 2}, True),
        (1.0, "<=", 1.0, {}, True),
        (1.1, "<=", 1.0, {}, False),
        (1.1, "<=", 1.0, {"atol": 0.2}, True),
        (-INF, "<=", 1.0, {}, True),
        (1.0, ">=", 1.0, {}, True),
        (0.9, ">=", 1.0, {}, False),
        (0.9, ">=", 1.0, {"rtol": 0.2}, True),
        (INF, ">=", 1.0, {}, True),
        (0.5, "in", (0, 1), {}, True),
        (0.0, "in", [0, 1], {}, True),
        (1.0, "in", (0, 1), {}, True),
        (1.1, "in", (0, 1), {}, False),
        (-0.1, "in", (0, 1), {}, False),
        (-0.1, "in", (0, 1), {"atol": 0.2}, True),
        (1.1, "in", (0, 1), {"rtol": 0.2}, True),
        (2.0, "in", (2, 2), {}, True),
    ],
)
def test_a_relation_holds_within_its_tolerance(computed, relation, expected, tolerance, holds):
    assert claim(computed, relation, expected, **tolerance).holds is holds


@pytest.mark.parametrize("expected", [1.0, NAN])
@pytest.mark.parametrize("relation", ["==", "<=", ">="])
def test_no_relation_holds_of_a_nan(relation, expected):
    assert not claim(NAN, relation, expected, atol=INF).holds
    assert not claim(1.0, relation, NAN).holds
    assert not claim(NAN, "in", (0, 1)).holds


@pytest.mark.parametrize(
    ("computed", "reason", "as_recorded"),
    [(1.0, None, True), (2.0, None, False), (2.0, "why", True), (1.0, "why", False)],
)
def test_an_outcome_is_as_recorded_when_it_holds_or_fails_with_a_reason(
    computed, reason, as_recorded
):
    assert claim(computed, "==", 1.0, known_failure=reason).as_recorded is as_recorded


@pytest.mark.parametrize(
    ("relation", "expected", "reason"),
    [
        ("<", 1.0, "relation '<' is not ==, <=, >=, in"),
        ("in", 1.0, "needs expected=\\(low, high\\)"),
        ("in", (1, 0), "needs expected=\\(low, high\\)"),
        ("in", (0, NAN), "needs expected=\\(low, high\\)"),
        ("in", (0, 1, 2), "needs expected=\\(low, high\\)"),
        ("==", (0, 1), "needs one expected number"),
    ],
)
def test_a_claim_that_cannot_be_checked_is_refused(relation, expected, reason):
    with pytest.raises(InputError, match=reason):
        claim(1.0, relation, expected)


@pytest.mark.parametrize("computed", [1.0, NAN, INF, np.float32(0.5), np.array(2.0)], ids=repr)
def test_the_record_is_json_with_the_outcome(computed):
    made = claim(computed, "in", (0, 1), atol=0.25, source="somebody2023", known_failure="why")
    text = json.dumps(made.record(), allow_nan=False)
    record = json.loads(text)
    assert record["holds"] is made.holds and record["expected"] == [0, 1]
    assert float(record["computed"]) == pytest.approx(float(computed), nan_ok=True)
    assert record["tolerance"] == 0.25 and record["known_failure"] == "why"
    assert record["source"] == "somebody2023" and record["relation"] == "in"
