"""averaged, schedulet, schedule_free and the online-to-batch calculator, at their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory.bounds import averaged, last_iterate, online_to_batch, schedule_free, schedulet
from sftheory.bounds.defazio2024 import regret_ogd
from sftheory.core.errors import InputError
from sftheory.schedules import Linear

positive = st.floats(0.1, 10)
both = pytest.mark.parametrize("bound", [averaged, schedulet])


@both
@given(gamma=st.lists(positive, min_size=1, max_size=10), last=positive | st.none(), D=positive)
def test_the_bound_of_averages_is_its_two_sums(bound, gamma, last, D):
    eta = [*gamma, gamma[-1] if last is None else last]
    for G in (0.7, np.linspace(0.5, 2, len(eta))):
        squares = sum((np.array(eta) * G) ** 2)
        expected = (D**2 + squares) / (2 * sum(eta))
        assert bound(gamma, D=D, G=G, last=last) == pytest.approx(expected, rel=1e-12)


@both
@pytest.mark.parametrize("N", [1, 3, 100])
def test_the_right_constant_step_attains_the_minimax_value(bound, N):
    D, G = 2.0, 0.5
    minimax = D * G / np.sqrt(N + 1)
    gamma = D / (G * np.sqrt(N + 1))
    assert bound(np.full(N, gamma), D=D, G=G) == pytest.approx(minimax, rel=1e-12)
    assert schedule_free(gamma, N, D=D, G=G) == pytest.approx(minimax, rel=1e-12)


@both
def test_all_steps_zero_are_refused(bound):
    with pytest.raises(InputError, match="needs a positive step"):
        bound([0.0, 0.0], D=1, G=1)


@given(gamma=st.floats(1e-3, 10), N=st.integers(1, 40), D=positive, G=positive)
def test_schedule_free_is_the_last_iterate_of_linearly_decaying_steps(gamma, N, D, G):
    h = gamma * (1 - np.arange(1, N + 1) / (N + 1))
    exact = last_iterate(h, D=D, G=G)  # small steps and large ones
    assert schedule_free(gamma, N, D=D, G=G) == pytest.approx(exact, rel=1e-10)


def test_large_constant_steps_have_the_bound_of_averages_and_small_ones_less():
    N, D, G = 20, 2.0, 0.5
    threshold = D / (G * (N + 1))
    for gamma in threshold * np.array([1.0, 3.0]):
        upper = averaged(np.full(N, gamma), D=D, G=G)
        assert schedule_free(gamma, N, D=D, G=G) == pytest.approx(upper, rel=1e-12)
    small = 0.3 * threshold
    assert schedule_free(small, N, D=D, G=G) < averaged(np.full(N, small), D=D, G=G) * (1 - 1e-3)


def test_schedule_free_takes_a_batch_of_steps():
    gamma = np.array([[0.001, 0.1], [0.5, 2.0]])
    rows = [[schedule_free(g, 7, D=2, G=0.5) for g in row] for row in gamma.tolist()]
    np.testing.assert_allclose(schedule_free(gamma, 7, D=2, G=0.5), rows, rtol=1e-12)


@given(gamma=st.lists(positive, min_size=1, max_size=10), D=positive, G=positive)
def test_weights_equal_to_the_steps_give_the_bound_of_averages(gamma, D, G):
    w = [*gamma, gamma[-1]]
    value = online_to_batch(w, regret=regret_ogd(gamma, w, D=D, G=G))
    assert value == pytest.approx(averaged(gamma, D=D, G=G), rel=1e-12)


def test_the_regret_of_falling_weights_is_its_sum():
    gamma, w, D = np.array([0.5, 0.5, 0.5]), np.array([4.0, 3.0, 2.0, 1.0]), 2.0
    charged = np.array([0.5, 0.5, 0.5, 1.0 / (2.0 / 0.5)])
    for G in (0.7, np.array([1.0, 2.0, 0.5, 3.0])):
        expected = (w[0] / gamma[0] * D**2 + (w * charged * G**2).sum()) / 2
        assert regret_ogd(gamma, w, D=D, G=G) == pytest.approx(expected, rel=1e-12)
    batch = regret_ogd(np.stack([gamma, 2 * gamma]), w, D=D, G=0.7)
    assert batch[1] == pytest.approx(regret_ogd(2 * gamma, w, D=D, G=0.7), rel=1e-12)


def test_the_regret_of_any_steps_taken_is_below_its_bound():
    rng = np.random.default_rng(0)
    gamma, d = 0.3 * Linear()(20), 5
    g, z1, u = rng.standard_normal((21, d)), np.zeros(d), rng.standard_normal(d)
    z = z1 - np.concatenate([np.zeros((1, d)), np.cumsum(gamma[:, None] * g[:-1], axis=0)])
    for w in ([*gamma, gamma[-1]], [*gamma**2, gamma[-1] ** 2 / 2]):
        regret = np.array(w) @ (g * (z - u)).sum(axis=1)
        D, norms = np.linalg.norm(z1 - u), np.linalg.norm(g, axis=1)
        assert regret <= regret_ogd(gamma, w, D=D, G=norms)


REFUSED = [
    (lambda: schedule_free(-0.1, 3, D=1, G=1), "has -0.1"),
    (lambda: schedule_free(np.nan, 3, D=1, G=1), "has nan"),
    (lambda: schedule_free(0.1, 0, D=1, G=1), "N must be a whole number"),
    (lambda: schedule_free(0.1, 2.5, D=1, G=1), "N must be a whole number"),
    (lambda: schedule_free(0.1, 3, D=None, G=1), "needs D"),
    (lambda: schedule_free(0.1, 3, D=1, G=None), "needs G"),
    (lambda: schedule_free(0.1, 3, D=1, G=[1.0] * 4), "holds for one G"),
    (lambda: averaged([0.1], D=1, G=1, last=0), "last > 0"),
    (lambda: schedulet([0.1], D=1, G=1, last=-1), "last > 0"),
    (lambda: online_to_batch([0.0, 0.0], regret=1.0), "positive weight"),
    (lambda: online_to_batch([1.0, -1.0], regret=1.0), "has -1 at step 2"),
    (lambda: online_to_batch([], regret=1.0), "empty"),
    (lambda: regret_ogd([0.1, 0.1], [1, 2, 3], D=1, G=1), "it does after step 1; use weights"),
    (lambda: regret_ogd([0.2, 0.1], [1, 1, 1], D=1, G=1), "not to increase"),
    (lambda: regret_ogd([0.1, 0.1], [1, 1], D=1, G=1), "needs N\\+1=3 weights for N=2 steps"),
    (lambda: regret_ogd([0.1, 0.0], [1, 1, 1], D=1, G=1), "steps and weights > 0"),
    (lambda: regret_ogd([0.1, 0.1], [1, 1, 0], D=1, G=1), "steps and weights > 0"),
    (lambda: regret_ogd([0.1, 0.1], [1, 1, 1], D=None, G=1), "needs D"),
    (lambda: regret_ogd([0.1, 0.1], [1, 1, 1], D=1, G=[1.0, 1.0]), "N\\+1=3 of them"),
]


@pytest.mark.parametrize(("call", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_bad_input_never_yields_a_number(call, reason):
    with pytest.raises(InputError, match=reason):
        call()
