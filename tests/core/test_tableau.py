import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, iterate, mix

REFUSED = [
    ({"gamma": []}, "gamma is empty"),
    ({"gamma": 0.1}, "gamma must be an array with one number per step"),
    ({"gamma": [0.1, -0.1]}, "gamma has -0.1 at step 2; pass values >= 0"),
    ({"gamma": [0.1, np.nan]}, "gamma has nan at step 2"),
    ({"gamma": [[0.1, 0.1], [np.inf, 0.1]]}, "gamma has inf at step 1 of row 1"),
    ({"gamma": np.full((2, 3, 2), [0.1, -1])}, r"gamma has -1 at step 2 of row .0, 0."),
    ({"gamma": ["a", "b"]}, "gamma must be numbers"),
    ({"beta": -0.1}, "beta has -0.1 at step 1; it must lie in"),
    ({"beta": [0.5, 1.1]}, r"beta has 1.1 at step 2; it must lie in .0, 1."),
    ({"beta": np.nan}, "beta has nan"),
    ({"c": 1.0001}, "c has 1.0001 at step 1"),
    ({"c": [-1e-9, 1]}, "c has -1e-09 at step 1"),
    ({"beta": [0.1, 0.2, 0.3]}, "beta has 3 entries but gamma has N=2; pass one entry per step"),
    ({"c": [0.1, 0.2, 0.3]}, "c has 3 entries but gamma has N=2"),
    ({"gamma": [[0.1] * 2] * 3, "c": [[1.0] * 2] * 2}, "batch axes of .* do not fit; make them"),
]


@pytest.mark.parametrize(("wrong", "reason"), REFUSED, ids=[r[1] for r in REFUSED])
def test_what_is_no_method_is_refused_with_the_place_and_the_rule(wrong, reason):
    with pytest.raises(InputError, match=reason):
        Tableau(**({"gamma": [0.1, 0.1], "beta": 0.0, "c": 1.0} | wrong))


def test_numbers_and_batches_are_broadcast_to_one_shape():
    tab = Tableau(gamma=[1, 2], beta=[[[0.5]], [[0.9]]], c=np.ones((3, 1)))
    for array in (tab.gamma, tab.beta, tab.c):
        assert array.shape == (2, 3, 2) and array.dtype == np.float64
    assert tab.batch == (2, 3) and tab.steps == 2


def test_the_arrays_cannot_be_written_to():
    tab = Tableau([0.1, 0.2], 0.0, 1.0)
    for array in (tab.gamma, tab.beta, tab.c):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0.5


def test_a_tableau_keeps_its_steps_when_the_callers_array_changes():
    gamma = np.array([0.1, 0.2])
    tab = Tableau(gamma, 0.0, 1.0)
    gamma[0] = 5
    assert tab.gamma.tolist() == [0.1, 0.2]


def test_indexing_takes_methods_out_of_the_batch():
    gamma = np.arange(24.0).reshape(2, 3, 4)
    tab = Tableau(gamma, 0.5, 1.0)
    assert tab[1].batch == (3,) and tab[1, 2].batch == () and tab[:, 1].batch == (2,)
    np.testing.assert_array_equal(tab[1, 2].gamma, gamma[1, 2])
    np.testing.assert_array_equal(tab[:, [0, 2]].gamma, gamma[:, [0, 2]])


def test_steps_cannot_be_indexed():
    with pytest.raises(InputError, match="0 batch axes and 1 were indexed; steps cannot"):
        Tableau([0.1, 0.2], 0.0, 1.0)[0]
    with pytest.raises(InputError, match="1 batch axes and 2 were indexed"):
        Tableau([[0.1, 0.2]], 0.0, 1.0)[0, 1]


def test_stack_is_undone_by_indexing():
    one, two = Tableau([0.1, 0.2], 0.3, 0.4), Tableau([0.5, 0.6], [0.7, 0.8], 0.9)
    both = Tableau.stack([one, two])
    assert both.batch == (2,)
    for i, tab in enumerate((one, two)):
        for name in ("gamma", "beta", "c"):
            np.testing.assert_array_equal(getattr(both[i], name), getattr(tab, name))


def test_two_steps_by_hand():
    tab = Tableau(gamma=[0.5, 0.25], beta=[0.3, 0.8], c=[0.6, 0.1])
    (x2, y1, z2, g1), (x3, y2, z3, g2) = iterate(tab, 8.0, oracle=lambda y: y)
    assert (y1, g1, z2) == (8, 8, 4)
    assert x2 == pytest.approx(0.4 * 8 + 0.6 * 4)
    assert y2 == g2 == pytest.approx(0.2 * 4 + 0.8 * x2)
    assert z3 == pytest.approx(4 - 0.25 * y2)
    assert x3 == pytest.approx(0.9 * x2 + 0.1 * z3)


def test_a_base_step_replaces_gamma_times_g():
    tab, seen = Tableau([0.5, 0.25], 0.0, 1.0), []

    def normalised(gamma, x, y, z, g):
        seen.append((gamma, x, y, z, g))
        return gamma * g / abs(g)

    points = [x for x, *_ in iterate(tab, 8.0, lambda y: -y, normalised)]
    assert points == [8.5, 8.75]
    assert seen == [(0.5, 8, 8, 8, -8), (0.25, 8.5, 8.5, 8.5, -8.5)]


def test_a_batch_needs_a_start_with_its_axes():
    tab = Tableau(np.ones((2, 3, 4)), 0.0, 1.0)
    with pytest.raises(InputError, match=r"x1 has 1 axes .* 2 batch axes; give x1 the shape"):
        next(iterate(tab, np.zeros(5), lambda y: y))


def test_a_start_of_whole_numbers_walks_the_same_in_a_batch_as_alone():
    tab = Tableau([[0.5, 0.5], [0.25, 0.25]], 0.5, 0.5)
    *_, (x, *_) = iterate(tab, np.array([8, 8]), lambda y: y)
    alone = [list(iterate(tab[i], 8, lambda y: y))[-1][0] for i in range(2)]
    np.testing.assert_allclose(x, alone, rtol=1e-12)


def test_weights_of_zero_and_one_select_the_point_itself():
    a, b = np.array([np.inf]), np.array([1.0])
    assert mix(a, b, 1.0) is b and mix(a, b, 0.0) is a
    assert mix(1.0, 3.0, 0.25) == 1.5


@pytest.mark.parametrize(
    ("c", "h"), [([1, 1, 1], [1, 2, 3]), ([0, 0, 0], [0, 0, 0]), ([0.5, 1, 0], [1, 2, 0])]
)
def test_c_of_zero_and_one_are_exact_in_the_effective_schedule(c, h):
    assert Tableau([1, 2, 3], 0.9, c).effective_schedule().tolist() == h
