"""Few Gauss nodes against every mode, and the error that they report of themselves."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftheory import methods, problems, schedules
from sftheory.exact_moments import moments
from sftheory.exact_moments.grouping import group_modes
from sftheory.methods import METHODS

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
LOSSES = ("loss_x", "loss_y", "loss_z")
ROUNDING = 1e-11  # of sums over up to 100,000 modes, relative


def power_law(d, a, source, noise):
    """λ_i = i^-a, start i^-source, and one of three laws of the noise's standard deviation."""
    i = np.arange(1.0, d + 1)
    s = {"none": 0.0, "flat": 0.1, "rows": 0.3 * i ** (-a / 2)}[noise]
    return SimpleNamespace(eigenvalues=i**-a, noise=s, x1=i**-source, x_star=0.0)


def worst(found, exact):
    """The largest relative error of a total at any step."""
    return max(np.abs(getattr(found, n) / getattr(exact, n) - 1).max() for n in LOSSES)


def honest(found, exact):
    """Whether the totals are as close as the grouping says that they are."""
    return worst(found, exact) <= max(found.error, ROUNDING)


@pytest.mark.parametrize("nodes", [2, 3, 6])
@pytest.mark.parametrize("noise", ["none", "flat", "rows"])
@pytest.mark.parametrize(("a", "source"), [(0.6, 0.0), (1.1, 0.0), (1.5, 0.75), (3.0, -0.5)])
def test_the_reported_error_holds_for_a_hundred_thousand_modes(a, source, noise, nodes):
    problem = power_law(100_000, a, source, noise)
    tableau = methods.ScheduleFree(0.9).tableau(np.full(20, 0.9))
    found = moments(problem, tableau, group=nodes)
    assert honest(found, moments(problem, tableau, keep=[0]))
    assert found.error < {2: 2e-2, 3: 1e-3, 6: 1e-9}[nodes]  # what the docstring calls good


@pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)
@pytest.mark.parametrize(("noise", "source"), [("none", 0.0), ("rows", 0.75)])
def test_the_reported_error_holds_over_two_thousand_steps(entry, noise, source):
    N = 2000
    problem = power_law(3000, 1.5, source, noise)
    tableau = entry.make(N).tableau(0.7 * schedules.WSD(0.2)(N))
    options = {"momentum": 0.5, "multiplicative": 0.1}
    found = moments(problem, tableau, group=6, **options)
    assert honest(found, moments(problem, tableau, keep=[0], **options))
    assert found.error < 1e-5


def test_the_mean_trajectory_is_grouped_as_well():
    problem = power_law(3000, 1.2, 0.3, "rows")
    tableau = methods.PolyakAverage().tableau(np.full(500, 0.8))
    found, exact = moments(problem, tableau, group=6), moments(problem, tableau)
    for name in ("bias_x", "bias_y", "bias_z", "variance_x"):
        np.testing.assert_allclose(
            getattr(found, name)[1:], getattr(exact, name)[1:], rtol=max(1e-9, found.error)
        )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    d=st.sampled_from([1, 2, 7, 60, 400]),
    spread=st.sampled_from([0.0, 0.2, 3.0, 9.0]),
    nodes=st.integers(2, 6),
    N=st.sampled_from([1, 30, 400]),
)
def test_the_reported_error_holds_for_random_spectra(seed, d, spread, nodes, N):
    """Spectra without small eigenvalues decay so far that two nodes cannot follow: it must say."""
    rng = np.random.default_rng(seed)
    problem = SimpleNamespace(
        eigenvalues=10.0 ** -(spread * rng.random(d)) * (rng.random(d) < 0.9),
        noise=rng.choice([0.0, 1.0]) * rng.random(d),
        x1=rng.standard_normal(d),
        x_star=0.0,
    )
    problem.eigenvalues[0], problem.x1[0] = 1.0, 1.0
    entry = METHOD_ENTRIES[seed % len(METHOD_ENTRIES)]
    tableau = entry.make(N).tableau(np.full(N, rng.uniform(0.05, 1)))
    found, exact = moments(problem, tableau, group=nodes), moments(problem, tableau, keep=[0])
    for name in LOSSES:
        # rounding is relative to the run's largest value, as in the tests of `moments`
        full = getattr(exact, name)
        slack = 1e-12 * np.maximum.accumulate(full)
        assert (np.abs(getattr(found, name) - full) <= found.error * full + slack).all()


