"""Exact moments of problems whose modes are torch tensors."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sftheory import methods
from sftheory.core.errors import InputError
from sftheory.exact_moments import moments, split
from sftheory.methods import METHODS

METHOD_ENTRIES = [e for e in METHODS.load().values() if hasattr(e.object, "tableau")]
TOTALS = ("loss_x", "loss_y", "loss_z", "bias_x", "bias_y", "bias_z")
PER_MODE = ("mean_x", "mean_z", "second_x", "second_z", "second_zx")
ARRAYS = {
    "eigenvalues": np.array([1.0, 0.3, 0.01, 0.0]),
    "noise": np.array([0.1, 0.5, 1.0, 0.3]),
    "x1": np.array([1.0, -2.0, 3.0, 0.5]),
    "x_star": np.array([0.5, 0.0, 1.0, 0.0]),
}
sgd = methods.LastIterate().tableau


def problem(kind=np.asarray, **other):
    return SimpleNamespace(**{name: kind(a) for name, a in ARRAYS.items()}, **other)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(
    ("momentum", "own"),
    [(0.0, {}), (0.9, {}), (0.5, {"multiplicative": 0.3}), (0.9, {"mixing": 0.2})],
)
@pytest.mark.parametrize("entry", METHOD_ENTRIES, ids=lambda e: e.name)
def test_moments_of_tensors_equal_those_of_arrays(entry, momentum, own):
    N = 40
    tableau = entry.make(N).tableau(np.random.default_rng(1).uniform(0, 0.8, N))
    here = moments(problem(**own), tableau, momentum=momentum)
    there = moments(problem(tensor, **own), tableau, momentum=momentum)
    for name in (*TOTALS, *PER_MODE):
        on_tensors, expected = getattr(there, name), getattr(here, name)
        assert on_tensors.dtype == torch.float64 and on_tensors.shape == expected.shape
        scale = np.maximum.accumulate(np.abs(expected), axis=0)  # rounding of the run so far
        assert (np.abs(on_tensors.numpy() - expected) <= 1e-12 * scale + 1e-300).all(), name
    np.testing.assert_array_equal(there.step, here.step)
    assert there.threshold == here.threshold and there.unstable == here.unstable


def test_single_precision_stays_single_precision():
    tableau = methods.ScheduleFree().tableau(np.full(30, 0.5))
    single = moments(problem(lambda a: tensor(a).float()), tableau)
    assert single.loss_x.dtype == single.second_x.dtype == torch.float32
    expected = moments(problem(), tableau).loss_x
    np.testing.assert_allclose(single.loss_x.numpy(), expected, rtol=1e-5)  # single rounding


def test_numbers_beside_tensors_stand_for_every_mode():
    given = SimpleNamespace(eigenvalues=tensor([1.0, 0.1]), noise=0.2, x1=1.0, x_star=0.0)
    plain = SimpleNamespace(eigenvalues=[1.0, 0.1], noise=0.2, x1=1.0, x_star=0.0)
    tableau = sgd(np.full(20, 0.5))
    np.testing.assert_allclose(
        moments(given, tableau).loss_x.numpy(), moments(plain, tableau).loss_x, rtol=1e-12
    )


def test_a_batch_of_tableaus_on_tensors_is_refused():
    with pytest.raises(InputError, match="one tableau at a time"):
        moments(problem(tensor), sgd(np.full((2, 5), 0.1)))


# known faults


def test_an_unstable_run_on_tensors_ends_at_infinity():
    found = moments(problem(tensor), sgd(np.full(800, 3.0)))
    assert found.unstable
    assert found.loss_x[-1] == np.inf


def test_grouping_of_tensors_is_done_or_refused():
    try:
        assert moments(problem(tensor), sgd(np.full(5, 0.1)), group=4).second_x is None
    except InputError:
        pass


@pytest.mark.parametrize("wrong", [-1.0, np.nan])
def test_tensors_with_negative_or_missing_eigenvalues_are_refused(wrong):
    bad = problem(tensor)
    bad.eigenvalues[0] = wrong
    refused = False
    try:
        moments(bad, sgd(np.full(5, 0.1)))
    except InputError:
        refused = True
    assert refused


def test_the_split_of_tensors_adds_up():
    found = moments(problem(tensor), sgd(np.full(5, 0.1)), keep=range(6))
    hill, river = split(found, problem(tensor), 0.2)
    np.testing.assert_allclose(hill + river, found.loss_x, rtol=1e-12)
