"""Units: a worst case has one value, whatever D and G are measured in."""

import numpy as np
import pytest

import sftheory as sft
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import program, worst_case

METHODS = {
    "last iterate": Tableau([0.3, 0.2, 0.1], 0.0, 1.0),
    "hull": sft.methods.ScheduleFree(0.5).tableau(np.full(3, 0.4)),
    "sdp": sft.methods.ScheduleFree(1.0, power=0).tableau([0.6, 0.4, 0.1]),
    "bracket": sft.methods.PrimalAverage().tableau(sft.schedules.Linear()(90) / 9),
}
UNITS = [(2.0**-500, 1.0), (2.0**300, 2.0**-300), (2.0**-200, 2.0**200), (2.0**400, 2.0**400)]


def moved(tableau, D, G):
    return Tableau(tableau.gamma * (D / G), tableau.beta, tableau.c)


@pytest.mark.parametrize("path", METHODS)
@pytest.mark.parametrize("D, G", UNITS)
def test_powers_of_two_change_no_digit(path, D, G):
    tableau = METHODS[path]
    unit, found = worst_case(tableau, D=1, G=1), worst_case(moved(tableau, D, G), D=D, G=G)
    assert unit.path == found.path == path
    for end in ("lower", "value", "upper"):
        np.testing.assert_array_equal(getattr(found, end) / D / G, getattr(unit, end))
    np.testing.assert_array_equal(found.effective_schedule * (G / D), unit.effective_schedule)
    if unit.gradient is not None and G == 1:
        np.testing.assert_array_equal(found.gradient, unit.gradient)


CLASSES = {
    "norms": dict(G=np.array([1.0, 0.5, 0.7, 0.9])),
    "smooth": dict(L=1.1),
    "strongly convex": dict(G=1.0, mu=0.3),
    "smooth and strongly convex": dict(L=1.1, mu=0.3),
}


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("D, G", [(1e-70, 1e60), (1e90, 1.0), (1e-60, 1e-80)])
def test_the_function_is_one_in_the_units_that_were_asked_for(kind, D, G):
    constants = dict(CLASSES[kind])
    unit = worst_case(METHODS["sdp"], D=1, **constants)
    for name, size in (("G", G), ("L", G / D), ("mu", G / D)):
        if name in constants:
            constants[name] = constants[name] * size
    tableau = moved(METHODS["sdp"], D, G)
    found = worst_case(tableau, D=D, **constants)
    for end in ("lower", "value", "upper"):
        assert getattr(found, end) / D / G == pytest.approx(getattr(unit, end), rel=1e-6)  # solver
    function = found.function
    assert np.linalg.norm(function.x1 / D) <= 1 + 1e-12
    assert program.attained(tableau, function) == pytest.approx(found.lower, rel=1e-12, abs=0)
    if "L" in constants:
        assert function.L == pytest.approx(constants["L"], rel=1e-12, abs=0)
    assert function.mu in (0, constants.get("mu")) if "mu" in constants else True


@pytest.mark.parametrize("D, G", [(1e-200, 1e-200), (1e-300, 1e-20), (1e200, 1e200)])
def test_values_beyond_the_doubles_are_rounded_outwards(D, G):
    h = np.array([0.3, 0.2])
    exponent = np.log10(D) + np.log10(G)
    found = worst_case(h * (D / G), D=D, G=G)
    assert 0 <= found.lower <= found.upper
    if exponent > 308:
        assert np.isfinite(found.lower) and found.upper == np.inf
    else:
        assert found.upper > 0 and found.upper <= 1e-319


@pytest.mark.parametrize("steps", [[1e-310, 0.5], [1e-310, 1e-320], [3e-320]])
def test_numbers_that_other_units_would_round_are_left_as_they_are(steps):
    found = worst_case(np.array(steps), D=8.0, G=8.0)
    rest = worst_case([h for h in steps if h > 1e-300] or [0.0], D=8.0, G=8.0)
    assert found.value == pytest.approx(rest.value, rel=1e-12)
    np.testing.assert_array_equal(found.effective_schedule, steps)


@pytest.mark.parametrize("size", [1e120, 1e200, 1e300])
def test_steps_far_too_long_have_their_value(size):
    h = np.array([0.7, 0.2, 0.4])
    found = worst_case(h * size, D=1.0, G=1.0)
    long = worst_case(h * 1e30, D=1.0, G=1.0)  # W / |h| as |h| grows
    assert found.lower <= found.value <= found.upper
    assert found.value / size == pytest.approx(long.value / 1e30, rel=1e-12)
