"""106-bit arithmetic against exact rationals, and the enclosure against decimals of 60 digits."""

import decimal
from decimal import Decimal
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_recursion_and_enclosure import exact

from sftheory import schedules
from sftheory.worst_cases import double_double as dd
from sftheory.worst_cases.double_double import SMALLEST
from sftheory.worst_cases.enclosure import enclose, outward

UNIT = Fraction(1, 1 << 106)
SMALLER = Fraction(1, 1 << 150)  # 13 or 56 times 2^-159, the rest of the stated bounds
SCALES = [1.0, 2.0**-60, 2.0**53, 2.0**200, 2.0**-200]


def exactly(pair):
    return Fraction(float(pair[0])) + Fraction(float(pair[1]))


def pairs():
    """Highs at and beside powers of two and at random, lows up to exactly half an ulp."""
    rng = np.random.default_rng(0)
    highs = [1.0, 1 + 2.0**-52, 2 - 2.0**-52, 1.5, 1 + 2.0**-26, 1 + 2.0**-27, 4 / 3]
    highs += rng.uniform(1, 2, 6).tolist()
    shares = [0.0, 1.0, -1.0, 1 - 2.0**-53, 2.0**-50, -(2.0**-53), *rng.uniform(-1, 1, 3)]
    for high, share in product(highs, shares):
        half = np.spacing(high) / 2
        low = share * (half / 2 if high == 1.0 and share < 0 else half)
        if high + low == high:
            yield high, float(low)


PAIRS = list(pairs())
OTHERS = [
    (sign * scale * a, sign * scale * b)
    for sign, scale, (a, b) in product((1, -1), SCALES, PAIRS[::3])
]


def sample(left, right, number):
    """That many of the combinations."""
    every = list(product(left, right))
    chosen = np.random.default_rng(0).choice(len(every), min(number, len(every)), replace=False)
    return [every[k] for k in chosen]


def test_the_inputs_are_double_words_and_reach_the_boundaries():
    assert len(PAIRS) > 90 and all(a + b == a for a, b in PAIRS)
    assert any(abs(b) == np.spacing(a) / 2 for a, b in PAIRS)


OPERATIONS = [
    (dd.add, lambda x, y: x + y, 3),
    (dd.multiply, lambda x, y: x * y, 7),
    (dd.divide, lambda x, y: x / y, 15),
]


@pytest.mark.parametrize("operation, truth, limit", OPERATIONS, ids=["add", "multiply", "divide"])
def test_an_operation_has_the_stated_error_and_is_bounded_by_rounding_outwards(
    operation, truth, limit
):
    for a, b in sample(PAIRS, OTHERS, 4000):
        result = operation(a, b)
        expected = truth(exactly(a), exactly(b))
        assert abs(exactly(result) - expected) <= (limit * UNIT + SMALLER) * abs(expected)
        assert result[0] + result[1] == result[0]  # a double word again
        assert exactly(dd.down(result)) <= expected <= exactly(dd.up(result))


def test_cancellation_costs_nothing():
    for a, b in [*sample(PAIRS, PAIRS, 1500), *((a, a) for a in PAIRS)]:
        near = -b[0], -b[1]
        for other in (near, (-a[0], -b[1]), (-a[0], b[1]), (-np.nextafter(a[0], 3), a[1])):
            if other[0] + other[1] != other[0]:
                continue
            result, expected = dd.add(a, other), exactly(a) + exactly(other)
            assert abs(exactly(result) - expected) <= (3 * UNIT + SMALLER) * abs(expected)
            assert exactly(dd.down(result)) <= expected <= exactly(dd.up(result))


finite = st.floats(-(2.0**300), 2.0**300).filter(lambda x: x == 0 or abs(x) > 2.0**-300)


@given(finite, finite)
def test_sums_and_products_of_two_doubles_are_exact(a, b):
    assert exactly(dd.sum_exactly(a, b)) == Fraction(a) + Fraction(b)
    assert exactly(dd.product_exactly(a, b)) == Fraction(a) * Fraction(b)
    large, small = sorted((a, b), key=abs, reverse=True)
    assert exactly(dd.renormalised(large, small)) == Fraction(a) + Fraction(b)


@pytest.mark.parametrize("a", PAIRS + OTHERS[:40])
def test_rounding_outwards_moves_by_64_units_and_signs_and_powers_are_exact(a):
    size = abs(Fraction(a[0]))
    for moved, sign in ((dd.down(a), -1), (dd.up(a), 1)):
        move = sign * (exactly(moved) - exactly(a))
        assert 62 * UNIT * size <= move <= 66 * UNIT * size
    assert exactly(dd.negative(a)) == -exactly(a)
    assert exactly(dd.times(4.0, a)) == 4 * exactly(a)


def test_zero_stays_zero():
    zero = (0.0, 0.0)
    assert dd.add((1.5, 2.0**-54), (-1.5, -(2.0**-54))) == zero
    assert dd.multiply(zero, (3.0, 0.0)) == dd.divide(zero, (3.0, 0.0)) == zero
    assert dd.down(zero) == dd.up(zero) == zero


