"""The step rule of ScheduleFree+ against a plain loop of the published one."""

import math

import numpy as np
import pytest

from sftheory import bounds
from sftheory import problems as p
from sftheory.core.errors import InputError
from sftheory.methods import PolyakScheduleFree, ScheduleFreePlus
from sftheory.simulation import Adam, run

ML90 = p.MaxLinear(d=30, rows=90, centred=False)
N = 60
RULES = {
    "as it comes": {},
    "annealed": {"anneal": 25},
    "late averaging": {"warmup": 12},
    "rising weights": {"r": 2.0, "power": 1.0},
    "all": {"beta": 0.8, "anneal": 40, "warmup": 7, "r": 1.5, "scale": 0.6},
}
every_rule = pytest.mark.parametrize("options", RULES.values(), ids=RULES)


def published(problem, *, beta=0.9, beta_max=0.965, anneal=0, warmup=0, r=0.0, power=2.0,
              scale=1.0, norm="euclidean"):  # fmt: skip
    """Points x after each step, steps and weights; k counts from 0 as in the published code."""
    x = y = z = problem.x1
    largest = total = v = 0.0
    beta_of_y = beta
    points, gammas, weights = [x], [], []
    for k in range(N):
        f, g = problem.oracle(y)
        numerator = max(0.0, f + beta_of_y * g @ (z - x))
        v = 0.95 * v + 0.05 * g * g
        if norm == "one":
            gamma = scale * numerator / (math.sqrt(math.pi / 2) * np.abs(g).sum())
            z = z - gamma * g / (np.sqrt(v / (1 - 0.95 ** (k + 1))) + 1e-8)
        else:
            gamma = scale * numerator / (g @ g)
            z = z - gamma * g
        largest = max(gamma, largest)
        c = 1.0
        if k >= warmup:
            w = (k + 1) ** r * largest**power
            total += w
            c = w / total
        x = (1 - c) * x + c * z
        share = min(k / anneal, 1) if anneal else 0.0
        beta_of_y = 1 - math.exp((1 - share) * math.log(1 - beta) + share * math.log(1 - beta_max))
        y = beta_of_y * x + (1 - beta_of_y) * z
        points.append(x)
        gammas.append(gamma)
        weights.append(c)
    return np.array(points), np.array(gammas), np.array(weights)


@every_rule
@pytest.mark.parametrize("norm", ["euclidean", "one"])
def test_the_run_is_the_plain_loop_of_the_published_rule(options, norm):
    adam = Adam(beta2=0.95) if norm == "one" else None
    method = ScheduleFreePlus(**options, norm=norm)
    traj = run(ML90, method, steps=N, record="all", preconditioner=adam)
    x, gamma, c = published(ML90, **options, norm=norm)
    np.testing.assert_allclose(traj.x[0], x, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(traj.tableau.gamma[0], gamma, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(traj.tableau.c[0], c, rtol=1e-9)


def test_weights_are_flat_once_the_steps_have_passed_their_largest():
    traj = run(ML90, ScheduleFreePlus(), steps=N)
    gamma = traj.tableau.gamma[0]
    top = int(gamma.argmax())
    assert top < 5 and gamma[-1] < gamma[top] / 10
    sums = np.cumsum(np.maximum.accumulate(gamma) ** 2)
    flat = gamma[top] ** 2 / sums[top:]  # every later weight is that of the largest step
    np.testing.assert_allclose(traj.tableau.c[0, top:], flat, rtol=1e-12)


def test_the_average_is_the_newest_point_until_it_starts():
    traj = run(ML90, ScheduleFreePlus(warmup=20), steps=N, record="all")
    # the first averaged point is z_22, after step 21
    np.testing.assert_array_equal(traj.x[0, :22], traj.z[0, :22])
    assert (traj.tableau.c[0, 21:] < 1).all()


def test_one_minus_beta_falls_geometrically_to_its_end():
    beta = ScheduleFreePlus(beta=0.9, beta_max=0.965, anneal=50).template(80).beta
    assert beta[1] == pytest.approx(0.9) and beta[51] == pytest.approx(0.965)
    np.testing.assert_allclose(np.diff(np.log(1 - beta[1:52])), np.log(0.35) / 50)
    np.testing.assert_allclose(beta[51:], 0.965)
    np.testing.assert_allclose(ScheduleFreePlus(beta=0.7).template(5).beta, 0.7)


@every_rule
@pytest.mark.parametrize("problem", [ML90, p.L1Regression(n=30, d=8)], ids=lambda q: q.name)
def test_the_certificate_of_a_run_holds_whatever_its_weights(options, problem):
    traj = run(problem, ScheduleFreePlus(**options), steps=300)
    certificate = bounds.certificate(traj, horizons="all")
    assert (traj.gap_x <= certificate + 1e-12).all()


def test_with_constant_beta_and_flat_weights_only_the_start_s_weight_differs_from_polyak_steps():
    plus = run(ML90, ScheduleFreePlus(power=0.0), steps=N).tableau
    polyak = run(ML90, PolyakScheduleFree(), steps=N).tableau
    assert plus.gamma[0, 0] == pytest.approx(polyak.gamma[0, 0], rel=1e-14)
    np.testing.assert_allclose(plus.c[0], 1 / np.arange(1, N + 1), rtol=1e-12)
    np.testing.assert_allclose(polyak.c[0], 1 / np.arange(2, N + 2), rtol=1e-12)


def test_the_one_norm_is_the_squared_dual_norm_of_adams_metric_for_normal_gradients():
    rng = np.random.default_rng(0)
    scales = np.exp(rng.standard_normal(5000))
    g = scales * rng.standard_normal((200, 5000))
    measured = np.sqrt(np.pi / 2) * np.abs(g).sum(axis=1)
    dual = (g**2 / scales).sum(axis=1)
    assert measured.mean() / dual.mean() == pytest.approx(1, abs=0.005)
    assert measured.mean() / np.linalg.norm(g, axis=1).mean() > 30  # no estimate of |g|


REFUSED = [
    ({"beta": 1.0}, r"beta must lie in \[0, 1\)"),
    ({"beta_max": 1.0}, r"beta_max must lie in \[0, 1\)"),
    ({"anneal": -1}, "anneal must be a whole number >= 0"),
    ({"warmup": 2.5}, "warmup must be a whole number >= 0"),
    ({"r": np.inf}, "r must be a number"),
    ({"power": -1.0}, "power must be a number >= 0"),
    ({"scale": -1.0}, "scale has -1"),
    ({"norm": "two"}, "choose 'euclidean' or 'one'"),
]


@pytest.mark.parametrize(("options", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_arguments_out_of_range_are_refused(options, reason):
    with pytest.raises(InputError, match=reason):
        ScheduleFreePlus(**options)


def test_each_norm_asks_for_its_own_steps():
    with pytest.raises(InputError, match=r"pass preconditioner=Adam\(\)"):
        run(ML90, ScheduleFreePlus(norm="one"), steps=3)
    with pytest.raises(InputError, match="pass preconditioner=None"):
        run(ML90, ScheduleFreePlus(), steps=3, preconditioner=Adam())
