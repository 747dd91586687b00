"""The averages against their definitions: explicit weighted means of z_1, ..., z_{N+1}."""

import numpy as np
import pytest

from sftheory import methods as m
from sftheory.core.errors import InputError
from sftheory.core.tableau import iterate

GAMMAS = {
    "warm-up": np.array([0.1, 0.2, 0.4, 0.4, 0.4]),
    "decay": np.array([0.5, 0.4, 0.3, 0.2, 0.1]),
    "one step": np.array([0.3]),
}
steps_of = pytest.mark.parametrize("gamma", GAMMAS.values(), ids=GAMMAS)
counts = pytest.mark.parametrize("start_counts", [True, False])


def points(tableau, x1=np.array([1.0, -2.0])):  # noqa: B008
    """z_1, ..., z_{N+1} and the reported point of a run on a bent oracle."""
    steps = list(iterate(tableau, x1, lambda y: np.tanh(3 * y) + 0.1 * y[::-1]))
    return np.array([x1, *(z for _, _, z, _ in steps)]), steps[-1][0]


def expect_mean(tableau, weights, start_counts, last_weight=None):
    """The report is the mean of the z with N + 1 weights, or with N that skip the start."""
    z, x = points(tableau)
    w = np.array(weights, float)
    if last_weight is not None:
        w[-1] = last_weight
    if not start_counts:
        w = np.concatenate([[0.0], w[:-1]])
    np.testing.assert_allclose(x, w @ z / w.sum(), rtol=1e-12)


@pytest.mark.parametrize("last_weight", [None, 0.05])
@pytest.mark.parametrize("average", [m.PolyakAverage, m.PrimalAverage])
@steps_of
def test_polyak_and_primal_averages_report_the_weighted_mean(average, gamma, last_weight):
    N = len(gamma)
    weights = {
        ("uniform", 1.0): np.ones(N + 1),
        ("polynomial", 2.0): np.arange(1, N + 2) ** 2,
        ("gamma", 1.0): [*gamma, gamma[-1]],
        ("gamma", 0.5): np.sqrt([*gamma, gamma[-1]]),
    }
    for (kind, power), w in weights.items():
        method = average(kind, power, last_weight=last_weight)
        expect_mean(method.tableau(gamma), w, start_counts=True, last_weight=last_weight)
        if last_weight is None:
            method = average(kind, power, start_counts=False)
            expect_mean(method.tableau(gamma), w, start_counts=False)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
@counts
@steps_of
def test_schedule_free_reports_the_mean_weighted_by_powers_of_the_running_maximum(
    gamma, start_counts, beta
):
    t, made = np.arange(1, len(gamma) + 2), [max(gamma[: i + 1]) for i in range(len(gamma))]
    made = np.array([*made, made[-1]])
    for r, power in [(0, 2), (1, 2), (0, 0), (2, 1), (-0.5, 3)]:
        method = m.ScheduleFree(beta, r=r, power=power, start_counts=start_counts)
        expect_mean(method.tableau(gamma), t ** float(r) * made**power, start_counts)


@pytest.mark.parametrize("beta", [0.0, 0.9, 1.0])
@steps_of
def test_schedule_free_with_gamma_weights_reports_the_mean_weighted_by_the_steps(gamma, beta):
    w = [*gamma, gamma[-1]]
    for last in (None, 0.07):
        method = m.ScheduleFree(beta, weights="gamma", last_weight=last)
        expect_mean(method.tableau(gamma), w, start_counts=True, last_weight=last)
    method = m.ScheduleFree(beta, weights="gamma", start_counts=False)
    expect_mean(method.tableau(gamma), w, start_counts=False)


def test_the_average_stays_at_the_start_while_all_weights_are_zero():
    gamma = [0.0, 0.0, 0.2, 0.2]
    for method in (m.ScheduleFree(), m.ScheduleFree(weights="gamma"), m.PolyakAverage("gamma")):
        np.testing.assert_allclose(method.tableau(gamma).c, [0, 1, 1 / 2, 1 / 3], rtol=1e-12)
    for method in (
        m.ScheduleFree(start_counts=False),
        m.PrimalAverage("gamma", start_counts=False),
    ):
        np.testing.assert_allclose(method.tableau(gamma).c, [0, 0, 1, 1 / 2], rtol=1e-12)
    assert m.ScheduleFree().tableau([0.0, 0.0]).c.tolist() == [0, 0]


