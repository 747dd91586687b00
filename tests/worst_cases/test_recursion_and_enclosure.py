from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory import bounds, schedules
from sftheory.worst_cases import recursion
from sftheory.worst_cases.enclosure import enclose

STEPS = st.lists(st.floats(1e-4, 1e3), min_size=1, max_size=12)
SIZE = st.floats(1e-2, 1e2)


def exact(h, D, G):
    """W over the rationals, in the form with P."""
    h, D, G = [Fraction(x) for x in h], Fraction(D), Fraction(G)
    P = Fraction(0)
    for x in reversed(h):
        P = max(P, x)
        P = P + 2 * x + x * x / P
    return (D * D / P + G * G * (P - 2 * sum(h))) / 2 if G * P >= D else D * G - G * G * sum(h)


@given(STEPS, SIZE, SIZE)
def test_both_enclosures_hold_the_exact_rational_value(h, D, G):
    W = exact(h, D, G)
    low, high = recursion.directed(np.array(h), D, G)
    inner_low, inner_high = enclose(np.array(h), D, G)
    assert Fraction(low) <= inner_low <= W <= inner_high <= Fraction(high)
    assert float(inner_high - inner_low) <= 1e-28 * float(W)
    assert high - low <= 1e-13 * high


@given(STEPS, SIZE, SIZE)
def test_the_compiled_recursion_is_the_bound(h, D, G):
    expected = bounds.last_iterate(h, D=D, G=G)
    np.testing.assert_allclose(recursion.values(np.array([h]), D, G)[0], expected, rtol=1e-14)


@pytest.mark.parametrize("N, width", [(10**4, 1e-11), (10**5, 1e-10)])
def test_enclosures_stay_narrow_for_long_runs(N, width):
    h = schedules.WSD()(N) / np.sqrt(N)
    low, high = recursion.directed(h, 1.0, 1.0)
    inner_low, inner_high = enclose(h, 1.0, 1.0)
    assert Fraction(low) <= inner_low <= inner_high <= Fraction(high)
    assert high - low <= width * high
    assert float(inner_high - inner_low) <= 1e-12 * high


@given(STEPS)
def test_the_chain_is_that_of_the_theorem(h):
    M = recursion.chain(np.array(h))
    assert M[-1] == 0
    for k, x in enumerate(h):
        P = max(M[k + 1], x)
        assert M[k] == pytest.approx(P + 2 * x + x * x / P, rel=1e-14)
