"""The formulas of the schedules once more, as plain loops over k = 1, ..., N."""

from math import cos, floor, pi, sqrt

import numpy as np
import pytest

from sftheory import schedules as s
from sftheory.core.errors import InputError


def wsd(shape, c):
    def value(k, N):
        K = min(floor(c * (N + 1) + 1e-9), N)
        j = k - (N - max(K - 1, 0))  # 1 on the first of the last K - 1 steps
        return shape(j / K) if j >= 1 else 1.0

    return value


def cosine(final=0.0, cycles=1.0):
    def value(k, N):
        u = (k - 1) / max(1, floor(cycles * (N + 1) + 1e-9) - 1)
        return final + (1 - final) * (1 + cos(pi * u)) / 2

    return value


def sgdr(m):
    def value(k, N):
        ends = [round(N * (2**i - 1) / (2**m - 1)) for i in range(m + 1)]
        i = next(i for i in range(m) if k <= ends[i + 1])
        return (1 + cos(pi * (k - 1 - ends[i]) / (ends[i + 1] - ends[i]))) / 2

    return value


FORMULAS = [
    (s.Constant(), lambda k, N: 1.0),
    (s.Linear(), lambda k, N: 1 - (k - 1) / N),
    (s.InverseSqrt(), lambda k, N: 1 / sqrt(k)),
    (s.Polynomial(power=2), lambda k, N: (1 - (k - 1) / N) ** 2),
    (s.Polynomial(power=0.5), lambda k, N: sqrt(1 - (k - 1) / N)),
    (s.Cosine(), cosine()),
    (s.Cosine(final=0.1), cosine(final=0.1)),
    (s.Cosine(cycles=1.5), cosine(cycles=1.5)),
    (s.Cosine(final=0.1, cycles=4), cosine(final=0.1, cycles=4)),
    *[(s.WSD(c), wsd(lambda v: 1 - v, c)) for c in (0, 0.07, 0.2, 0.29, 0.5, 1)],
    (s.WSD(0.2, "1-sqrt"), wsd(lambda v: 1 - sqrt(v), 0.2)),
    (s.WSD(0.3, "cosine"), wsd(lambda v: (1 + cos(pi * v)) / 2, 0.3)),
    (s.WSD(0.3, "exponential"), wsd(lambda v: 0.01**v, 0.3)),
    (s.SGDR(restarts=1), sgdr(1)),
    (s.SGDR(restarts=3), sgdr(3)),
    (s.StepDecay(), lambda k, N: 0.1 ** sum((k - 1) / N >= a for a in (0.5, 0.75))),
    (s.StepDecay(0.5, at=(0.3,)), lambda k, N: 0.5 if (k - 1) / N >= 0.3 else 1.0),
    (s.Warmup(steps=10), lambda k, N: min(1, k / 10)),
    (s.Warmup(steps=0), lambda k, N: 1.0),
    (s.Warmup(fraction=0.29), lambda k, N: min(1, k / max(floor(0.29 * N + 1e-9), 1))),
    (s.Warmup(s.Linear(), steps=3), lambda k, N: min(1, k / 3) * (1 - (k - 1) / N)),
    (0.3 * s.Linear(), lambda k, N: 0.3 * (1 - (k - 1) / N)),
]


@pytest.mark.parametrize("N", [1, 2, 7, 100, 399, 400])
@pytest.mark.parametrize(("schedule", "formula"), FORMULAS, ids=[repr(f[0]) for f in FORMULAS])
def test_the_values_are_those_of_the_formula(schedule, formula, N):
    expected = [formula(k, N) for k in range(1, N + 1)]
    np.testing.assert_allclose(schedule(N), expected, rtol=0, atol=1e-12)  # rounding


def test_linear_decay_ends_one_step_before_zero():
    assert s.Linear()(4).tolist() == [1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize("N", [1, 2, 7, 400])
def test_a_wsd_that_only_cools_down_is_linear_and_one_that_never_does_is_constant(N):
    np.testing.assert_allclose(s.WSD(cooldown=1)(N), s.Linear()(N), rtol=1e-12)
    np.testing.assert_array_equal(s.WSD(cooldown=0)(N), s.Constant()(N))


def test_three_restarts_in_400_steps_are_cycles_of_57_114_and_229():
    starts = np.flatnonzero(s.SGDR(restarts=3)(400) == 1)
    assert starts.tolist() == [0, 57, 171] and np.diff([*starts, 400]).tolist() == [57, 114, 229]


@pytest.mark.parametrize(("N", "lengths"), [(100, [75, 25]), (10, [8, 2]), (2, [2]), (1, [1])])
def test_joined_schedules_play_each_on_its_own_share(N, lengths):
    joined = s.Join([(0.75, s.Constant()), (0.25, s.Linear())])(N)
    parts = [part(n) for part, n in zip((s.Constant(), s.Linear()), lengths, strict=False)]
    np.testing.assert_array_equal(joined, np.concatenate(parts))


def test_three_joined_thirds_fill_the_run():
    joined = s.Join([(1 / 3, s.Constant()), (1 / 3, 0.5 * s.Constant()), (1 / 3, s.Linear())])(10)
    np.testing.assert_array_equal(joined, [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 1, 2 / 3, 1 / 3])


REFUSED = [
    (lambda: s.Cosine(final=-0.1), "final must be a number in .0, 1."),
    (lambda: s.Cosine(cycles=0.5), "cycles must be a number >= 1"),
    (lambda: s.Cosine(cycles=np.inf), "cycles must be a number >= 1"),
    (lambda: s.WSD(cooldown=1.2), "cooldown must be a number in .0, 1."),
    (lambda: s.WSD(shape="sqrt"), "no shape 'sqrt'; choose one of linear, 1-sqrt"),
    (lambda: s.Polynomial(power=-1), "power must be a number >= 0"),
    (lambda: s.SGDR(restarts=0), "whole number >= 1"),
    (lambda: s.SGDR(restarts=1.5), "whole number >= 1"),
    (lambda: s.StepDecay(factor=2), "factor must be a number in .0, 1."),
    (lambda: s.StepDecay(at=(0.0,)), "fractions in"),
    (lambda: s.Warmup(), "one of the two"),
    (lambda: s.Warmup(steps=3, fraction=0.1), "one of the two"),
    (lambda: s.Warmup(steps=-1), "whole number"),
    (lambda: s.Warmup(fraction=1.1), "fraction must be a number in .0, 1."),
    (lambda: s.Join([]), "sum to 1"),
    (lambda: s.Join([(0.5, s.Linear())]), "sum to 1"),
    (lambda: s.Join([(-0.5, s.Linear()), (1.5, s.Linear())]), "positive fractions"),
    (lambda: s.FromValues([1, -1]), "has -1 at step 2"),
    (lambda: s.FromValues([[1, 1]]), "one value per step"),
    (lambda: s.FromValues([]), "is empty"),
]


@pytest.mark.parametrize(("build", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_arguments_out_of_range_are_refused_with_the_rule(build, reason):
    with pytest.raises(InputError, match=reason):
        build()
