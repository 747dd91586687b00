import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory import bounds
from sftheory.bounds import BOUNDS, last_iterate
from sftheory.core.errors import InputError
from sftheory.methods import (
    EMA,
    METHODS,
    LastIterate,
    PolyakAverage,
    PrimalAverage,
    ScheduleFree,
)
from sftheory.schedules import WSD, Constant, Linear, Warmup


def takes_steps(entry):
    """Whether it is a bound for any steps: bound(gamma, *, D, G)."""
    names = list(inspect.signature(entry.object).parameters)
    return names[0] == "gamma" and {"D", "G"} <= set(names) and "N" not in names


def takes_norms(entry):
    """Whether G may be N + 1 norms."""
    return "ArrayLike" in str(inspect.signature(entry.object).parameters["G"].annotation)


STEP_BOUNDS = [e for e in BOUNDS.load().values() if takes_steps(e)]
every_bound = pytest.mark.parametrize("entry", STEP_BOUNDS, ids=lambda e: e.name)
of_the_last_iterate = pytest.mark.parametrize(
    "entry",
    [e for e in STEP_BOUNDS if e.facts["covers"](LastIterate().tableau([0.1, 0.2]))],
    ids=lambda e: e.name,
)
positive = st.floats(1e-2, 1e2)
# zero is a step that schedules take at a warm-up's start or a cosine's end
some_steps = st.lists(st.just(0.0) | st.floats(1e-3, 2), min_size=1, max_size=12).filter(any)
ROWS = np.array([[0.1, 0.2, 0.3, 0.0], [0.9, 0.4, 0.2, 0.1], [0.001, 0.002, 0.0, 0.001]])


def test_the_table_holds_the_bounds_for_any_steps():
    assert {"omega", "last_iterate", "averaged", "schedulet"} <= {e.name for e in STEP_BOUNDS}


@every_bound
@given(gamma=some_steps, D=positive, G=positive)
def test_a_bound_scales_with_distance_and_norm(entry, gamma, D, G):
    bound, gamma = entry.object, np.array(gamma)
    unit = bound(gamma, D=1.0, G=1.0)
    assert bound(gamma * D / G, D=D, G=G) == pytest.approx(D * G * unit, rel=1e-10)  # rounding


@every_bound
@given(gamma=some_steps)
def test_no_bound_promises_less_than_the_minimax_value(entry, gamma):
    value = entry.object(gamma, D=1.0, G=1.0)
    assert isinstance(value, float)
    assert value >= (1 - 1e-12) / np.sqrt(len(gamma) + 1)  # rounding


@of_the_last_iterate
@given(gamma=some_steps)
def test_no_bound_on_the_last_iterate_is_below_its_exact_worst_case(entry, gamma):
    exact = last_iterate(gamma, D=1.0, G=1.0)
    assert entry.object(gamma, D=1.0, G=1.0) >= exact * (1 - 1e-12)  # rounding


@every_bound
@given(gamma=some_steps)
def test_a_larger_distance_or_norm_never_lowers_a_bound(entry, gamma):
    value = entry.object(gamma, D=1.0, G=1.0)
    assert entry.object(gamma, D=1.5, G=1.0) >= value * (1 - 1e-12)
    assert entry.object(gamma, D=1.0, G=1.5) >= value * (1 - 1e-12)


@every_bound
def test_a_batch_equals_its_rows(entry):
    bound = entry.object
    rows = np.array([bound(gamma, D=2.0, G=0.5) for gamma in ROWS])
    np.testing.assert_allclose(bound(ROWS, D=2.0, G=0.5), rows, rtol=1e-12)
    grid = np.stack([ROWS, 3 * ROWS])
    assert bound(grid, D=2.0, G=0.5).shape == (2, 3)
    np.testing.assert_allclose(bound(grid, D=2.0, G=0.5)[0], rows, rtol=1e-12)


@pytest.mark.parametrize("entry", [e for e in STEP_BOUNDS if takes_norms(e)], ids=lambda e: e.name)
def test_norms_of_several_runs_with_the_same_steps_are_a_batch(entry):
    bound, norms = entry.object, np.array([[1.0, 2.0, 0.5, 1.0, 3.0], [0.2, 0.1, 0.1, 0.3, 0.2]])
    rows = [bound(ROWS[1], D=2.0, G=G) for G in norms]
    np.testing.assert_allclose(bound(ROWS[1], D=2.0, G=norms), rows, rtol=1e-12)
    pairs = [bound(gamma, D=2.0, G=G) for gamma, G in zip(ROWS[:2], norms, strict=True)]
    np.testing.assert_allclose(bound(ROWS[:2], D=2.0, G=norms), pairs, rtol=1e-12)


@every_bound
@given(step=st.floats(1e-3, 10))
def test_one_step_is_enough(entry, step):
    assert np.isfinite(entry.object([step], D=1.0, G=1.0))


