import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory.bounds import last_iterate, refined
from sftheory.core.errors import InputError
from sftheory.schedules import Linear

norms = st.lists(st.floats(0.1, 10), min_size=2, max_size=12)


def inversion_bound(h, G, D, sigma):
    """½ [D²/s_1² + Σ u_k² G_k² + sigma² G_{N+1}²] with u_k = h_k / s_{k+1}: valid for sigma > 0."""
    s, total = sigma, sigma**2 * G[-1] ** 2
    for step, norm in zip(h[::-1], G[-2::-1], strict=True):
        u = step / s
        s, total = s + u, total + u * u * norm**2
    return (D**2 / s**2 + total) / 2


@pytest.mark.parametrize("N", [1, 5, 100])
def test_constant_norms_give_linear_decay_and_the_minimax_value(N):
    D, G = 2.0, 0.5
    plan = refined(np.full(N + 1, G), D=D)
    np.testing.assert_allclose(plan.gamma, D * N / (G * (N + 1) ** 1.5) * Linear()(N), rtol=1e-12)
    assert plan.value == pytest.approx(D * G / np.sqrt(N + 1), rel=1e-12)
    assert plan.value == pytest.approx(last_iterate(plan.gamma, D=D, G=G), rel=1e-12)


@given(G=norms, D=st.floats(0.1, 10))
def test_the_value_is_the_inversion_bound_at_the_plans_own_free_entry(G, D):
    plan, w = refined(G, D=D), np.array(G) ** -2.0
    sigma = np.sqrt(D) * w[-1] / w.sum() ** 0.75
    bound = inversion_bound(plan.gamma, G, D, sigma)
    assert bound == pytest.approx(plan.value, rel=1e-10)  # rounding


@given(G=norms, factors=st.lists(st.floats(0.3, 3), min_size=12, max_size=12), u=st.floats(-3, 3))
def test_no_other_steps_have_a_smaller_inversion_bound(G, factors, u):
    plan = refined(G, D=1.0)
    other = plan.gamma * factors[: len(plan.gamma)]
    assert inversion_bound(other, G, 1.0, np.exp(u)) >= plan.value * (1 - 1e-12)


def test_a_batch_equals_its_rows():
    G = np.array([[1.0, 2.0, 0.5], [3.0, 1.0, 1.0]])
    plan = refined(G, D=2)
    for i in range(2):
        np.testing.assert_allclose(plan.gamma[i], refined(G[i], D=2).gamma, rtol=1e-12)
        assert plan.value[i] == pytest.approx(refined(G[i], D=2).value, rel=1e-12)


def test_norms_that_fall_like_one_over_root_t_give_a_warm_up_with_its_peak_at_T_over_root_3():
    T = 1000
    peak = np.argmax(refined(np.arange(1, T + 1) ** -0.5, D=1).gamma) + 1
    assert peak / T == pytest.approx(1 / np.sqrt(3), abs=2 / T)  # of a whole number of steps


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"G": [1.0]}, "at least two"),
        ({"G": []}, "empty"),
        ({"G": 1.0}, "array"),
        ({"G": [1.0, 0.0]}, "needs G > 0"),
        ({"G": [1.0, -1.0]}, "needs G > 0"),
        ({"G": [1.0, np.nan]}, "nan"),
        ({"G": [1.0, 1.0], "D": None}, "needs D"),
        ({"G": [1.0, 1.0], "D": 0}, "needs D > 0"),
        ({"G": [1.0, 1.0], "D": [1.0, 2.0]}, "one distance D"),
    ],
)
def test_bad_input_never_yields_a_schedule(arguments, reason):
    with pytest.raises(InputError, match=reason):
        refined(**({"D": 1.0} | arguments))
