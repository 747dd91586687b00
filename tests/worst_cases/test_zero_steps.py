"""Steps of zero and gradients without weight, against the program stated a second time."""

import numpy as np
import pytest
from second_statement import second_statement

import sftheory as sft
from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau
from sftheory.worst_cases import worst_case

FREE = 100.0  # a norm so large that it bounds nothing


def some(seed, N):
    """A method with steps of zero, weights of zero, or both."""
    rng = np.random.default_rng(seed)
    gamma = rng.uniform(0.1, 1, N) * (rng.uniform(size=N) > 0.4)
    c = rng.uniform(0.1, 0.9, N) * (rng.uniform(size=N) > 0.2)
    return Tableau(gamma, rng.uniform(0.1, 0.9, N), c), rng.uniform(0.4, 2, N + 1)


@pytest.mark.parametrize("seed", range(16))
def test_only_the_norms_of_gradients_that_are_asked_for_play_a_role(seed):
    tableau, norms = some(seed, 2 + seed % 3)
    second = np.where(np.append(tableau.gamma > 0, True), norms, FREE)
    expected = second_statement(tableau, D=1.3, norms=second)
    found = worst_case(tableau, D=1.3, G=norms)
    scale = 1.3 * norms.max()
    assert found.lower <= expected + 2e-6 * scale and found.upper >= expected - 2e-6 * scale
    assert found.value == pytest.approx(expected, abs=1e-5 * scale)  # two solvers


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("criterion", ["last", "best", "average"])
def test_a_smooth_function_does_not_notice_where_no_gradient_is_asked_for(seed, criterion):
    tableau, _ = some(seed, 3)
    expected = second_statement(tableau, D=0.9, L=1.1, criterion=criterion)
    found = worst_case(tableau, D=0.9, L=1.1, criterion=criterion)
    assert found.value == pytest.approx(expected, abs=1e-5)  # two solvers
    assert found.lower <= expected + 2e-6 and found.upper >= expected - 2e-6


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("norm", [1e-9, 1e9])
def test_a_step_of_zero_has_the_value_that_it_has_without_norms(place, norm):
    gamma, norms = np.array([0.5, 0.4, 0.3]), np.ones(4)
    gamma[place], norms[place] = 0, norm
    tableau = sft.methods.PrimalAverage().tableau(gamma)
    found, plain = worst_case(tableau, D=1, G=norms), worst_case(tableau, D=1, G=1)
    assert (found.lower, found.upper, found.path) == (plain.lower, plain.upper, plain.path)


@pytest.mark.parametrize("certify", ["float", "rational"])
def test_multipliers_and_proofs_count_every_point(certify):
    tableau = Tableau([0.0, 0.5, 0.0, 0.4, 0.3], 1.0, [0.5, 0.5, 0.3, 0.2, 0.4])
    found = worst_case(tableau, D=1, G=[7.0, 1.0, 9.0, 0.8, 1.2, 1.0], certify=certify)
    star, pairs = found.multipliers
    assert found.path == "sdp" and found.certified == certify
    assert star.shape == (6,) and pairs.shape == (6, 6)
    assert (star[[0, 2]] == 0).all() and (pairs[:, [0, 2]] == 0).all()
    flow = star + pairs.sum(axis=0) - pairs.sum(axis=1)
    np.testing.assert_allclose(flow, np.eye(6)[-1], atol=1e-7)  # solver


@pytest.mark.parametrize(
    "beta, norms, expected",
    [
        (0.0, [0.1, 1.0, 1.0], 0.1),  # of the gradient at y_1 = x_1, which is reported
        (0.0, [1.0, 1.0, 0.1], 0.1),  # of the one at the report
        (1.0, [1.0, 0.1, 1.0], 0.1),  # y_2 = x_1 too
    ],
)
def test_a_gradient_without_weight_has_its_norm_where_it_is_asked_for(beta, norms, expected):
    found = worst_case(Tableau([0.5, 0.5], beta, 0.0), D=2, G=norms)
    assert found.value == found.lower == found.upper == 2 * expected
    assert found.function.value(found.function.x1) == 2 * expected


def test_a_gradient_without_weight_bounds_the_function_elsewhere_too():
    tableau, norms = Tableau([0.5, 0.5], 0.5, 0.0), np.array([1.0, 0.3, 1.0])
    found = worst_case(tableau, D=1, G=norms)
    assert found.upper < 0.9
    assert found.value == pytest.approx(second_statement(tableau, D=1, norms=norms), abs=1e-6)


@pytest.mark.parametrize(
    "constants, expected", [(dict(L=3.0), 6.0), (dict(G=3.0), 6.0), (dict(G=3.0, mu=0.5), 5.0)]
)
def test_a_method_of_zero_steps_is_as_bad_as_its_start_in_every_class(constants, expected):
    found = worst_case(np.zeros(3), D=2, **constants)  # L D²/2, D G, D G - mu D²/2
    assert found.lower <= expected * (1 + 1e-9) and found.upper >= expected * (1 - 1e-9)
    assert found.value == pytest.approx(expected, rel=2e-6)  # solver


def test_too_many_points_are_refused_before_they_are_made():
    with pytest.raises(InputError, match=r"about 1000001; .* D G for the last iterate"):
        worst_case(np.full(10**6, 1e-3), D=1, G=1, criterion="average")
