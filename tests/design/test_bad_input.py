"""What `optimal` refuses, and how it says so."""

import cvxpy as cp
import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.design import optimal


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"N": 0}, "N must be a whole number >= 1, but got 0"),
        ({"N": 2.5}, "N must be a whole number"),
        ({"D": None}, "design.optimal needs D, the distance"),
        ({"D": -1}, "needs D > 0"),
        ({"D": [1, 2]}, "needs one D, not 2"),
        ({"G": None}, "needs G, a bound on the subgradient norms"),
        ({"G": [1, 1, 1, 1, 1]}, "needs one G, not 5"),
        ({"cap": -0.1}, "cap must be a number >= 0"),
        ({"cap": [0.1, 0.1]}, r"cap has shape \(2,\) but the plan has N=4"),
        ({"cap": [0.1, 0.1, -0.1, 0.1]}, "cap has -0.1 at step 3"),
        ({"cap": [0.1, np.nan, 0.1, 0.1]}, "cap has nan at step 2"),
        ({"floor": np.inf}, "floor must be a number >= 0"),
        ({"floor": [np.inf] * 4}, "floor has inf at step 1"),
        ({"floor": "low"}, "floor must be a number >= 0"),
        ({"cap": 0.1, "floor": [0, 0, 0.2, 0]}, "At step 3 floor=0.2 is above cap=0.1"),
        ({"prefix": [0.1] * 5}, r"prefix has shape \(5,\) but the plan has N=4"),
        ({"prefix": [0.1, -0.1]}, "prefix has -0.1 at step 2"),
        ({"prefix": []}, "prefix is empty"),
        ({"prefix": [0.3], "cap": 0.2}, "prefix has 0.3 at step 1, outside"),
        ({"prefix": [0.1, 0.2], "monotone": True}, "Nonincreasing steps cannot be: step 1"),
        ({"monotone": "yes"}, "monotone is True or False"),
        ({"grad_norms": [1.0] * 5}, "takes G or grad_norms, not both"),
        ({"grad_norms": [1.0] * 4, "G": None}, r"grad_norms has shape \(4,\) but N=4"),
        ({"grad_norms": [1, 1, 0, 1, 1], "G": None}, "needs grad_norms > 0"),
        ({"constraints": lambda g: g[0] <= 1}, "must return a list of cvxpy constraints"),
        ({"constraints": lambda g: [True]}, "must return a list of cvxpy constraints"),
        ({"constraints": lambda g: [g[0] >= 1, g[0] <= 0.5]}, "No steps satisfy all"),
        ({"constraints": lambda g: [cp.square(g[0]) >= 1]}, "not convex in the sense of cvxpy"),
    ],
)
def test_bad_input_is_one_sentence(arguments, reason):
    with pytest.raises(InputError, match=reason) as caught:
        optimal(**({"N": 4, "D": 1, "G": 1} | arguments))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_program_that_is_almost_solved_is_not_solved(monkeypatch):
    solve = cp.Problem.solve

    def stopped_early(self, **options):
        return solve(self, **options, max_iter=3)

    monkeypatch.setattr(cp.Problem, "solve", stopped_early)
    with pytest.raises(InputError, match=r"which is no solution|The solver failed"):
        optimal(100, D=1, G=1, cap=0.02)
