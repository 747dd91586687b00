"""Phases of long curves are those of their averages, and cost no more."""

import numpy as np
import pytest

from sftheory.fits import Curve, find_phases, fit

RNG = np.random.default_rng(0)


def curve(n, cooldown=False, rate=None):
    t = np.linspace(1000, 50_000, n)
    loss = 3 + 28 / np.sqrt(t) + 1e-3 * np.cos(2e-3 * np.arange(n)) + 1e-3 * RNG.standard_normal(n)
    if cooldown:
        loss -= np.maximum(t - 40_000, 0) * 2e-5
    return Curve(t, loss, rate)


@pytest.mark.parametrize("n", [4000, 4001, 30_000, 1_000_000])
def test_a_cooldown_is_found_at_every_length(n):
    whole, cut = find_phases(curve(n)), find_phases(curve(n, cooldown=True))
    assert whole.whole and (whole.start, whole.stop) == (1000, 50_000)
    assert cut.cooldown and not cut.warmup
    assert cut.start == 1000 and 35_000 < cut.stop < 43_000


def test_a_constant_rate_says_that_there_is_no_cooldown_at_every_length():
    for n in (3000, 30_000):
        assert find_phases(curve(n, cooldown=True, rate=np.ones(n))).whole


def test_a_million_points_of_correlated_noise_are_fitted():  # in O(n²) this takes minutes
    found = fit(curve(1_000_000), "sqrt")
    assert found.verdict == "fits" and abs(found.c - 3) < 1e-3


@pytest.mark.parametrize("n", [7, 60, 5000])
def test_a_run_that_ends_above_its_least_value_diverges(n):
    t = np.linspace(100, 5000, n)
    found = fit(Curve(t, 3 + (t - 1500) ** 2 / 1e7 + 0.01 * np.cos(t)), "sqrt")
    assert found.verdict == "diverging"
    assert "ends" in found.verdict.reason or "rises" in found.verdict.reason
