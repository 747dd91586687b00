"""The program against closed forms, other optimizers and brute force; limits."""

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize

from sftheory.bounds import last_iterate, last_iterate_gradient, refined
from sftheory.design import Plan, continuation, optimal
from sftheory.design.limits import Limits
from sftheory.design.program import solve
from sftheory.worst_cases import worst_case

SOLVER = 1e-6  # relative


def ramp(N, steps, peak):
    """A cap that rises to the peak over the first steps, and none after."""
    k = np.arange(1, N + 1)
    return np.where(k <= steps, peak * k / (steps + 1), np.inf)


def free(N):
    return Limits.of(N, cap=None, floor=None, monotone=False, prefix=None)


@pytest.mark.parametrize("N", [1, 2, 9, 99, 999])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_program_finds_the_closed_form_without_limits(N, spread):
    norms = 0.3 * np.exp(spread * np.random.default_rng(N).standard_normal(N + 1))
    plan, found = refined(norms, D=2.0), solve(norms, 2.0, free(N), None)
    value = worst_case(found.h, D=2.0, G=norms).value
    assert plan.value * (1 - 1e-12) <= value <= plan.value * (1 + SOLVER)
    np.testing.assert_allclose(found.h, plan.gamma, rtol=0.02)  # W is flat: errors enter squared


@pytest.mark.parametrize("N", [1, 5, 1000])
def test_without_limits_the_plan_is_linear_decay_and_minimax(N):
    plan = optimal(N, D=2, G=0.5)
    decay = 2 * np.arange(N, 0, -1) / (0.5 * (N + 1) ** 1.5)
    np.testing.assert_allclose(plan.gamma, decay, rtol=1e-12)
    assert plan.value == pytest.approx(1 / np.sqrt(N + 1), rel=1e-12)
    assert plan.price == pytest.approx(1, rel=1e-12) and 0 < plan.gap < 1e-11


def test_limits_that_do_not_bite_change_nothing():
    plain = optimal(50, D=1, G=1)
    loose = optimal(50, D=1, G=1, cap=plain.gamma[0], monotone=True, prefix=plain.gamma[:7])
    np.testing.assert_array_equal(loose.gamma, plain.gamma)


CASES = {
    "flat cap": {"cap": 0.08},
    "ramp": {"cap": ramp(30, 8, 0.2)},
    "cap on the last steps": {"cap": np.where(np.arange(30) < 25, np.inf, 1e-4)},
    "cap of zero": {"cap": np.where(np.arange(30) % 7 == 3, 0.0, np.inf)},
    "tiny cap": {"cap": 1e-3},
    "floor": {"floor": 0.06},
    "floor and cap": {"floor": np.linspace(0.05, 0.08, 30), "cap": 0.12},
    "prefix": {"prefix": [0.3, 0.02, 0.1]},
    "prefix with a zero and a clipped step": {"prefix": [0.01, 0.0, 1.5, 0.02]},
    "prefix and cap": {"prefix": [0.3] * 5, "cap": [np.inf] * 5 + [0.1] * 25},
    "everything fixed": {"prefix": np.linspace(0.2, 0.1, 30)},
    "monotone": {"cap": np.where(np.arange(30) == 4, 0.1, np.inf), "monotone": True},
    "monotone with a late floor": {
        "floor": np.where(np.arange(30) == 20, 0.15, 0),
        "monotone": True,
    },
}


@pytest.mark.parametrize("case", CASES)
def test_limits_hold_exactly_and_the_bound_proves_the_plan_best(case):
    limits = CASES[case]
    plan = optimal(30, D=1, G=1, **limits)
    assert (plan.gamma <= limits.get("cap", np.inf)).all()
    assert (plan.gamma >= limits.get("floor", 0)).all()
    prefix = np.asarray(limits.get("prefix", []), dtype=float)
    np.testing.assert_array_equal(plan.gamma[: len(prefix)], prefix)
    if limits.get("monotone"):
        assert (np.diff(plan.gamma) <= 0).all()
    assert plan.value == pytest.approx(last_iterate(plan.gamma, D=1, G=1), rel=1e-12)
    assert plan.lower <= plan.value <= plan.upper
    assert plan.optimum_lower <= plan.value <= plan.optimum_lower * (1 + SOLVER)
    assert plan.value >= plan.unconstrained * (1 - 1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if "monotone" not in c and "fixed" not in c])
def test_a_general_optimizer_finds_nothing_better(case):
    limits = {"floor": 0, "cap": np.inf, "prefix": []} | CASES[case]
    low, high = (np.broadcast_to(limits[name], 30).copy() for name in ("floor", "cap"))
    low = low.astype(float)
    low[: len(limits["prefix"])] = high[: len(limits["prefix"])] = limits["prefix"]
    plan = optimal(30, D=1, G=1, **CASES[case])
    found = minimize(
        lambda h: last_iterate(h, D=1, G=1),
        np.clip(np.full(30, 0.1), low, high),
        jac=lambda h: last_iterate_gradient(h, D=1, G=1),
        bounds=np.stack([low, np.minimum(high, 10)], axis=1),
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 20_000, "ftol": 1e-15, "gtol": 1e-12},
    )
    assert plan.value <= found.fun * (1 + SOLVER)
    assert found.fun == pytest.approx(plan.value, rel=1e-4)  # the optimizer's own accuracy
    assert found.fun >= plan.optimum_lower