@pytest.mark.parametrize("nodes", [2, 4, 6])
def test_the_rules_integrate_polynomials_of_degree_2n_minus_1(nodes):
    rng = np.random.default_rng(7)
    lam, noise, start = 10.0 ** -rng.uniform(0, 4, 500), rng.random(500), rng.standard_normal(500)
    groups = group_modes(lam, noise, start, nodes)
    for rule, n in ((groups.fine, nodes), (groups.coarse, nodes - 1)):
        at, unit_noise, unit_start, weight = rule
        assert (weight > 0).all() and (at > lam.min() / 1.001).all() and (at <= 1).all()
        for mass, unit in ((start**2, unit_start), (noise, unit_noise)):
            for degree in range(2 * n):
                left = (weight * unit * at**degree).sum()
                assert left == pytest.approx((mass * lam / 2 * lam**degree).sum(), rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_modes_fewer_than_nodes_are_kept_exactly(d):
    problem = problems.NoisyQuadratic(np.linspace(1, 0.8, d), 0.2, np.linspace(1, 2, d))
    tableau = methods.EMA(0.9).tableau(np.full(100, 0.7))
    found = moments(problem, tableau, group=6)
    assert found.error == 0
    np.testing.assert_allclose(found.loss_x, moments(problem, tableau).loss_x, rtol=1e-12)


@pytest.mark.parametrize(
    ("eigenvalues", "what"),
    [
        (np.full(1000, 0.7), "one value"),
        (np.repeat([1.0, 0.3, 0.299, 1e-6], 250), "four values"),
        (np.repeat([1.0, 0.5, 0.0], [10, 10, 980]), "flat directions"),
        (1 - 1e-15 * np.arange(10), "values that differ by rounding"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_repeated_and_zero_eigenvalues_cost_no_accuracy(eigenvalues, what):
    rng = np.random.default_rng(8)
    d = len(eigenvalues)
    problem = problems.NoisyQuadratic(eigenvalues, rng.random(d), rng.standard_normal(d))
    tableau = methods.ScheduleFree(0.5).tableau(np.full(200, 0.6))
    found = moments(problem, tableau, group=6)
    assert worst(found, moments(problem, tableau)) < ROUNDING and found.error < ROUNDING


def test_masses_of_very_different_size_do_not_break_the_rule():
    start = np.full(40, 1e-30)
    start[[3, 17]] = 1.0
    problem = SimpleNamespace(eigenvalues=np.linspace(0.9, 1, 40), noise=0.0, x1=start, x_star=0.0)
    tableau = methods.LastIterate().tableau(np.full(50, 0.1))
    found = moments(problem, tableau, group=4)
    assert worst(found, moments(problem, tableau)) < ROUNDING


def test_a_batch_has_one_error_for_each_row_and_no_moments_per_mode():
    problem = power_law(500, 1.1, 0.2, "flat")
    found = moments(problem, methods.LastIterate().tableau(np.full((2, 3, 50), 0.5)), group=3)
    assert found.error.shape == found.unstable.shape == (2, 3)
    assert found.loss_x.shape == (2, 3, 51) and found.second_x is None and found.mean_z is None


def test_an_unstable_group_is_flagged_and_infinite():
    problem = power_law(1000, 1.1, 0.2, "flat")
    found = moments(problem, methods.LastIterate().tableau(np.full(3000, 2.2)), group=3)
    assert found.unstable and found.threshold == pytest.approx(1.1, rel=1e-12)
    assert found.loss_x[-1] == np.inf


# known faults


@pytest.mark.parametrize(
    ("problem", "gamma"),
    [
        (problems.NoisyQuadratic([0.0, 0.0]), 0.1),
        (problems.NoisyQuadratic([1.0, 0.5], noise=0.0, x1=0.0), 0.1),
        (problems.NoisyQuadratic([1.0, 0.5], noise=1.0, x1=0.0), 0.0),
    ],
    ids=["flat", "at rest", "no step"],
)
def test_a_loss_that_is_always_zero_is_grouped_to_zero(problem, gamma):
    found = moments(problem, methods.LastIterate().tableau([gamma] * 3), group=3)
    assert (found.loss_x == 0).all() and found.error == 0
