"""Stability thresholds against eigenvalues and runs, transients against tabulated peaks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftheory import methods, problems
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.exact_moments import (
    critical_step,
    moments,
    spectral_radius,
    stability_map,
    transient_growth,
)

units = st.sampled_from([0.0, 1.0, 0.5]) | st.floats(0, 1)
momenta = st.sampled_from([0.0, 0.5, 0.9]) | st.floats(1e-6, 0.99)


def one_step(step, beta, c, mu):
    """The matrix of (z, x, m), column by column, from the update itself."""
    columns = []
    for z, x, m in np.eye(3):
        m = mu * m + (1 - mu) * step * ((1 - beta) * z + beta * x)
        z = z - m
        columns.append([z, (1 - c) * x + c * z, m])
    return np.array(columns).T


def radius(step, beta, c, mu):
    return np.abs(np.linalg.eigvals(one_step(step, beta, c, mu))).max()


@given(step=st.floats(0, 30), beta=units, c=units, mu=momenta)
def test_the_spectral_radius_is_that_of_one_step_of_the_update(step, beta, c, mu):
    # a double eigenvalue is known to the root of rounding only
    expected = pytest.approx(radius(step, beta, c, mu), rel=1e-7, abs=1e-7)
    assert float(spectral_radius(step, beta, c, momentum=mu)) == expected


@settings(max_examples=50)
@given(beta=units, c=units, mu=momenta)
def test_the_critical_step_is_where_the_radius_leaves_1(beta, c, mu):
    critical = float(critical_step(beta, c, momentum=mu))
    if critical > 1e6:  # beta = 1 and c near 0: no bound within reach
        assert radius(1e5, beta, c, mu) <= 1 + 1e-5  # double eigenvalue
        return
    low, high = 0.0, 2 * critical
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if radius(middle, beta, c, mu) > 1 + 1e-9 else (middle, high)
    assert critical == pytest.approx(low, rel=1e-5)  # the radius may leave 1 slowly


@given(beta=units, c=units, mu=momenta, part=st.floats(0.001, 0.999), over=st.floats(1.001, 50))
def test_the_stable_steps_are_those_below_the_critical_one(beta, c, mu, part, over):
    critical = float(critical_step(beta, c, momentum=mu))
    if np.isfinite(critical) and critical < 1e6:
        assert radius(part * critical, beta, c, mu) <= 1 + 1e-7  # double eigenvalue 1 at c = 0
        assert radius(over * critical, beta, c, mu) > 1


@pytest.mark.parametrize("mu", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.98])
def test_small_averaging_weights_tend_to_the_limit_of_two_over_1_minus_beta(beta, mu):
    limit = 2 / (1 - beta) * (1 + mu) / (1 - mu)
    assert float(critical_step(beta, momentum=mu)) == pytest.approx(limit, rel=1e-12)
    assert float(critical_step(beta, 1e-9, momentum=mu)) == pytest.approx(limit, rel=1e-6)
    assert float(critical_step(beta, 1.0, momentum=mu)) == pytest.approx(
        2 * (1 + mu) / (1 - mu), rel=1e-12
    )


@pytest.mark.parametrize("mu", [0.0, 0.9])
def test_primal_averaging_has_no_threshold_in_the_limit(mu):
    assert critical_step(1.0, momentum=mu) == np.inf
    assert radius(1e9, 1.0, 0.0, mu) == pytest.approx(1, abs=1e-6)
    assert np.isfinite(critical_step(1.0, 1e-6, momentum=mu))


def test_finite_averaging_follows_the_published_formula():
    beta, c = np.meshgrid(np.linspace(0, 0.99, 12), np.linspace(0.01, 1, 12))
    formula = 2 * (2 - c) / (2 * (1 - beta) + c * (2 * beta - 1))
    np.testing.assert_allclose(critical_step(beta, c), formula, rtol=1e-12)


def test_thresholds_broadcast_over_settings_and_decay():
    found = critical_step([[0.5], [0.9]], [0.1, 0.5, 1.0], decay=0.25)
    assert found.shape == (2, 3)
    for i, beta in enumerate((0.5, 0.9)):
        for j, c in enumerate((0.1, 0.5, 1.0)):
            assert found[i, j] == critical_step(beta, c) - 0.25


@pytest.mark.parametrize("decay", [0.0, 0.3, 1.9])
@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_weight_decay_at_y_uses_up_a_part_of_the_threshold(beta, decay):
    """z <- z - γ (λ y + decay y): at 98% of both the run settles, at 102% it leaves."""
    critical = float(critical_step(beta, 0.2, decay=decay))
    for factor, bounded in ((0.98, True), (1.02, False)):
        z = x = 1.0
        for _ in range(3000):
            y = (1 - beta) * z + beta * x
            z = z - factor * critical * y - factor * decay * y
            x = 0.8 * x + 0.2 * z
        assert (abs(z) < 1e-3) if bounded else (abs(z) > 1e3)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("c", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
def test_moments_converge_below_the_threshold_and_diverge_above_it(beta, c, mu):
    N = 30_000
    critical = float(critical_step(beta, c, momentum=mu))
    gamma = critical * np.array([[0.98], [1.02]]) * np.ones(N)
    for noise in (0.0, 1e-6):
        found = moments(problems.NoisyQuadratic([1.0], noise), Tableau(gamma, beta, c), momentum=mu)
        assert found.unstable.tolist() == [False, True]
        np.testing.assert_allclose(found.threshold, [0.98, 1.02], rtol=1e-12)
        assert found.bias_z[0, -1] < 1e-9 and found.bias_z[1, -1] > 1e9
        assert found.loss_z[0, -1] < 1e-3 and found.loss_z[1, -1] > 1e9


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.95])
def test_schedule_free_converges_at_98_and_diverges_at_102_percent_of_its_limit(beta):
    N = 20_000
    gamma = np.array([[0.98], [1.02]]) * np.minimum(np.arange(1, N + 1) / 1000, 1)
    tableau = methods.ScheduleFree(beta, start_counts=False).tableau(2 / (1 - beta) * gamma)
    found = moments(problems.Quadratic([1.0, 0.1, 0.01]), tableau)
    assert found.loss_x[0].max() == found.loss_x[0, 0] and found.loss_x[0, -1] < 1e-12
    assert found.loss_x[1, -1] > 1e9


# the boundary test problem: eigenvalues 1, .1, .01, 20,000 steps, peaks to one digit


@pytest.mark.parametrize(
    ("beta", "factor", "peak"),
    [
        (0.5, 0.90, "1e+00"),
        (0.5, 0.98, "1e+00"),
        (0.9, 0.90, "2e+06"),
        (0.9, 0.98, "6e+11"),
        (0.95, 0.90, "6e+15"),
        (0.95, 0.98, "2e+28"),
        (0.98, 0.90, "1e+45"),
        (0.98, 0.98, "4e+78"),
    ],
)
def test_uniform_weights_have_the_tabulated_peaks(beta, factor, peak):
    tableau = methods.ScheduleFree(beta).tableau(np.full(20_000, factor * 2 / (1 - beta)))
    paths = [transient_growth(lam, tableau) for lam in (1, 0.1, 0.01)]
    assert all(path.shape == (20_001,) and path[0] == 1 for path in paths)
    assert f"{max(path.max() for path in paths):.0e}" == peak


@pytest.mark.parametrize(
    ("beta", "factor", "final"),
    [
        (0.5, 0.90, 1.94e-7),
        (0.5, 0.98, 1.46e-7),
        (0.9, 0.90, 7.85e-24),
        (0.9, 0.98, 5.50e-24),
        (0.95, 0.90, 1.45e-37),
        (0.95, 0.98, 3.51e-38),
        (0.98, 0.90, 1.69e-65),
        (0.98, 0.98, 1.34e-67),
    ],
)
def test_with_warm_up_nothing_grows_and_the_end_is_that_of_400_bit_arithmetic(beta, factor, final):
    warm_up = np.minimum(np.arange(1, 20_001) / 1000, 1)
    tableau = methods.ScheduleFree(beta, start_counts=False).tableau(
        factor * 2 / (1 - beta) * warm_up
    )
    paths = [transient_growth(lam, tableau) for lam in (1, 0.1, 0.01)]
    assert max(path.max() for path in paths) == 1
    assert max(path[-1] for path in paths) == pytest.approx(final, rel=0.01, abs=0)


@pytest.mark.parametrize("mu", [0.0, 0.7])
def test_transient_growth_is_the_root_of_a_noise_free_mode(mu):
    tableau = methods.ScheduleFree(0.9).tableau(np.random.default_rng(1).uniform(0, 3, 60))
    path = transient_growth(1.3, tableau, momentum=mu)
    found = moments(problems.Quadratic([1.3]), tableau, momentum=mu)
    np.testing.assert_allclose(1.3 / 2 * path**2, found.bias_x, rtol=1e-10)


def test_a_map_is_the_radius_at_every_pair_and_is_the_same_every_time():
    betas, steps = np.linspace(0, 1, 7), np.linspace(0.1, 40, 23)
    grid = stability_map(betas, steps, 0.05, momentum=0.3)
    assert grid.shape == (7, 23)
    np.testing.assert_array_equal(grid, stability_map(betas, steps, 0.05, momentum=0.3))
    expected = [[radius(s, b, 0.05, 0.3) for s in steps] for b in betas]
    np.testing.assert_allclose(grid, expected, rtol=1e-9)
    stable = steps < critical_step(betas, 0.05, momentum=0.3)[:, None]
    np.testing.assert_array_equal(grid <= 1, stable)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda: critical_step(1.1), "beta must lie in"),
        (lambda: critical_step(-0.1), "beta must lie in"),
        (lambda: critical_step(0.9, 1.5), "c must lie in"),
        (lambda: critical_step(0.9, momentum=1.0), "momentum must be in"),
        (lambda: critical_step(0.9, momentum=-0.5), "momentum must be a number >= 0"),
        (lambda: spectral_radius([], 0.9, 0.1), "step is empty"),
        (lambda: spectral_radius(np.nan, 0.9, 0.1), "step has nan"),
    ],
)
def test_settings_out_of_range_are_refused_in_one_sentence(call, reason):
    with pytest.raises(InputError, match=reason) as caught:
        call()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


# known faults


def test_a_transient_that_never_ends_is_infinite():
    path = transient_growth(1.0, methods.ScheduleFree(0.9).tableau(np.full(20_000, 1.02 * 20)))
    assert path[-1] == np.inf and not np.isnan(path).any()


def test_a_vanishing_momentum_changes_nothing():
    assert critical_step(1.0, 0.5, momentum=1e-310) == pytest.approx(6, rel=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: critical_step(np.nan),
        lambda: spectral_radius(1.0, 1.1, 0.1),
        lambda: spectral_radius(1.0, 0.9, 0.1, momentum=1.5),
        lambda: transient_growth(1.0, methods.ScheduleFree().tableau(np.ones((2, 3)))),
    ],
)
def test_bad_settings_never_yield_a_number(call):
    refused = False
    try:
        call()
    except InputError:
        refused = True
    assert refused