@pytest.mark.parametrize(
    "method", [m.PolyakAverage(), m.PrimalAverage(), m.ScheduleFree(0.7), m.SuffixAverage(1.0)]
)
def test_the_uniform_average_of_constant_steps_decays_linearly(method):
    N, gamma = 50, 0.3
    h = method.tableau(np.full(N, gamma)).effective_schedule()
    np.testing.assert_allclose(h, gamma * (1 - np.arange(1, N + 1) / (N + 1)), rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@counts
@steps_of
def test_refined_schedule_free_at_its_own_window_is_schedule_free(gamma, start_counts, beta):
    refined = m.RefinedScheduleFree(beta, C=1 / (1 - beta), r=1, start_counts=start_counts)
    plain = m.ScheduleFree(beta, r=1, start_counts=start_counts)
    np.testing.assert_allclose(refined.tableau(gamma).c, plain.tableau(gamma).c, rtol=1e-12)


def test_refined_schedule_free_multiplies_the_averaging_by_C_up_to_one():
    c = m.RefinedScheduleFree(0.9, C=30.0).tableau(np.ones(5)).c
    np.testing.assert_allclose(c, [1, 1, 3 / 4, 3 / 5, 3 / 6], rtol=1e-12)


@pytest.mark.parametrize(("fraction", "n"), [(1.0, 6), (0.5, 3), (0.45, 3), (0.34, 2), (0.01, 1)])
def test_a_suffix_average_is_the_mean_of_the_last_points(fraction, n):
    z, x = points(m.SuffixAverage(fraction).tableau(GAMMAS["decay"]))
    np.testing.assert_allclose(x, z[-n:].mean(axis=0), rtol=1e-12)


def test_an_exponential_average_forgets_by_its_decay():
    z, x = points(m.EMA(0.8).tableau(GAMMAS["decay"]))
    mean = z[0]
    for point in z[1:]:
        mean = 0.8 * mean + 0.2 * point
    np.testing.assert_allclose(x, mean, rtol=1e-12)


def test_heavy_ball_gives_constant_steps_a_constant_base_step_and_window():
    tab = m.HeavyBall(0.9).tableau(np.full(5, 0.2))
    np.testing.assert_allclose(tab.gamma, 2, rtol=1e-12)
    np.testing.assert_allclose(tab.c, 0.1, rtol=1e-12)
    assert (tab.beta == 1).all()


def test_gpa_looks_ahead_by_mu_y_and_forgets_by_mu_x():
    tab = m.GPA(mu_y=0.6, mu_x=0.9).tableau(GAMMAS["decay"])
    assert (tab.beta == 0.6).all()
    np.testing.assert_allclose(tab.c, 0.1, rtol=1e-12)


REFUSED = [
    (lambda: m.ScheduleFree(beta=1.1), "beta must lie in"),
    (lambda: m.ScheduleFree(r=np.nan), "r must be a number"),
    (lambda: m.ScheduleFree(power=-1), "power must be a number >= 0"),
    (lambda: m.RefinedScheduleFree(beta=1.0), r"\[0, 1\)"),
    (lambda: m.RefinedScheduleFree(C=0), "C > 0"),
    (lambda: m.EMA(decay=-0.1), "decay must lie in"),
    (lambda: m.GPA(mu_x=2), "mu_x must lie in"),
    (lambda: m.GPA(mu_y=np.nan), "mu_y must lie in"),
    (lambda: m.HeavyBall(momentum=1.0), r"\[0, 1\)"),
    (lambda: m.SuffixAverage(fraction=0), "fraction"),
    (lambda: m.PolyakSGD(scale=-1), "scale has -1"),
    (lambda: m.PolyakScheduleFree(beta=2), "beta must lie in"),
    (lambda: m.PolyakAverage("cubic").tableau([1]), "'uniform', 'polynomial' or 'gamma'"),
    (lambda: m.PolyakAverage(last_weight=0).tableau([1]), "last_weight > 0"),
    (lambda: m.PolyakAverage(start_counts=False, last_weight=1).tableau([1]), "does not have"),
    (lambda: m.ScheduleFree(weights="linear").tableau([1]), "weights are None or 'gamma'"),
]


@pytest.mark.parametrize(("build", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_arguments_out_of_range_are_refused_with_the_rule(build, reason):
    with pytest.raises(InputError, match=reason):
        build()
