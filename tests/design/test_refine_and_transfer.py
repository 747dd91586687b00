"""Logged norms, their filter, and a peak taken to another horizon."""

import numpy as np
import pytest

from sftheory.bounds import last_iterate, refined
from sftheory.core.errors import InputError
from sftheory.design import horizon_transfer, refine
from sftheory.schedules import WSD, Constant, Cosine, FromValues, Linear, Warmup


@pytest.mark.parametrize("N", [1, 4, 50])
def test_refined_steps_attain_the_least_worst_case_of_their_norms(N):
    norms = np.exp(0.5 * np.random.default_rng(N).standard_normal(N + 1))
    plan = refine(norms, D=2.0)
    assert plan.value == pytest.approx(2 / np.sqrt((norms**-2.0).sum()), rel=1e-9)
    assert plan.price == pytest.approx(1, rel=1e-9)
    assert plan.optimum_lower <= plan.value
    np.testing.assert_array_equal(plan.gamma, refined(norms, D=2.0).gamma)


def test_the_filter_is_a_running_median_that_repeats_the_start_and_mirrors_the_end():
    norms = np.array([5.0, 1, 9, 2, 8, 3, 7, 4, 6, 10])
    wide = np.concatenate([[5, 5], norms, [6, 4]])  # 2 ⌊0.5 · 10 / 2⌋ + 1 = 5 wide
    medians = [sorted(wide[t : t + 5])[2] for t in range(10)]
    plan = refine(norms, D=1, smooth=0.5)
    np.testing.assert_allclose(plan.gamma, refined(medians, D=1).gamma, rtol=1e-12)


def test_smoothing_costs_when_the_same_norms_return():
    norms = np.exp(0.3 * np.random.default_rng(3).standard_normal(200))
    plan = refine(norms, D=1, smooth=0.1)
    assert plan.unconstrained == pytest.approx(refine(norms, D=1).value, rel=1e-9)
    assert plan.price > 1.01
    assert plan.lower <= plan.value <= plan.upper


def test_a_filter_of_width_one_changes_nothing():
    norms = np.exp(0.3 * np.random.default_rng(3).standard_normal(20))
    np.testing.assert_array_equal(refine(norms, D=1, smooth=0.01).gamma, refine(norms, D=1).gamma)


SHAPES = [Linear(), Cosine(), WSD(0.2), Constant(), Warmup(Linear(), steps=5), 0.3 * WSD(0.5)]


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
def test_no_other_peak_is_better_at_the_new_horizon(shape):
    plan = horizon_transfer(0.05 * shape, 40, 130, G=2.0)
    rows = np.outer(np.linspace(0.5, 2, 301), plan.gamma)
    eta = 0.05 * shape(40)
    # D is the distance for which the given peak is the best one at 40 steps
    factors = np.linspace(0.5, 2, 301)
    D = plan.unconstrained * np.sqrt(131) / 2.0
    at_40 = last_iterate(np.outer(factors, eta), D=D, G=2.0)
    assert abs(factors[at_40.argmin()] - 1) <= 0.006  # the grid's spacing
    assert plan.value == pytest.approx(last_iterate(rows, D=D, G=2.0).min(), rel=1e-9)
    np.testing.assert_allclose(plan.gamma / plan.gamma[-1], shape(130) / shape(130)[-1], rtol=1e-12)
    assert plan.gap < 1e-9


def test_the_peak_of_linear_decay_falls_with_the_root_of_the_horizon():
    plan = horizon_transfer(0.1 * Linear(), 99, 399)
    assert plan.gamma[0] == pytest.approx(0.1 * (399 / 400**1.5) / (99 / 100**1.5), rel=1e-12)
    assert plan.price == pytest.approx(1, rel=1e-12)


def test_the_same_horizon_keeps_the_steps():
    plan = horizon_transfer(0.1 * WSD(), 70, 70)
    np.testing.assert_allclose(plan.gamma, 0.1 * WSD()(70), rtol=1e-12)


def test_a_distance_that_makes_the_peak_too_small_shows_in_the_gap():
    inferred = horizon_transfer(0.1 * WSD(), 70, 140)
    D = inferred.unconstrained * np.sqrt(141)
    given = horizon_transfer(0.1 * WSD(), 70, 140, D=2 * D)
    np.testing.assert_allclose(given.gamma, inferred.gamma, rtol=1e-12)
    assert given.gap == pytest.approx((2 + 0.5) / 2 - 1, rel=1e-9)  # ½ (r + 1/r) at r = 1/2


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: refine([1.0], D=1), "pass at least two"),
        (lambda: refine([[1.0, 1.0]], D=1), "of one run"),
        (lambda: refine([1.0, 0.0], D=1), "needs grad_norms > 0"),
        (lambda: refine([1.0, -1.0], D=1), "needs grad_norms > 0"),
        (lambda: refine([1.0, np.nan], D=1), "nan"),
        (lambda: refine([1.0, 1.0], D=None), "design.refine needs D"),
        (lambda: refine([1.0, 1.0], D=1, smooth=0), "smooth must be above 0"),
        (lambda: refine([1.0, 1.0], D=1, smooth=2), r"smooth must be a number in \[0, 1\]"),
        (lambda: horizon_transfer([0.1, 0.1], 2, 4), "needs a Schedule"),
        (lambda: horizon_transfer(Linear(), 0, 4), "N must be a whole number"),
        (lambda: horizon_transfer(Linear(), 4, 0), "N2 must be a whole number"),
        (lambda: horizon_transfer(FromValues([0.1, 0.1]), 2, 4), "pass exactly N values"),
        (lambda: horizon_transfer(0 * Linear(), 2, 4), "zero at all steps"),
        (lambda: horizon_transfer(Linear(), 2, 4, D=-1), "needs D > 0"),
        (lambda: horizon_transfer(Linear(), 2, 4, G=None), "needs G"),
    ],
)
def test_bad_input_never_yields_a_plan(call, reason):
    with pytest.raises(InputError, match=reason):
        call()
