import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.explore import river_data
from sftheory.explore.rivers import METHODS, SCHEDULES, Valley, noise_table


def run_by_hand(gamma, beta, c, xi, sigma):
    """The recursion of the design page, written out once more."""
    x = z = np.array([0.5, 0.0])
    points = [x]
    for g, b, w, noise in zip(gamma, beta, c, xi, strict=False):
        y = (1 - b) * z + b * x
        z = z - g * np.array([20 * y[0] + sigma * noise, -1 / (1 + y[1]) ** 2])
        x = (1 - w) * x + w * z
        points.append(x)
    return np.array(points)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_path_is_that_of_the_recursion(method, schedule):
    N, beta, C = 60, 0.7, 5.0
    gamma = 0.04 * SCHEDULES[schedule](N)
    t = np.arange(1, N + 1)
    top = np.maximum.accumulate(gamma) ** 2
    weighted = np.append(top[1:], top[-1]) / np.cumsum(np.append(top, top[-1]))[1:]
    b, c = {
        "last iterate": (0, np.ones(N)),
        "Polyak average": (0, 1 / (t + 1)),
        "primal average": (1, 1 / (t + 1)),
        "schedule-free": (beta, weighted),
        "refined schedule-free": (beta, np.minimum(1, (1 - beta) * C * weighted)),
    }[method]
    xi = np.random.default_rng(3).standard_normal(N)
    expected = run_by_hand(gamma, np.full(N, b), c, xi, 0.8)
    found = river_data(
        method=method, schedule=schedule, gamma=0.04, beta=beta, C=C, noise=0.8, steps=N, seed=3
    )
    np.testing.assert_allclose(found["x"]["h"], expected[:, 0], atol=1e-12)
    np.testing.assert_allclose(found["x"]["r"], expected[:, 1], rtol=1e-12)


def test_hill_and_river_add_up_to_the_loss():
    found = river_data()
    for name in ("x", "z"):
        points = np.stack([found[name]["h"], found[name]["r"]], axis=-1)
        parts = np.add(found["hill"][name], found["river"][name])
        np.testing.assert_allclose(parts, Valley().value(points), rtol=1e-14)


def test_the_last_iterate_without_noise_comes_down_geometrically():
    found = river_data(method="last iterate", schedule="constant", gamma=0.02, noise=0.0, steps=50)
    np.testing.assert_allclose(found["x"]["h"], 0.5 * 0.6 ** np.arange(51), rtol=1e-12)


def test_uniform_averaging_of_constant_steps_is_linear_decay():
    found = river_data(method="Polyak average", gamma=0.05, steps=40)
    decay = 0.05 * (1 - np.arange(1, 41) / 41)
    np.testing.assert_allclose(found["effective"], decay, rtol=1e-12)


def test_refined_schedule_free_with_matching_window_is_schedule_free():
    beta = 0.8
    one = river_data(method="schedule-free", beta=beta, schedule="WSD")
    other = river_data(method="refined schedule-free", beta=beta, C=1 / (1 - beta), schedule="WSD")
    np.testing.assert_allclose(one["x"]["h"], other["x"]["h"], atol=1e-12)


def test_the_table_of_noise_is_what_a_run_draws():
    table = noise_table()
    assert table.shape == (8, 500)
    np.testing.assert_array_equal(table[5], np.random.default_rng(5).standard_normal(500))


@pytest.mark.parametrize(
    "bad, sentence",
    [
        ({"method": "schedule free"}, "did you mean 'schedule-free'"),
        ({"schedule": "step"}, "There is no schedule 'step'"),
        ({"gamma": -1.0}, "gamma must be a number in"),
        ({"gamma": 0}, "gamma must be positive"),
        ({"gamma": float("nan")}, "gamma must be a number"),
        ({"beta": 1.0}, "beta must be a number in"),
        ({"C": 0.5}, "C must be a number in"),
        ({"noise": -1}, "noise must be"),
        ({"steps": 501}, "steps must be 1 to 500"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"seed": 8}, "seed must be 0 to 7"),
        ({"method": "last iterate", "gamma": 0.5}, "leaves the valley at step .*smaller gamma"),
        ({"method": "last iterate", "gamma": 90.0, "steps": 500}, "leaves the valley"),
    ],
)
def test_bad_input_is_one_sentence(bad, sentence):
    with pytest.raises(InputError, match=sentence):
        river_data(**bad)
