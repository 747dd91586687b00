import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, iterate
from sftheory.methods import METHODS

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
every_method = pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)

# zero is a step that schedules take at a warm-up's start or a cosine's end
some_steps = st.lists(st.just(0.0) | st.floats(1e-3, 2), min_size=1, max_size=12)
RISING = np.array([[0.0, 0.1, 0.2, 0.3], [0.4, 0.3, 0.2, 0.1], [0.2, 0.2, 0.0, 0.2]])


def bent(y):
    """A gradient that is linear in nothing."""
    return np.tanh(3 * y) + 0.1 * np.sin(y[..., ::-1])


@every_method
@given(gamma=some_steps)
def test_a_tableau_has_N_steps_and_weights_in_the_unit_interval(entry, gamma):
    tab = entry.make(len(gamma)).tableau(gamma)
    assert tab.gamma.shape == tab.beta.shape == tab.c.shape == (len(gamma),)
    assert (tab.gamma >= 0).all() and np.isfinite(tab.gamma).all()
    for weights in (tab.beta, tab.c):
        assert (weights >= 0).all() and (weights <= 1).all()


@every_method
@given(gamma=some_steps)
def test_the_loop_equals_the_matrix_form(entry, gamma):
    tab = entry.make(len(gamma)).tableau(gamma)
    x1 = np.array([1.0, -2.0, 0.5])
    steps = list(iterate(tab, x1, bent))
    y, g = (np.array([step[i] for step in steps]) for i in (1, 3))
    Y, h = tab.step_matrices()
    np.testing.assert_allclose(y, x1 - Y @ g, rtol=0, atol=1e-12)  # rounding, steps up to 2
    np.testing.assert_allclose(steps[-1][0], x1 - h @ g, rtol=0, atol=1e-12)


@every_method
@given(gamma=some_steps)
def test_the_effective_schedule_is_the_last_row_of_the_matrix_form(entry, gamma):
    tab = entry.make(len(gamma)).tableau(gamma)
    np.testing.assert_allclose(tab.effective_schedule(), tab.step_matrices()[1], atol=1e-12)


@every_method
def test_a_batch_of_steps_equals_its_rows(entry):
    method = entry.make(RISING.shape[1])
    batch, rows = method.tableau(RISING), [method.tableau(gamma) for gamma in RISING]
    for name in ("gamma", "beta", "c"):
        np.testing.assert_array_equal(getattr(batch, name), [getattr(r, name) for r in rows])
    Y, h = batch.step_matrices()
    np.testing.assert_allclose(Y, [r.step_matrices()[0] for r in rows], rtol=1e-12)
    np.testing.assert_allclose(h, [r.step_matrices()[1] for r in rows], rtol=1e-12)


@every_method
def test_a_batched_loop_equals_its_rows(entry):
    batch = entry.make(RISING.shape[1]).tableau(RISING)
    x1 = np.array([[1.0, -2.0], [0.5, 0.3], [2.0, 0.1]])
    *_, (x, y, z, _) = iterate(batch, x1, bent)
    for i in range(len(RISING)):
        *_, last = iterate(batch[i], x1[i], bent)
        np.testing.assert_allclose([x[i], y[i], z[i]], last[:3], rtol=1e-12)


@pytest.mark.parametrize("a", [1e-3, 3.7, 1e4])
@every_method
def test_larger_steps_are_the_same_method_on_a_larger_scale(entry, a):
    method = entry.make(RISING.shape[1])
    tab, scaled = method.tableau(RISING), method.tableau(a * RISING)
    np.testing.assert_allclose(scaled.gamma, a * tab.gamma, rtol=1e-12)
    np.testing.assert_array_equal(scaled.beta, tab.beta)
    np.testing.assert_allclose(scaled.c, tab.c, rtol=1e-12)


class LinearForm:
    """A point as numbers times the start and the gradients: only + and * are defined."""

    def __init__(self, parts):
        self.parts = parts

    def __add__(self, other):
        keys = self.parts | other.parts
        return LinearForm({k: self.parts.get(k, 0) + other.parts.get(k, 0) for k in keys})

    def __rmul__(self, number):
        return LinearForm({k: number * v for k, v in self.parts.items()})

    def __sub__(self, other):
        return self + (-1) * other

    def coefficients(self, N):
        return [self.parts.get(t, 0) for t in ("x1", *range(N))]


@every_method
@pytest.mark.parametrize("gamma", RISING)
def test_the_loop_on_symbols_writes_out_the_matrix_form(entry, gamma):
    N = len(gamma)
    tab = entry.make(N).tableau(gamma)
    names = iter(range(N))
    steps = list(iterate(tab, LinearForm({"x1": 1}), lambda y: LinearForm({next(names): 1})))
    Y, h = tab.step_matrices()
    points = [y.coefficients(N) for _, y, _, _ in steps] + [steps[-1][0].coefficients(N)]
    expected = np.column_stack([np.ones(N + 1), -np.vstack([Y, h])])
    np.testing.assert_allclose(points, expected, rtol=0, atol=1e-14)  # rounding


@pytest.mark.parametrize(
    ("gamma", "reason"),
    [
        ([], "gamma is empty"),
        ([0.1, -0.1], "gamma has -0.1 at step 2"),
        ([0.1, np.nan], "gamma has nan at step 2"),
        ([[0.1, 0.1], [0.1, np.inf]], "gamma has inf at step 2 of row 1"),
        (0.1, "one number per step"),
        (None, "gamma must be"),
        (["large"], "gamma must be numbers"),
    ],
)
@every_method
def test_steps_that_are_no_steps_are_refused(entry, gamma, reason):
    with pytest.raises(InputError, match=reason):
        entry.make(2).tableau(gamma)


@every_method
def test_the_methods_of_a_batch_stack_to_that_batch(entry):
    batch = entry.make(RISING.shape[1]).tableau(RISING)
    again = Tableau.stack([batch[i] for i in range(len(RISING))])
    for name in ("gamma", "beta", "c"):
        np.testing.assert_array_equal(getattr(again, name), getattr(batch, name))