@every_bound
def test_the_arguments_are_left_as_they_are(entry):
    gamma = ROWS.copy()
    entry.object(gamma, D=1.0, G=1.0)
    np.testing.assert_array_equal(gamma, ROWS)


BAD = [
    ({"gamma": [0.1, -0.1, 0.1]}, "gamma has -0.1 at step 2; pass values >= 0"),
    ({"gamma": [0.1, 0.1, np.nan]}, "gamma has nan at step 3"),
    ({"gamma": [np.inf, 0.1]}, "gamma has inf at step 1"),
    ({"gamma": [[0.1, 0.1], [0.1, -1]]}, "gamma has -1 at step 2 of row 1"),
    ({"gamma": []}, "gamma is empty"),
    ({"gamma": 0.1}, "one number per step"),
    ({"gamma": ["a"]}, "must be numbers"),
    ({"gamma": None}, "gamma must be"),
    ({"D": None}, "needs D, the distance .* not known; pass D="),
    ({"D": 0}, "needs D > 0 and finite"),
    ({"D": -1}, "needs D > 0 and finite"),
    ({"D": np.nan}, "needs D > 0 and finite"),
    ({"D": np.inf}, "needs D > 0 and finite"),
    ({"D": "far"}, "needs D > 0 and finite"),
    ({"D": [1.0, 2.0, 3.0]}, "needs one distance D"),
    ({"G": None}, "needs G, a bound on the subgradient norms, .* not known; pass G="),
    ({"G": 0}, "needs G > 0 and finite"),
    ({"G": -1}, "needs G > 0 and finite"),
    ({"G": np.nan}, "needs G > 0 and finite"),
    ({"G": []}, "needs G > 0 and finite"),
    ({"G": [1.0, 1.0]}, "needs one G or N\\+1=3 of them|holds for one G"),
    ({"G": [1.0, -1.0, 1.0]}, "needs G > 0 and finite"),
]


@pytest.mark.parametrize(("wrong", "reason"), BAD, ids=[f"{w}" for w, _ in BAD])
@every_bound
def test_bad_input_never_yields_a_number(entry, wrong, reason):
    arguments = {"gamma": [0.1, 0.1], "D": 1.0, "G": 1.0} | wrong
    with pytest.raises(InputError, match=reason):
        entry.object(arguments.pop("gamma"), **arguments)


COVERING = [e for e in BOUNDS.load().values() if "covers" in e.facts]
every_covering_bound = pytest.mark.parametrize("entry", COVERING, ids=lambda e: e.name)
METHODS_WITH_TABLEAU = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
EXTRA = [
    PolyakAverage("gamma"),
    PrimalAverage("gamma"),
    ScheduleFree(0.5, weights="gamma"),
    PolyakAverage("polynomial"),
    ScheduleFree(0.5, start_counts=False),
]
MADE = [e.make(6) for e in METHODS_WITH_TABLEAU] + EXTRA
every_method = pytest.mark.parametrize("method", MADE, ids=repr)
SHAPES = [Constant(), Linear(), WSD(0.5), 0.3 * Warmup(steps=3)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=repr)


@every_covering_bound
@every_method
@every_shape
def test_a_tableau_stands_for_its_steps_where_the_bound_covers_it(entry, method, shape):
    tab, D, G = method.tableau(0.2 * shape(6)), 2.0, 0.5
    if entry.facts["covers"](tab):
        value = entry.object(tab, D=D, G=G)
        assert D * G / np.sqrt(7) * (1 - 1e-12) <= value < np.inf
        if entry in STEP_BOUNDS:
            assert value == entry.object(tab.gamma, D=D, G=G)
    else:
        with pytest.raises(InputError, match=f"bounds.{entry.name} does not cover this method"):
            entry.object(tab, D=D, G=G)


@pytest.mark.parametrize("entry", [e for e in COVERING if "tuned" in e.facts], ids=lambda e: e.name)
@every_shape
def test_a_tuned_step_has_the_least_value_of_its_shape(entry, shape):
    eta, D, G = shape(6), 2.0, 0.5
    covered = [m for m in MADE if entry.facts["covers"](m.tableau(eta))]
    for method in covered:
        base, value = getattr(bounds, entry.facts["tuned"])(eta, D=D, G=G)
        at = [entry.object(method.tableau(a * base * eta), D=D, G=G) for a in (0.8, 1, 1.25)]
        assert at[1] == pytest.approx(value, rel=1e-9)  # the free entry is tuned by iteration
        assert min(at[0], at[2]) > value
    assert covered or entry.name == "schedule_free"  # which covers constant steps alone


def test_the_error_names_the_bounds_that_do_cover_the_method():
    with pytest.raises(InputError, match=r"use bounds\.averaged or bounds\.schedulet"):
        last_iterate(PolyakAverage("gamma").tableau([0.2, 0.1]), D=1, G=1)
    with pytest.raises(InputError, match=r"any other by bounds\.certificate"):
        last_iterate(EMA(0.9).tableau([0.2, 0.1]), D=1, G=1)
