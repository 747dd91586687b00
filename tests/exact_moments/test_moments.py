"""Exact moments against two matrix forms, closed forms and recursions of their own.

Rounding means 1e-12 of the largest value that the run has had so far, unless a test says more.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftheory import methods, problems, schedules
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.exact_moments import moments
from sftheory.exact_moments.recursion import by_arrays
from sftheory.methods import METHODS
from sftheory.simulation import run

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
every_method = pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)
LOSSES = ("loss_x", "loss_y", "loss_z")
TOTALS = (*LOSSES, "bias_x", "bias_y", "bias_z")
SECONDS = ("second_z", "second_zx", "second_x")
sgd = methods.LastIterate().tableau


def close(found, expected, rtol=1e-12):
    """Equal up to rounding: `rtol` of the largest value so far along the last axis."""
    scale = np.maximum.accumulate(np.abs(expected), axis=-1)
    assert np.shape(found) == np.shape(expected)
    assert (np.abs(found - expected) <= rtol * scale).all(), np.max(np.abs(found - expected))


def draw(seed, d=4):
    """A quadratic with one flat mode, noise of every size, and some start."""
    rng = np.random.default_rng(seed)
    lam = np.append(rng.uniform(0.01, 1, d - 1), 0.0)
    return rng, problems.NoisyQuadratic(lam, rng.uniform(0, 1, d), rng.standard_normal(d), 0.3)


# the compiled loop against matrices


@pytest.mark.parametrize("multiplicative", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@every_method
def test_the_compiled_loop_equals_transition_matrices(entry, momentum, multiplicative):
    N = 40
    rng, problem = draw(1)
    tableau = entry.make(N).tableau(rng.uniform(0, 1, (2, 3, N)))
    found = moments(
        problem, tableau, momentum=momentum, multiplicative=multiplicative, keep=range(N + 1)
    )
    assert found.loss_x.shape == (2, 3, N + 1) and found.second_x.shape == (2, 3, N + 1, 4)
    lam, start = np.asarray(problem.eigenvalues), problem.x1 - problem.x_star
    for i in np.ndindex(2, 3):
        row = tableau[i]
        losses, means, seconds = by_arrays(
            *(lam, problem.noise**2, start, lam / 2, row.gamma, row.beta, row.c),
            *(multiplicative, 0.0, momentum, range(N + 1)),
        )
        for name, expected in zip(TOTALS, losses.T, strict=True):
            close(getattr(found, name)[i], expected)
        for name, expected in zip(("mean_z", "mean_x"), np.moveaxis(means, 1, 0), strict=True):
            close(getattr(found, name)[i].T, expected.T)
        for name, expected in zip(SECONDS, np.moveaxis(seconds, 1, 0), strict=True):
            close(getattr(found, name)[i].T, expected.T)


def whole_run(lam, s, start, tableau, momentum, multiplicative):
    """E z², E x², E y² of one mode, (3, N + 1), by linear algebra over the whole run.

    x_{t+1} = x_1 - Σ h_s m_s with the effective schedule h of the first t steps, m = M g, and
    g = λ y + ξ make y linear in ξ: one triangular solve instead of a recursion of moments.
    """
    N = tableau.steps
    age = np.subtract.outer(np.arange(N), np.arange(N))
    M = np.where(age >= 0, (1 - momentum) * momentum ** np.maximum(age, 0), 0.0)
    X, Z = np.zeros((N + 1, N)), np.zeros((N + 1, N))
    for t in range(1, N + 1):
        part = Tableau(tableau.gamma[:t], tableau.beta[:t], tableau.c[:t])
        X[t, :t], Z[t, :t] = part.effective_schedule(), part.gamma
    beta = np.append(tableau.beta, tableau.beta[-1])[:, None]
    Y = (1 - beta) * Z + beta * X
    solved = np.linalg.inv(np.eye(N) + lam * Y[:N] @ M)
    mean_y, noise_y = solved @ np.full(N, start), -solved @ Y[:N] @ M
    power = np.zeros(N)  # E ξ_t², which needs E y_t², which needs those before
    for t in range(N):
        second = mean_y[t] ** 2 + noise_y[t] ** 2 @ power
        power[t] = s * s + multiplicative * lam * lam * second
    out = []
    for rows in (Z, X, Y):
        mean = start - rows @ M @ (lam * mean_y)
        noise = -rows @ M @ (lam * noise_y + np.eye(N))
        out.append(mean**2 + noise**2 @ power)
    return np.array(out)


@pytest.mark.parametrize("multiplicative", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@every_method
def test_moments_equal_the_whole_run_as_one_linear_map(entry, momentum, multiplicative):
    N, lam, s, start = 25, 0.7, 0.4, -1.3
    tableau = entry.make(N).tableau(np.random.default_rng(2).uniform(0, 1, N))
    found = moments(
        problems.NoisyQuadratic([lam], s, start),
        tableau,
        momentum=momentum,
        multiplicative=multiplicative,
    )
    z, x, y = whole_run(lam, s, start, tableau, momentum, multiplicative)
    for name, second in (("loss_z", z), ("loss_x", x), ("loss_y", y)):
        close(getattr(found, name), lam / 2 * second)


@every_method
def test_without_noise_the_loss_is_that_of_the_run(entry):
    N = 60
    rng = np.random.default_rng(3)
    problem = problems.Quadratic([1.0, 0.3, 0.01, 0.0], x1=[1.0, -2.0, 3.0, 1.0], x_star=0.5)
    tableau = entry.make(N).tableau(rng.uniform(0, 1.5, (2, N)))
    found, ran = moments(problem, tableau), run(problem, tableau)
    for point in "xyz":
        expected = getattr(ran, f"loss_{point}")[:, 0]
        close(getattr(found, f"loss_{point}"), expected)
        close(getattr(found, f"bias_{point}"), expected)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@every_method
def test_a_batch_equals_its_rows_and_the_modes_are_separate(entry, momentum):
    N = 30
    rng, problem = draw(4)
    tableau = entry.make(N).tableau(rng.uniform(0, 1, (2, N)))
    batch = moments(problem, tableau, momentum=momentum)
    for i in range(2):
        row = moments(problem, tableau[i], momentum=momentum)
        for name in TOTALS:
            np.testing.assert_array_equal(getattr(batch, name)[i], getattr(row, name))
    lam, s, start = problem.eigenvalues, problem.noise, problem.x1 - problem.x_star
    alone = [
        moments(problems.NoisyQuadratic([a], b, c), tableau, momentum=momentum)
        for a, b, c in zip(lam, s, start, strict=True)
    ]
    for name in TOTALS:
        close(sum(getattr(one, name) for one in alone), getattr(batch, name))
    together = np.concatenate([one.second_x for one in alone], axis=-1)
    np.testing.assert_allclose(together, batch.second_x, rtol=1e-12)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), a=st.floats(0.01, 100), b=st.floats(0.01, 100))
def test_losses_have_the_units_of_curvature_times_length_squared(seed, a, b):
    """λ -> a λ, γ -> γ / a, lengths -> b lengths, noise -> a b noise: the loss is a b² as large."""
    rng = np.random.default_rng(seed)
    lam, s, start = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3), rng.standard_normal(3)
    tableau = methods.ScheduleFree(0.7).tableau(rng.uniform(0, 1, 20))
    scaled = Tableau(tableau.gamma / a, tableau.beta, tableau.c)
    options = {"momentum": 0.5, "multiplicative": 0.2}
    one = moments(problems.NoisyQuadratic(lam, s, start), tableau, **options)
    other = moments(problems.NoisyQuadratic(a * lam, a * b * s, b * start), scaled, **options)
    for name in TOTALS:
        close(getattr(other, name), a * b * b * getattr(one, name))


# closed forms


@pytest.mark.parametrize(
    ("gamma", "lam", "s", "start"), [(0.1, 2.0, 1.0, 0.0), (0.5, 0.3, 2.0, 4.0), (1.9, 1, 0.1, 1)]
)
def test_sgd_relaxes_to_gamma_s2_over_lambda_times_2_minus_gamma_lambda(gamma, lam, s, start):
    N = 3000
    found = moments(problems.NoisyQuadratic([lam], s, start), sgd(np.full(N, gamma)), keep=[N])
    rest = gamma * s * s / (lam * (2 - gamma * lam))
    forgotten = (1 - gamma * lam) ** (2 * np.arange(N + 1))
    second = rest + (start**2 - rest) * forgotten
    close(found.loss_x, lam / 2 * second)
    np.testing.assert_allclose(found.loss_x[-1], lam / 2 * rest, rtol=1e-12)
    np.testing.assert_allclose(found.second_x[0, 0], rest, rtol=1e-12)
    close(found.bias_x, lam / 2 * start**2 * forgotten)


@pytest.mark.parametrize("kappa", [0.1, 0.3, 1.0])
def test_noise_that_grows_with_the_gradient_raises_the_stationary_variance(kappa):
    gamma, lam, s = 0.4, 1.5, 0.7
    problem = problems.NoisyQuadratic([lam], s, 2.0)
    found = moments(problem, sgd(np.full(3000, gamma)), multiplicative=kappa)
    rest = gamma * s * s / (lam * (2 - gamma * lam * (1 + kappa)))
    np.testing.assert_allclose(found.loss_x[-1], lam / 2 * rest, rtol=1e-12)


@pytest.mark.parametrize("mu", [0.5, 0.9])
def test_sgd_with_momentum_relaxes_to_the_variance_of_an_autoregression(mu):
    """z_{t+1} - z_t = μ (z_t - z_{t-1}) - η g_t, η = (1 - μ) γ: an AR(2) process."""
    gamma, lam, s = 0.8, 0.5, 0.3
    found = moments(problems.NoisyQuadratic([lam], s, 1.0), sgd(np.full(5000, gamma)), momentum=mu)
    eta = (1 - mu) * gamma
    rest = eta * s * s * (1 + mu) / (lam * (1 - mu) * (2 * (1 + mu) - eta * lam))
    np.testing.assert_allclose(found.loss_x[-1], lam / 2 * rest, rtol=1e-12)


@pytest.mark.parametrize("mu", [0.5, 0.9])
def test_heavy_ball_as_a_tableau_equals_sgd_with_momentum_inside(mu):
    """b_t = m_t / (1 - μ): the first has its memory in x, the second in m."""
    _, problem = draw(5)
    gamma = 0.3 * schedules.Warmup(schedules.Cosine(), fraction=0.1)(200)
    outside = moments(problem, methods.HeavyBall(mu).tableau(gamma))
    inside = moments(problem, sgd(gamma / (1 - mu)), momentum=mu)
    np.testing.assert_allclose(outside.loss_x, inside.loss_x, rtol=1e-11)  # 1 / (1 - μ) rounded


@pytest.mark.parametrize("N", [1, 2, 50, 4000])
def test_the_uniform_average_of_sgd_has_its_closed_form(N):
    gamma, lam, s, start = 0.2, 0.6, 1.5, 3.0
    tableau = methods.PolyakAverage().tableau(np.full(N, gamma))
    found = moments(problems.NoisyQuadratic([lam], s, start), tableau)
    p = 1 - gamma * lam
    spread = N - 2 * p * (1 - p**N) / (1 - p) + p * p * (1 - p ** (2 * N)) / (1 - p * p)
    bias = start * (1 - p ** (N + 1)) / ((N + 1) * (1 - p))
    second = bias**2 + s * s * spread / (lam * (N + 1)) ** 2
    np.testing.assert_allclose(found.loss_x[-1], lam / 2 * second, rtol=1e-12)
    np.testing.assert_allclose(found.bias_x[-1], lam / 2 * bias**2, rtol=1e-12)


@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 1.0])
def test_the_suffix_average_has_the_variance_of_a_mean_of_an_autoregression(fraction):
    N, gamma, lam, s, start = 81, 0.3, 0.5, 0.8, 2.0
    tableau = methods.SuffixAverage(fraction).tableau(np.full(N, gamma))
    found = moments(problems.NoisyQuadratic([lam], s, start), tableau)
    p, n = 1 - gamma * lam, max(1, round(fraction * (N + 1)))
    t = np.arange(N + 1 - n, N + 1)  # the steps after which its points stand
    var = gamma**2 * s * s * (1 - p ** (2 * t)) / (1 - p * p)
    earlier = np.minimum.outer(np.arange(n), np.arange(n))
    covariance = var[earlier] * p ** np.abs(np.subtract.outer(t, t))
    second = covariance.mean() + (start * p**t).mean() ** 2
    np.testing.assert_allclose(found.loss_x[-1], lam / 2 * second, rtol=1e-12)


def test_a_uniform_average_is_the_last_iterate_of_a_decayed_run_for_mean_estimation():
    """With λ = 1: η_k = α_k / (1 - Σ_{j>k} α_j), α_k = (1 - (1 - η)^(N-k)) / N, k = 0..N-1."""
    N, eta = 200, 0.1
    alpha = (1 - (1 - eta) ** (N - np.arange(N))) / N
    later = np.append(np.cumsum(alpha[::-1])[::-1][1:], 0)
    problem = problems.NoisyQuadratic([1.0], 0.7, 1.3)
    averaged = methods.PolyakAverage(start_counts=False).tableau(np.full(N, eta))
    one, other = moments(problem, averaged), moments(problem, sgd(alpha / (1 - later)))
    np.testing.assert_allclose(one.loss_x[-1], other.loss_x[-1], rtol=1e-12)
    np.testing.assert_allclose(one.bias_x[-1], other.bias_x[-1], rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(("a", "b"), [(1.1, 2.2), (1.5, 1.5), (1.9, 3.8)])
def test_anytime_regression_follows_its_published_recursion(a, b, batch):
    d, N, eta, sigma2 = 40, 300, 0.2, 0.01
    lam = np.arange(1, d + 1) ** -a
    start = np.sqrt(np.arange(1, d + 1) ** -b / lam)
    tau = 1 - 2 ** (-6.25 / np.arange(1, N + 1))
    tau[0] = 1
    problem = SimpleNamespace(
        eigenvalues=lam,
        noise=np.sqrt(sigma2 * lam / batch),
        x1=start,
        x_star=np.zeros(d),
        multiplicative=1 / batch,
        mixing=1 / batch,
    )
    found = moments(problem, Tableau(np.full(N, eta), 0.0, tau))
    m = p = q = start**2
    last, averaged = [lam @ m / 2], [lam @ q / 2]
    for t in tau:
        push = (lam * m + lam @ m + sigma2) * lam / batch
        m = (1 - eta * lam) ** 2 * m + eta**2 * push
        p = (1 - eta * lam) * p
        q = (1 - t) ** 2 * q + 2 * t * (1 - t) * p + t * t * m
        p = (1 - t) * p + t * m
        last.append(lam @ m / 2)
        averaged.append(lam @ q / 2)
    np.testing.assert_allclose(found.loss_z, last, rtol=1e-12)
    np.testing.assert_allclose(found.loss_y, last, rtol=1e-12)
    np.testing.assert_allclose(found.loss_x, averaged, rtol=1e-12)
    np.testing.assert_allclose(found.second_zx[-1], p, rtol=1e-11)  # small next to the start's


def test_the_factors_of_a_problem_and_of_the_call_add_up():
    plain = problems.NoisyQuadratic([1.0, 0.2], 0.3)
    own = SimpleNamespace(**vars(plain), multiplicative=0.1)
    tableau = methods.ScheduleFree().tableau(np.full(50, 0.5))
    np.testing.assert_allclose(
        moments(own, tableau, multiplicative=0.2).loss_x,
        moments(plain, tableau, multiplicative=0.3).loss_x,
        rtol=1e-12,
    )


# values that others computed, to the digits that they printed


def averaging_weights(N, warmup, r):
    """c = 1 for the first `warmup` steps, then (k + 1)^r over its sum; the start counts at 0, 0."""
    k = np.arange(N)
    w = np.where(k < warmup, 0.0, (k + 1.0) ** r)
    if warmup == r == 0:
        return 1 / (k + 2)
    return np.where(k < warmup, 1.0, w / np.maximum(np.cumsum(w), 1))


@pytest.mark.parametrize(
    ("warmup", "r", "expected"),
    [
        (0, 0, ["5.53e-01", "2.56e-03", "1.26e-03", "6.56e-05"]),
        (100, 0, ["6.07e-03", "2.79e-03", "1.38e-03", "6.60e-05"]),
        (400, 0, ["1.32e-02", "6.07e-03", "1.99e-03", "6.70e-05"]),
        (0, 2, ["8.31e-03", "4.83e-03", "3.00e-03", "1.88e-04"]),
    ],
)
def test_warm_up_of_the_average_has_the_tabulated_losses(warmup, r, expected):
    N = 20_000
    tableau = Tableau(np.full(N, 0.05), 0.9, averaging_weights(N, warmup, r))
    found = moments(problems.NoisyQuadratic([2.0], 1.0, 30.0), tableau)
    assert [f"{found.loss_x[t]:.2e}" for t in (200, 500, 1000, 20_000)] == expected


HILL = 4000
PROGRESS = np.arange(HILL) / HILL


@pytest.mark.parametrize(
    ("method", "shape", "expected"),
    [
        (methods.LastIterate(), np.ones(HILL), 0.02500),
        (methods.LastIterate(), np.minimum(1, (1 - PROGRESS) / 0.2), 0.00040),
        (methods.LastIterate(), 1 - PROGRESS, 0.00018),
        (methods.LastIterate(), (1 + np.cos(np.pi * PROGRESS)) / 2, 0.00008),
        (methods.LastIterate(), np.full(HILL, 0.1), 0.00132),
        (methods.PolyakAverage(start_counts=False), np.ones(HILL), 0.00001),
        (methods.ScheduleFree(0.5), np.ones(HILL), 0.00001),
        (methods.ScheduleFree(0.9), np.ones(HILL), 0.00003),
        (methods.ScheduleFree(0.98), np.ones(HILL), 0.00016),
        (methods.RefinedScheduleFree(0.5, 20), np.ones(HILL), 0.00006),
        (methods.RefinedScheduleFree(0.9, 50), np.ones(HILL), 0.00016),
        (methods.RefinedScheduleFree(0.9, 200), np.ones(HILL), 0.00060),
    ],
)
def test_the_hill_of_the_river_valley_has_the_tabulated_losses(method, shape, expected):
    found = moments(problems.NoisyQuadratic([20.0], 1.0, 0.0), method.tableau(0.05 * shape))
    assert found.loss_x[-1] == pytest.approx(expected, abs=0.51e-5)  # half a printed digit


# what is kept, degenerate problems, long runs


@pytest.mark.parametrize("N", [1, 2, 7, 1000])
def test_totals_have_length_N_plus_1_and_moments_are_kept_from_0_to_N(N):
    found = moments(problems.NoisyQuadratic(), sgd(np.full(N, 0.1)))
    assert all(getattr(found, name).shape == (N + 1,) for name in TOTALS)
    assert found.step[0] == 0 and found.step[-1] == N and (np.diff(found.step) > 0).all()
    assert len(found.step) <= 51 and found.second_x.shape == (len(found.step), 3)
    assert found.error == 0 and not found.unstable


@pytest.mark.parametrize("keep", [[0], [7], [20, 3, 3, 11], range(21), np.array([1], np.uint8)])
def test_kept_moments_do_not_depend_on_what_else_is_kept(keep):
    _, problem = draw(6)
    tableau = methods.ScheduleFree(0.5).tableau(np.full(20, 0.3))
    every, some = moments(problem, tableau, keep=range(21)), moments(problem, tableau, keep=keep)
    np.testing.assert_array_equal(some.step, sorted(set(keep)))
    for name in ("mean_x", "mean_z", *SECONDS):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[some.step])
    np.testing.assert_array_equal(some.loss_x, every.loss_x)
    lam = np.asarray(problem.eigenvalues)
    np.testing.assert_allclose(every.second_x @ lam / 2, every.loss_x, rtol=1e-12)
    np.testing.assert_allclose(every.mean_z**2 @ lam / 2, every.bias_z, rtol=1e-12)


@every_method
def test_nothing_moves_at_the_minimiser_without_noise(entry):
    problem = problems.NoisyQuadratic([1.0, 0.0], noise=0.0, x1=[2.0, -1.0], x_star=[2.0, -1.0])
    found = moments(problem, entry.make(9).tableau(np.full(9, 0.5)), momentum=0.5)
    assert all((getattr(found, name) == 0).all() for name in (*TOTALS, "second_z", "mean_x"))


def test_a_flat_direction_walks_at_random_and_costs_nothing():
    problem, gamma = problems.NoisyQuadratic([0.0, 0.0], [0.5, 0.0], 2.0), np.full(100, 0.1)
    found = moments(problem, sgd(gamma), keep=[100])
    np.testing.assert_allclose(found.second_z, [[4 + 100 * 0.05**2, 4]], rtol=1e-12)
    assert (found.loss_x == 0).all() and not found.unstable


def test_a_million_steps_end_at_the_closed_forms():
    N, lam, s, gamma = 10**6, np.array([1.0, 0.1, 0.01]), 0.3, 0.5
    problem = problems.NoisyQuadratic(lam, s)
    last = moments(problem, sgd(np.full(N, gamma)))
    np.testing.assert_allclose(
        last.loss_x[-1], (gamma * s * s / (2 * (2 - gamma * lam))).sum(), rtol=1e-12
    )
    assert last.step[-1] == N and len(last.step) <= 51
    mean = moments(problem, methods.PolyakAverage().tableau(np.full(N, gamma))).loss_x[-1]
    p = 1 - gamma * lam
    spread = N - 2 * p * (1 - p**N) / (1 - p) + p * p * (1 - p ** (2 * N)) / (1 - p * p)
    bias = (1 - p ** (N + 1)) / ((N + 1) * (1 - p))
    expected = (lam / 2 * (bias**2 + s * s * spread / (lam * (N + 1)) ** 2)).sum()
    assert mean == pytest.approx(expected, rel=1e-10)  # a million roundings


# unstable settings


@pytest.mark.parametrize(
    ("tableau", "momentum", "threshold"),
    [
        (sgd(np.full(3000, 3.0)), 0.0, 1.5),
        (sgd(np.full(9000, 8.0)), 0.5, 8.0 / 6),
        (methods.GPA(0.9, 0.5).tableau(np.full(3000, 10.0)), 0.0, 10 * 0.6 / 3),
        (methods.EMA(0.9).tableau(np.full(3000, 2.5)), 0.0, 1.25),
    ],
)
def test_unstable_settings_end_at_infinity_and_name_the_threshold(tableau, momentum, threshold):
    for problem in (problems.NoisyQuadratic(), problems.Quadratic()):
        found = moments(problem, tableau, momentum=momentum)
        assert found.unstable and found.threshold == pytest.approx(threshold, rel=1e-12)
        for name in TOTALS:
            assert getattr(found, name)[-1] == np.inf and not np.isnan(getattr(found, name)).any()


def test_only_the_unstable_rows_of_a_batch_are_flagged():
    found = moments(problems.NoisyQuadratic(), sgd([[1.0] * 3000, [3.0] * 3000]))
    assert found.unstable.tolist() == [False, True]
    assert np.isfinite(found.loss_x[0]).all() and found.loss_x[1, -1] == np.inf


# what is refused


def modes(**other):
    """Two modes with one thing wrong."""
    known = {"eigenvalues": [1.0, 0.5], "noise": 0.1, "x1": 1.0, "x_star": 0.0}
    return SimpleNamespace(**{**known, **other})


def one_sentence(message):
    return message.endswith(".") and ". " not in message and "\n" not in message


@pytest.mark.parametrize(
    ("problem", "options", "reason"),
    [
        (modes(), {"momentum": 1.0}, "momentum must be in"),
        (modes(), {"momentum": -0.1}, "momentum must be a number >= 0"),
        (modes(), {"momentum": np.nan}, "momentum must be a number >= 0"),
        (modes(), {"multiplicative": -0.1}, "multiplicative must be a number >= 0"),
        (modes(), {"keep": [6]}, "keep must be steps between 0 and N=5"),
        (modes(), {"keep": [-1]}, "keep must be steps"),
        (modes(), {"keep": [0.5]}, "keep must be steps"),
        (modes(), {"keep": []}, "keep must be steps"),
        (modes(), {"group": 1}, "group must be a whole number >= 2"),
        (modes(mixing=1.0), {"group": 4}, "cannot be grouped"),
        (modes(eigenvalues=[1.0, -0.5]), {}, "eigenvalues >= 0"),
        (modes(eigenvalues=[1.0, np.nan]), {}, "eigenvalues has nan at mode 2"),
        (modes(noise=-0.1), {}, "deviations >= 0"),
        (problems.HillAndRiver(), {}, "not HillAndRiver"),
        (problems.MaxLinear(), {}, "not MaxLinear"),
    ],
)
def test_what_has_no_exact_moments_is_refused_in_one_sentence(problem, options, reason):
    with pytest.raises(InputError, match=reason) as caught:
        moments(problem, sgd(np.full(5, 0.1)), **options)
    assert one_sentence(str(caught.value))


# known faults


@pytest.mark.parametrize(("beta", "t"), [(0.5, 150), (0.8, 200), (0.9, 300), (0.95, 400)])
def test_after_a_transient_the_noise_free_loss_is_still_that_of_the_run(beta, t):
    tableau = methods.ScheduleFree(beta).tableau(np.full(t, 0.9 * 2 / (1 - beta)))
    problem = problems.Quadratic([1.0])
    expected = run(problem, tableau).loss_x[0, t]
    found = moments(problem, tableau)
    np.testing.assert_allclose(found.bias_x[t], expected, rtol=1e-3)  # the run's own rounding
    np.testing.assert_allclose(found.loss_x[t], expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("method", "gamma"),
    [
        (methods.GPA(), 38.0 * schedules.Linear()(200)),  # ends near -1e31, true value near 1e15
        (methods.ScheduleFree(0.9), np.linspace(18, 19.6, 20)[:, None] * np.ones(3000)),
    ],
)
def test_no_expected_loss_is_negative(method, gamma):
    found = moments(problems.Quadratic([1.0]), method.tableau(gamma))
    assert (found.loss_x >= 0).all()


def test_a_mode_that_overflows_leaves_the_stable_ones_as_they_are():
    tableau = sgd(np.full(2000, 3.0))
    both = moments(problems.NoisyQuadratic([1.0, 0.1]), tableau, keep=[2000])
    alone = moments(problems.NoisyQuadratic([0.1]), tableau, keep=[2000])
    np.testing.assert_allclose(both.second_x[0, 1], alone.second_x[0, 0], rtol=1e-12)


def test_the_variance_of_an_unstable_run_is_infinite_without_a_warning():
    assert moments(problems.NoisyQuadratic(), sgd(np.full(3000, 3.0))).variance_x[-1] == np.inf


@pytest.mark.parametrize(
    ("problem", "gamma"),
    [
        (modes(multiplicative=0.3), np.full(2000, 1.9)),
        (modes(eigenvalues=np.ones(10), mixing=1.0, multiplicative=1.0), np.full(2000, 0.5)),
        (modes(), 1e3 * schedules.Linear()(500)),
    ],
)
def test_a_run_that_ends_at_infinity_is_flagged_as_unstable(problem, gamma):
    found = moments(problem, sgd(gamma))
    assert found.loss_x[-1] == np.inf
    assert found.unstable


@pytest.mark.parametrize(
    ("problem", "tableau", "options"),
    [
        (modes(noise=np.nan), sgd([0.1]), {}),
        (modes(x1=np.nan), sgd([0.1]), {}),
        (modes(noise=[1.0, 2.0, 3.0]), sgd([0.1]), {}),
        (modes(x1=[1.0, 2.0, 3.0]), sgd([0.1]), {}),
        (SimpleNamespace(eigenvalues=[1.0]), sgd([0.1]), {}),
        (modes(), methods.ScheduleFree(), {}),
        (modes(), methods.PolyakScheduleFree(), {}),
        (modes(), sgd([0.1]), {"keep": np.array([], int)}),
    ],
)
def test_bad_input_never_yields_a_number(problem, tableau, options):
    refused = False
    try:
        moments(problem, tableau, **options)
    except InputError:
        refused = True
    assert refused
