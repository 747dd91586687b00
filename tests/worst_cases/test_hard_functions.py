import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import sftheory as sft
from sftheory.worst_cases.hard_functions import MaxOfLinear

STEPS = st.lists(st.floats(1e-3, 1e2), min_size=1, max_size=15)
SIZE = st.floats(0.1, 10)


@given(STEPS, SIZE, SIZE)
def test_the_method_attains_the_value_on_the_function(h, D, G):
    h = np.array(h) * D / G
    f = MaxOfLinear.of_steps(h, D=D, G=G)
    W = sft.bounds.last_iterate(h, D=D, G=G)
    x = f.x1
    for k, step in enumerate(h):  # the pieces in their order, as the proof takes them
        products = f.pieces @ x
        i = min(k, len(products) - 1)
        assert products[i] >= max(0, products.max()) - 1e-12 * D * G * (1 + h.sum())
        x = x - step * f.pieces[i]
    np.testing.assert_allclose(f.value(x), W, rtol=1e-10, atol=1e-12 * D * G * (1 + h.sum()))


@given(STEPS, SIZE, SIZE)
def test_prefix_sums_give_the_products_with_the_pieces(h, D, G):
    f = MaxOfLinear.of_steps(np.array(h), D=D, G=G)
    x = np.random.default_rng(0).standard_normal((4, len(f.x1)))
    np.testing.assert_allclose(f.products(x), x @ f.pieces.T, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(f.pieces, axis=1), G, rtol=1e-12)
    value, g = f.oracle(x)
    active = (x[:, None] * f.pieces).sum(-1).max(-1) >= 0
    np.testing.assert_allclose(np.linalg.norm(g[active], axis=1), G, rtol=1e-12)
    np.testing.assert_array_equal(value, f.value(x))


def test_run_reaches_the_worst_case_through_the_tie_breaking_oracle():
    for N in (1, 5, 100):
        gamma = sft.schedules.Linear()(N) * N / (N + 1) ** 1.5
        f = MaxOfLinear.of_steps(gamma, D=1.0, G=1.0)
        traj = sft.run(f, sft.methods.LastIterate().tableau(gamma))
        np.testing.assert_allclose(traj.gap_x[0, -1], 1 / np.sqrt(N + 1), rtol=1e-9)