def test_a_sequential_program_agrees_under_monotonicity():
    floor = CASES["monotone with a late floor"]["floor"]
    plan = optimal(30, D=1, G=1, **CASES["monotone with a late floor"])
    found = minimize(
        lambda h: last_iterate(h, D=1, G=1),
        np.full(30, 0.16),
        jac=lambda h: last_iterate_gradient(h, D=1, G=1),
        bounds=[(f, 1) for f in floor],
        constraints={"type": "ineq", "fun": lambda h: -np.diff(h), "jac": lambda h: -FALLS},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert found.fun == pytest.approx(plan.value, rel=1e-7)


FALLS = np.diff(np.eye(30), axis=0)


@pytest.mark.parametrize(
    ("limits", "grid"),
    [
        ({"cap": [0.2, 1.0]}, (np.linspace(0, 0.2, 101), np.linspace(0, 1, 401))),
        ({"floor": [0.0, 0.4]}, (np.linspace(0, 1, 401), np.linspace(0.4, 1, 241))),
        ({"cap": 0.3, "floor": 0.25}, (np.linspace(0.25, 0.3, 101),) * 2),
        ({"prefix": [0.7]}, (np.array([0.7]), np.linspace(0, 1, 20_001))),
    ],
)
def test_brute_force_over_two_steps_agrees(limits, grid):
    plan = optimal(2, D=1, G=1, **limits)
    a, b = np.meshgrid(*grid)
    values = last_iterate(np.stack([a.ravel(), b.ravel()], axis=1), D=1, G=1)
    assert plan.optimum_lower <= values.min()
    assert plan.value * (1 - SOLVER) <= values.min() <= plan.value + 1e-5  # the grid's spacing


@pytest.mark.parametrize("seed", range(6))
def test_per_step_norms_under_a_cap_have_a_proof(seed):
    rng = np.random.default_rng(seed)
    N = int(rng.integers(1, 60))
    norms = np.exp(0.4 * rng.standard_normal(N + 1))
    cap = refined(norms, D=1.0).gamma * np.exp(rng.standard_normal(N))
    plan = optimal(N, D=1, grad_norms=norms, cap=cap)
    assert (plan.gamma <= cap).all()
    assert plan.optimum_lower <= plan.value <= plan.optimum_lower * (1 + SOLVER)
    for _ in range(20):  # no neighbour is better
        other = np.minimum(plan.gamma * np.exp(0.1 * rng.standard_normal(N)), cap)
        assert worst_case(other, D=1, G=norms).value >= plan.optimum_lower


def test_equal_norms_are_one_norm():
    cap = ramp(40, 10, 0.1)
    one = optimal(40, D=1, G=2.0, cap=cap)
    each = optimal(40, D=1, grad_norms=[2.0] * 41, cap=cap)
    assert each.value == pytest.approx(one.value, rel=SOLVER)
    assert each.unconstrained == pytest.approx(one.unconstrained, rel=1e-12)


def test_more_limits_never_help():
    cap = ramp(60, 15, 0.12)
    more = {"cap": cap, "floor": 0.006}
    limits = [{}, {"cap": cap}, more, more | {"cap": 0.9 * cap}]
    values = [optimal(60, D=1, G=1, **each).value for each in limits]
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize(("a", "b"), [(1e-4, 1.0), (30.0, 1e3), (1.0, 1e-5)])
def test_a_plan_scales_with_distance_and_norm(a, b):
    cap = ramp(60, 15, 0.12)
    unit, scaled = optimal(60, D=1, G=1, cap=cap), optimal(60, D=a, G=b, cap=cap * a / b)
    assert scaled.value == pytest.approx(a * b * unit.value, rel=1e-9)
    assert scaled.gap < SOLVER


def test_constraints_in_the_users_terms_give_the_same_plan():
    cap = ramp(50, 12, 0.3)
    D, G = 3.0, 2.0
    ours = optimal(50, D=D, G=G, cap=cap)
    theirs = optimal(50, D=D, G=G, constraints=lambda gamma: [gamma[:12] <= cap[:12]])
    assert theirs.value == pytest.approx(ours.value, rel=SOLVER)
    assert (theirs.gamma[:12] <= cap[:12] * (1 + SOLVER)).all()
    assert theirs.gap < 1e-5


def test_a_budget_on_the_total_step_is_met_and_proved():
    plan = optimal(40, D=1, G=1, constraints=lambda gamma: [cp.sum(gamma) <= 2])
    assert plan.gamma.sum() == pytest.approx(2, rel=SOLVER)
    assert plan.gap < 1e-5 and plan.price > 1.02


def test_a_plateau_as_a_constraint_is_the_tuned_plateau_with_its_best_tail():
    plan = optimal(199, D=1, G=1, constraints=lambda gamma: [gamma[1:120] == gamma[0]])
    heights = np.linspace(0.6, 0.75, 31) / np.sqrt(200)
    best = min(continuation(np.full(120, h), 79, D=1, G=1).value for h in heights)
    assert plan.value <= best * (1 + SOLVER)
    assert plan.value == pytest.approx(best, rel=1e-4)  # the grid's spacing


def test_a_plan_is_a_schedule_and_says_what_it_is():
    plan = optimal(20, D=1, G=1, cap=0.1)
    assert isinstance(plan, Plan)
    np.testing.assert_array_equal(plan.schedule()(20), plan.gamma)
    assert repr(plan).startswith("Plan(N=20, value=") and len(repr(plan)) < 100


def test_an_argument_array_is_left_as_it_is():
    cap, prefix = np.full(9, 0.2), np.array([0.1, 0.1])
    optimal(9, D=1, G=1, cap=cap, prefix=prefix)
    assert (cap == 0.2).all() and (prefix == 0.1).all()
