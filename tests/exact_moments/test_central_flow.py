"""The variance at the edge: it keeps the flow on the edge, and it is what runs show."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sftheory import methods
from sftheory.core.errors import InputError
from sftheory.core.tableau import iterate
from sftheory.exact_moments.central_flow import variance_at_the_edge
from sftheory.problems import SongRiver

RIVER = SongRiver()
BETA2 = 0.99


def sharpness(w):
    return np.linalg.eigvalsh(RIVER.hessian(w))[..., -1]


def slope(w, width=1e-4):
    return np.array(
        [(sharpness(w + width * e) - sharpness(w - width * e)) / (2 * width) for e in np.eye(2)]
    )


def points(gradient, x1, gamma, beta1, steps):
    """y_t of schedule-free with one adaptive scale, bias-corrected, without epsilon."""
    nu = 0.0

    def base_step(gamma, x, y, z, g):
        nonlocal nu
        nu = BETA2 * nu + (1 - BETA2) * (g @ g)
        return gamma * g / np.sqrt(nu / (1 - BETA2 ** len(found)))

    tableau = methods.ScheduleFree(beta1).tableau(np.full(steps, gamma))
    found = []

    def oracle(y):
        found.append(y)
        return gradient(y)

    for _ in iterate(tableau, x1, oracle, base_step):
        pass
    return np.array(found)


@pytest.mark.parametrize(("beta1", "gamma"), [(0.1, 0.05), (0.5, 0.1), (0.9, 0.1)])
def test_the_variance_keeps_the_flow_on_the_edge(beta1, gamma):
    # the two equations, integrated from a point on the edge; solver 1e-9, central differences 1e-6
    def rate(_, state):
        w, nu = state[:2], state[2]
        S, g, dS = sharpness(w), RIVER.subgradient(w), slope(w)
        variance = variance_at_the_edge(S, dS, g, gamma=gamma, beta1=beta1, beta2=BETA2)
        dw = -(1 - beta1) * gamma / np.sqrt(nu) * (g + variance / 2 * dS)
        return [*dw, (1 - BETA2) / BETA2 * (g @ g + S**2 * variance - nu)]

    start = np.array([3.0, 1 / 3])
    nu = (sharpness(start) * (1 - beta1) * gamma / 2) ** 2
    path = solve_ivp(rate, (0, 200), [*start, nu], rtol=1e-9, atol=1e-12).y
    on_edge = sharpness(path[:2].T) / np.sqrt(path[2]) * (1 - beta1) * gamma / 2
    assert np.abs(path[:, -1] - path[:, 0]).max() > 0.01  # it moved
    assert np.abs(on_edge - 1).max() < 1e-5


@pytest.mark.parametrize(("beta1", "gamma"), [(0.1, 0.05), (0.8, 0.1)])
def test_a_run_bounces_with_the_predicted_variance(beta1, gamma):
    y = points(RIVER.subgradient, RIVER.x1, gamma, beta1, 3100)[2899:]
    mean = y.mean(axis=0)
    top = np.linalg.eigh(RIVER.hessian(mean))[1][:, -1]
    measured = (((y - mean) @ top) ** 2).mean()
    gradients = slope(mean), RIVER.subgradient(mean)
    settings = {"gamma": gamma, "beta1": beta1, "beta2": BETA2}
    predicted = variance_at_the_edge(sharpness(mean), *gradients, **settings)
    assert measured / predicted == pytest.approx(1, abs=0.05)  # a flow, for 200 discrete steps


def test_on_a_quadratic_y_jumps_by_one_minus_beta_gamma():
    y = points(lambda y: 3 * y, np.array([1.0]), 0.1, 0.5, 4000)[-200:, 0]
    flat = variance_at_the_edge(3.0, [0.0], [0.0], gamma=0.1, beta1=0.5, beta2=BETA2)
    assert flat == pytest.approx((0.5 * 0.1 / 2) ** 2, rel=1e-12)
    assert (y**2).mean() == pytest.approx(flat, rel=0.02)
    assert np.abs(np.diff(y)).mean() == pytest.approx(0.5 * 0.1, rel=0.02)


def test_a_batch_of_points_is_the_points_one_by_one():
    w = np.array([[3.0, 0.33], [4.0, 0.26]])
    S, dS, g = sharpness(w), np.array([slope(p) for p in w]), RIVER.subgradient(w)
    settings = {"gamma": 0.05, "beta1": 0.5, "beta2": BETA2}
    single = [variance_at_the_edge(S[i], dS[i], g[i], **settings) for i in range(2)]
    assert variance_at_the_edge(S, dS, g, **settings).tolist() == single


def test_where_the_flow_leaves_the_edge_there_is_no_variance():
    settings = {"gamma": 0.05, "beta1": 0.5, "beta2": BETA2}
    assert variance_at_the_edge(1.0, [5.0, 0.0], [5.0, 0.0], **settings) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": 0}, "gamma"),
        ({"beta1": 1}, "beta1 < 1"),
        ({"beta2": 0}, "beta2 < 1"),
        ({"beta2": 1.5}, "beta2"),
        ({"sharpness": -1.0}, "sharpness must be > 0"),
        ({"gradient": [0.0]}, "shapes"),
    ],
)
def test_bad_input_is_named(arguments, message):
    good = {"sharpness": 1.0, "sharpness_gradient": [0.0, 1.0], "gradient": [0.0, 0.0]}
    good |= {"gamma": 0.1, "beta1": 0.5, "beta2": 0.99}
    with pytest.raises(InputError, match=message):
        variance_at_the_edge(**{**good, **arguments})
