"""Order: a permutation in every epoch, and a function of (seed, sample) alone."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from sftheory.core.errors import InputError
from sftheory.lm.batches import Batches
from sftheory.lm.order import Order, permuted


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 17, 100, 1000, 4097])
@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_a_key_names_a_permutation(size, key):
    assert np.array_equal(np.sort(permuted(np.arange(size), size, key)), np.arange(size))


def test_every_epoch_shows_every_window_once_in_another_order():
    order = Order(tokens=1000, context=7, seed=3)
    epochs = [order.starts(e * order.windows, order.windows) for e in range(3)]
    for starts in epochs:
        assert len(set(starts.tolist())) == order.windows
        assert len(set((starts % 7).tolist())) == 1  # one offset an epoch
        assert starts.min() >= 0 and starts.max() + 8 <= 1000
    assert not np.array_equal(epochs[0], epochs[1])


@pytest.mark.parametrize("cuts", [[5], [1, 2, 3], [7, 7, 7, 9]])
def test_samples_do_not_depend_on_how_they_are_asked_for(cuts):
    order = Order(tokens=500, context=10, seed=1)
    ends = np.cumsum([0, *cuts])
    parts = [order.starts(int(a), int(b - a)) for a, b in pairwise(ends)]
    assert np.array_equal(np.concatenate(parts), order.starts(0, int(ends[-1])))


def test_orders_of_two_seeds_are_as_different_as_chance():
    a, b = (Order(tokens=100_001, context=10, seed=s).starts(0, 9000) // 10 for s in (0, 1))
    assert (a == b).mean() < 0.001  # chance is 1e-4
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.05  # 4.7 deviations of chance
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.05


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_resident_corpus_gives_the_same_batches(dtype):
    tokens = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, 999, dtype=dtype)
    cpu = torch.device("cpu")
    plain, resident = (Batches(tokens, 9, 0, cpu, resident=r) for r in (False, True))
    assert torch.equal(plain(40, 8), resident(40, 8))
    assert plain(40, 8).dtype == torch.int64
    start = plain.order.starts(40, 1)[0]
    assert plain(40, 1)[0].tolist() == tokens[start : start + 10].tolist()


def test_a_corpus_shorter_than_two_contexts_is_refused():
    with pytest.raises(InputError, match=r"19 tokens, but windows of model.context=10 need .* 20"):
        Order(tokens=19, context=10, seed=0)