def in_decimals(h, D, G, digits=80):
    """lower <= W <= upper by the standard library, in the form with P.

    ψ(P) = P + 2 h + h²/P rises from P = h on, and J(P) = ½ [D²/P + G² (P - 2 Σ h)] from P = D/G on.
    """
    down = decimal.Context(prec=digits, rounding=decimal.ROUND_FLOOR)
    up = decimal.Context(prec=digits, rounding=decimal.ROUND_CEILING)

    def chain(c):
        P = S = Decimal(0)
        for x in map(Decimal, reversed(h.tolist())):
            P, S = max(P, x), c.add(S, x)
            P = c.add(c.add(P, c.multiply(2, x)), c.divide(c.multiply(x, x), P))
        return P, S

    def J(c, P, S):
        far = c.divide(c.multiply(D, D), P)
        return c.divide(c.add(far, c.multiply(c.multiply(G, G), c.subtract(P, c.add(S, S)))), 2)

    D, G = Decimal(D), Decimal(G)
    (P, least), (P_up, most) = chain(down), chain(up)
    if down.multiply(G, P) >= D:
        lower = J(down, P, up.multiply(1, most))
    else:
        lower = down.subtract(down.multiply(D, G), up.multiply(up.multiply(G, G), most))
    return lower, J(up, max(P_up, up.divide(D, G)), least)


FAMILIES = {
    "linear decay": lambda rng, N: (N - np.arange(N)) / N**1.5,
    "warmup, stable, decay": lambda rng, N: schedules.WSD()(N) / np.sqrt(N),
    "small": lambda rng, N: rng.uniform(size=N) / (10 * N),
    "spikes": lambda rng, N: rng.pareto(0.6, N) + 1e-6,
    "eight decades": lambda rng, N: 10 ** rng.uniform(-4, 4, N),
    "rising": lambda rng, N: np.geomspace(1e-8, 1, N),
    "powers of two": lambda rng, N: 2.0 ** rng.integers(-8, 8, N),
}


@pytest.mark.parametrize("N", [1, 2, 3, 30, 1000, 10_000])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_enclosure_holds_what_decimals_of_80_digits_hold(family, N):
    rng = np.random.default_rng(N)
    for D, G in ((1.0, 1.0), (0.3, 7.0)):
        h = FAMILIES[family](rng, N)
        lower, upper = (Fraction(end) for end in in_decimals(h, D, G))
        low, high = enclose(h, D, G)
        assert low <= upper and lower <= high  # W is in both
        assert upper - lower <= Fraction(1, 10**60) * upper
        assert high - low <= N * Fraction(1, 1 << 96) * high
        assert Fraction(outward(low, high)[0]) <= low and Fraction(outward(low, high)[1]) >= high


def extreme(rng, N):
    """Steps over 400 binary orders, boundaries of the recursion's branch among them."""
    h = np.exp2(-rng.uniform(0, 399, N)) * rng.uniform(1, 2, N)
    if rng.uniform() < 0.3:
        h = np.exp2(-rng.integers(0, 400, N).astype(float))
    if N > 1 and rng.uniform() < 0.3:  # h_k = P_{k+1}, where the clipping begins: 4, then 1
        h[-2:] = 4 * h[-1], h[-1]
    if N > 1 and rng.uniform() < 0.5:
        h[rng.integers(N)] = 0
    return np.maximum(h / h.max(), SMALLEST)


def test_the_enclosure_holds_the_exact_value_over_the_stated_range():
    rng = np.random.default_rng(0)
    for _ in range(600):
        N = int(rng.integers(1, 9))
        h = extreme(rng, N) * 2.0 ** rng.integers(-500, 500)
        D, G = (float(x) for x in np.exp2(rng.uniform(-300, 300, 2)))
        low, high = enclose(h, D, G)
        W = exact(h, D, G)
        assert low <= W <= high
        assert high - low <= N * Fraction(1, 1 << 96) * W


@pytest.mark.parametrize("N", [1, 2, 5, 9])
def test_the_enclosure_holds_the_exact_value_where_branches_meet(N):
    """Steps equal to P_{k+1} and its neighbours, and D at G P_1 and its neighbours."""
    rng = np.random.default_rng(N)
    for _ in range(40):
        h = np.empty(N)
        h[-1] = rng.uniform(1, 2)
        P = 4 * Fraction(h[-1])
        for k in range(N - 2, -1, -1):
            meeting = float(P)
            h[k] = rng.choice([np.nextafter(meeting, 0), meeting, np.nextafter(meeting, np.inf)])
            top = max(P, Fraction(h[k]))
            P = top + 2 * Fraction(h[k]) + Fraction(h[k]) ** 2 / top
        for D in (np.nextafter(float(P), 0), float(P), np.nextafter(float(P), np.inf)):
            low, high = enclose(h, float(D), 1.0)
            assert low <= exact(h, float(D), 1.0) <= high
