"""Proofs in rationals: what they prove, for good multipliers and functions and for bad ones."""

from fractions import Fraction

import numpy as np
import pytest
from test_recursion_and_enclosure import exact as recursion_in_rationals

import sftheory as sft
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import exact, hull, program, sdp, varying_norms, worst_case
from sftheory.worst_cases.points import Points, points_of

FAMILIES = {
    "last iterate": lambda rng, N: Tableau(rng.uniform(0.05, 1, N), 0.0, 1.0),
    "constant schedule-free": lambda rng, N: sft.methods.ScheduleFree(rng.uniform()).tableau(
        np.full(N, rng.uniform(0.05, 1))
    ),
    "mismatched schedule-free": lambda rng, N: sft.methods.ScheduleFree(1.0).tableau(
        np.linspace(1, 0, N + 1)[:-1]
    ),
    "momentum": lambda rng, N: sft.methods.HeavyBall(0.8).tableau(rng.uniform(0.05, 0.5, N)),
    "any": lambda rng, N: Tableau(
        rng.uniform(0, 1, N), rng.uniform(size=N), rng.uniform(0.05, 1, N)
    ),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def solved(tableau, D, norms):
    """What the program makes of a tableau: multipliers, diagonal, and its functions."""
    G = float(norms.max())
    points = points_of(tableau)
    unit = Points(points.rows * (G / D), points.reported, points.best)
    functions = sdp.Class(norms / G)
    found = sdp.solve(unit, functions, full=len(points) < 9, apart=1e-7)
    M = len(points)
    made = list(program.functions_of(found, unit, functions, D=D, G=G))
    return found.multipliers[:M, :M], found.diagonal, made


def unit_rows(rng, shape):
    rows = rng.standard_normal(shape)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def affine(function):
    return function.slopes, function.offsets, function.start


@every_family
def test_the_lower_end_is_never_above_the_upper_one_whatever_proves_them(family):
    rng = np.random.default_rng(0)
    for N in (1, 2, 3, 5):
        tableau = FAMILIES[family](rng, N)
        D, M = float(np.exp(rng.standard_normal())), N + 1
        norms = np.exp(rng.standard_normal(M))
        pairs, diagonal, made = solved(tableau, D, norms)
        junk = rng.standard_normal((M, M)) * (1 - np.eye(M))
        proofs = [
            (pairs, diagonal),
            (pairs * rng.uniform(0.9, 1.1, (M, M)), diagonal),
            (pairs, 0 * diagonal),
            (pairs + 0.1 * junk, diagonal),
            (junk, -diagonal),
            (0 * pairs, diagonal),
            (100 * np.abs(junk), diagonal),
        ]
        uppers = [exact.upper(tableau, *proof, D, norms) for proof in proofs]
        lowers = [exact.lower(tableau, *affine(f), D, norms) for f in made]
        slopes, offsets, start = affine(made[0])
        short = norms.min() * unit_rows(rng, slopes.shape) / 2
        lowers += [
            exact.lower(tableau, short, -0.1 * rng.uniform(size=M), start, D, norms),
            exact.lower(tableau, (1 + 1e-13) * slopes, offsets, start, D, norms),
            exact.lower(tableau, slopes, offsets, (1 + 1e-13) * start, D, norms),
            exact.lower(tableau, slopes, offsets + 1, start, D, norms),
        ]
        assert 0 <= min(lowers) and max(lowers) <= min(uppers)
        assert uppers[0] == min(uppers[:3])
        assert uppers[0] - max(lowers) <= Fraction(1, 10**4) * Fraction(D * norms.max())


def one_step(gamma, D, G):
    """W of a single step by hand: max over p of D G p + G² gamma (1 - 2 p²), P_1 = 4 gamma."""
    gamma, D, G = Fraction(gamma), Fraction(D), Fraction(G)
    return D * D / (8 * gamma) + gamma * G * G if 4 * G * gamma >= D else D * G - gamma * G * G


@pytest.mark.parametrize("gamma", [2.0**-5, 0.25, 0.3, 1.0, 7.0])
@pytest.mark.parametrize("D, G", [(1.0, 1.0), (0.7, 3.0)])
def test_both_ends_of_one_step_hold_its_value_by_hand(gamma, D, G):
    tableau, norms = Tableau([gamma], 0.3, 1.0), np.full(2, G)
    truth = one_step(gamma, D, G)
    assert truth == recursion_in_rationals([gamma], D, G)
    pairs, diagonal, made = solved(tableau, D, norms)
    upper = exact.upper(tableau, pairs, diagonal, D, norms)
    lower = max(exact.lower(tableau, *affine(f), D, norms) for f in made)
    assert lower <= truth <= upper
    assert upper - lower <= Fraction(1, 10**5) * truth


@pytest.mark.parametrize("seed", range(8))
def test_both_ends_hold_the_exact_value_where_a_theorem_gives_it(seed):
    rng = np.random.default_rng(seed)
    N = 2 + seed % 4
    h = rng.uniform(0.05, 1, N) * 4.0 ** rng.integers(-2, 2)
    D, G = (float(x) for x in np.exp(0.5 * rng.standard_normal(2)))
    tableau = Tableau(h, 0.0, 1.0)
    truth, norms = recursion_in_rationals(h, D, G), np.full(N + 1, G)
    P = hull.natural_chain(h, D, G)
    _, pairs = hull.multipliers(points_of(tableau).rows[:, :N], h, P)
    diagonal = hull.diagonal(h * (G / D), P * (G / D))
    upper = exact.upper(tableau, pairs, diagonal, D, norms)
    assert truth <= upper <= truth * (1 + Fraction(1, 10**11))
    for share in (0.5, 0.9, 0.99, 1.01, 2):  # wrong multipliers prove a larger bound
        assert exact.upper(tableau, share * pairs, diagonal, D, norms) >= truth
    function = worst_case(tableau, D=D, G=G).function.separated(1e-13)
    heights = -function.gap * np.arange(len(function.q) + 1.0)
    lower = exact.lower(tableau, function.pieces, heights, function.x1, D, norms)
    assert truth * (1 - Fraction(1, 10**11)) <= lower <= truth


@every_family
@pytest.mark.parametrize("N", [2, 6, 15])
def test_the_lower_end_is_what_a_run_in_doubles_attains(family, N):
    rng = np.random.default_rng(N)
    tableau, norms = FAMILIES[family](rng, N), np.full(N + 1, 0.7)
    _, _, made = solved(tableau, 1.3, norms)
    for function in made[1:]:  # the first one's pieces tie
        attained = program.attained(tableau, function)
        lower = float(exact.lower(tableau, *affine(function), 1.3, norms))
        assert lower == pytest.approx(attained, rel=1e-12, abs=0)


def test_a_gradient_longer_than_its_norm_attains_nothing():
    tableau = Tableau([0.5, 0.5], 0.0, 1.0)
    slopes, offsets, start = np.array([[1.0, 0.0]]), np.zeros(1), np.array([1.0, 0.0])
    assert exact.lower(tableau, slopes, offsets, start, 1.0, np.ones(3)) == 0
    half = np.array([0.25, 0.25])
    tableau = Tableau(half, 0.0, 1.0)
    assert exact.lower(tableau, slopes, offsets, start, 1.0, np.ones(3)) == Fraction(1, 2)
    for k in range(3):
        norms = np.where(np.arange(3) == k, 0.999, 1.0)
        assert exact.lower(tableau, slopes, offsets, start, 1.0, norms) == 0


@pytest.mark.parametrize("factor", [1 + 1e-15, 1.5, 1e6, 1e200])
def test_a_slope_that_is_too_long_is_shortened_to_its_norm(factor):
    slopes = unit_rows(np.random.default_rng(0), (4, 6))
    tableau, norms = Tableau([0.5, 0.5, 0.5], 0.0, 1.0), np.ones(4)
    arguments = np.zeros(4), 2 * slopes.sum(axis=0), 5.0, norms
    short = exact.lower(tableau, slopes, *arguments)
    assert short > 0
    found = float(exact.lower(tableau, factor * slopes, *arguments))
    assert found == pytest.approx(float(short), rel=1e-14)


def hilbert(n):
    """The Hilbert matrix times lcm(1, ..., 2 n - 1): positive definite, badly conditioned."""
    scale = int(np.lcm.reduce(np.arange(1, 2 * n, dtype=object)))
    return [[scale // (i + j + 1) for j in range(n)] for i in range(n)]


def minor(matrix):
    """The leading minors by fractions, as a second source."""
    rows = [[Fraction(int(x)) for x in row] for row in matrix]
    minors, value = [], Fraction(1)
    for k in range(len(rows)):
        pivot = rows[k][k]
        value *= pivot
        minors.append(value)
        if pivot == 0:
            break
        for i in range(k + 1, len(rows)):
            share = rows[i][k] / pivot
            rows[i] = [a - share * b for a, b in zip(rows[i], rows[k], strict=True)]
    return minors


RNG = np.random.default_rng(0)
TALL = RNG.integers(-9, 10, (5, 4)).astype(object)
MATRICES = {
    "identity": ([[1, 0], [0, 1]], True),
    "coupled": ([[2, 1], [1, 2]], True),
    "large": ([[10**40 + 1, 10**40], [10**40, 10**40]], True),
    "large, singular": ([[10**40, 10**40], [10**40, 10**40]], False),
    "large, by one below": ([[10**40 - 1, 10**40], [10**40, 10**40]], False),
    "Hilbert": (hilbert(12), True),
    "Gram of full rank": ((TALL.T @ TALL).tolist(), True),
    "zero": ([[0]], False),
    "negative": ([[-1]], False),
    "rank one": ([[1, 2], [2, 4]], False),
    "rank four of five": ((TALL @ TALL.T).tolist(), False),
    "indefinite": ([[1, 2], [2, 1]], False),
    "zero first, then positive": ([[0, 0], [0, 1]], False),
    "zero last": ([[1, 0], [0, 0]], False),
    "two negative pivots, positive determinant": ([[-1, 0], [0, -1]], False),
    "negative in the middle": ([[1, 0, 0], [0, -1, 0], [0, 0, 1]], False),
}


@pytest.mark.parametrize("matrix, expected", MATRICES.values(), ids=list(MATRICES))
def test_positive_definite_is_what_it_says(matrix, expected):
    S = np.array(matrix, dtype=object)
    assert exact._positive_definite(S) is expected
    assert all(m > 0 for m in minor(S)) is expected
    assert (S == np.array(matrix, dtype=object)).all()  # left as it was


def test_positive_definite_agrees_with_minors_by_fractions():
    verdicts = set()
    for _ in range(200):
        n = int(RNG.integers(1, 7))
        A = RNG.integers(-5, 6, (n, n)).astype(object)
        S = A @ A.T + int(RNG.integers(-1, 2)) * np.eye(n, dtype=int).astype(object)
        expected = all(m > 0 for m in minor(S))
        assert exact._positive_definite(S) is expected
        verdicts.add(expected)
    assert verdicts == {True, False}


def linear_uniform(N):
    """Schedule-free with linear decay and uniform weights: off the hull condition."""
    gamma = sft.schedules.Linear()(N) / np.sqrt(N + 1)
    return sft.methods.ScheduleFree(0.9, power=0).tableau(gamma)


def constant(N):
    return sft.methods.ScheduleFree(0.9).tableau(np.full(N, 1 / np.sqrt(N + 1)))


@pytest.mark.parametrize(
    "tableau, path, width",
    [
        (constant(40), "hull", 1e-8),
        (linear_uniform(12), "sdp", 1e-5),
        pytest.param(linear_uniform(40), "sdp", 1e-5, marks=pytest.mark.slow),
    ],
    ids=["hull, 40 steps", "sdp, 12 steps", "sdp, 40 steps"],
)
def test_long_methods_are_proved_in_rationals(tableau, path, width):
    found = worst_case(tableau, D=1, G=1, certify="rational")
    assert (found.path, found.certified) == (path, "rational")
    assert 0 < found.upper - found.lower <= width * (found.upper if path == "hull" else 1.0)
    assert found.lower <= found.value <= found.upper


@pytest.mark.parametrize("D, G", [(1e-6, 1e3), (1e6, 1e-3), (1e-9, 1e9)])
def test_a_proof_does_not_depend_on_units(D, G):
    gamma = np.full(5, 0.4)
    tableau = sft.methods.ScheduleFree(0.5).tableau(gamma * (D / G))
    found = worst_case(tableau, D=D, G=G, certify="rational")
    unit = worst_case(sft.methods.ScheduleFree(0.5).tableau(gamma), D=1, G=1)
    assert found.certified == "rational"
    assert found.value == pytest.approx(D * G * unit.value, rel=1e-9, abs=0)
    assert found.upper - found.lower <= 1e-8 * found.upper


@pytest.mark.parametrize("D, G", [(1e-30, 1e30), (1e30, 1e-30)])
def test_a_proof_does_not_depend_on_extreme_units(D, G):
    tableau = sft.methods.ScheduleFree(0.5).tableau(np.full(5, 0.4) * (D / G))
    found = worst_case(tableau, D=D, G=G, certify="rational")
    assert found.certified == "rational"


@pytest.mark.parametrize(
    "gamma, norms, certified",
    [
        ([0.9, 0.7, 0.6], [0.3, 1.0, 0.8, 0.8], "float"),  # a proof has no choice of pieces
        ([0.2, 1.0, 0.7], [2.0, 1.0, 0.8, 0.8], "rational"),
    ],
    ids=["jumps", "no jumps"],
)
def test_asking_for_rationals_never_proves_less_than_doubles_do(gamma, norms, certified):
    tableau = sft.methods.PolyakAverage("gamma").tableau(gamma)
    doubles = worst_case(tableau, D=1, G=norms)
    assert doubles.path == "hull" and doubles.upper - doubles.lower <= 1e-11
    assert np.isfinite(doubles.function.floor).any() == (certified == "float")
    rationals = worst_case(tableau, D=1, G=norms, certify="rational")
    assert rationals.lower >= doubles.lower * (1 - 1e-8)
    assert rationals.upper <= doubles.upper * (1 + 1e-8)
    assert rationals.certified == certified


def matched(h, norms, D, beta):
    """The averaging method whose points are the virtual ones of the best chain."""
    P = varying_norms.solve(h, D, norms).P
    kept = np.append(1.0, np.cumprod((P[1:] + h) / P[:-1]))
    weights = np.append(kept[:-1] - kept[1:], kept[-1])
    return Tableau(hull.virtual_steps(h, P), beta, (weights / np.cumsum(weights))[1:])


@pytest.mark.parametrize("seed", range(6))
def test_norms_that_fall_are_proved_in_rationals(seed):
    rng = np.random.default_rng(seed)
    norms = np.sort(rng.uniform(0.5, 1.5, 6))[::-1].copy()
    tableau = matched(rng.uniform(0.1, 1, 5), norms, 2.0, rng.uniform(size=5))
    doubles, rationals = (
        worst_case(tableau, D=2, G=norms, certify=certify) for certify in ("float", "rational")
    )
    assert doubles.path == rationals.path == "hull"
    assert rationals.certified == "rational"
    assert rationals.upper - rationals.lower <= 1e-10 * rationals.upper
    assert rationals.lower <= doubles.upper * (1 + 1e-13)
    assert rationals.upper >= doubles.lower * (1 - 1e-13)
