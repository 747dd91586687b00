"""The network that several figures train: many seeds at once are as each of them alone."""

import numpy as np
import pytest
import torch

from paper_figures.digits_network import Digits, largest_eigenvalues, one_thread, seed_norms
from sftheory.optim import ScheduleFreeAdamW

OPTIONS = {
    "plain": {},
    "normalised, noisy": {"normalised": True, "noise": 0.5},
    "full batch": {"batch": None, "full": 50, "squared": True},
}


def trained(seeds, **options):
    digits = Digits(seeds, **options)
    layers = digits.start()
    optimizer = ScheduleFreeAdamW(layers, lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        digits.losses(layers, digits.batch()).sum().backward()
        optimizer.step()
    return digits, layers


@pytest.mark.parametrize("name", OPTIONS)
def test_a_seed_trains_as_it_does_alone(name):
    _, together = trained([3, 0, 7], **OPTIONS[name])
    for i, seed in enumerate([3, 0, 7]):
        _, alone = trained([seed], **OPTIONS[name])
        for p, q in zip(together, alone, strict=True):
            # float32 products of another shape are summed in another order
            torch.testing.assert_close(p[i], q[0], rtol=1e-3, atol=1e-5)


def test_the_loss_of_a_normalised_network_ignores_the_scale_of_every_layer():
    digits = Digits([0, 1], normalised=True)
    layers, batch = digits.start(), digits.batch()
    for k in range(len(layers)):
        scaled = [3 * p if i == k else p for i, p in enumerate(layers)]
        torch.testing.assert_close(digits.losses(scaled, batch), digits.losses(layers, batch))


def test_eigenvalues_are_those_of_each_seeds_own_hessian():
    torch.manual_seed(0)
    matrices = torch.randn(3, 6, 6, dtype=torch.float64)
    matrices = matrices + matrices.mT

    def loss(points):
        x = torch.cat([p.flatten(1) for p in points], 1)
        return torch.einsum("si,sij,sj->", x, matrices, x) / 2

    points = [torch.randn(3, 2, 2, dtype=torch.float64), torch.randn(3, 2, dtype=torch.float64)]
    found = largest_eigenvalues(loss, points, products=6)
    expected = torch.linalg.eigvalsh(matrices)[:, -1].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-6)  # a start vector in float32


def test_norms_are_over_the_layers_of_one_seed():
    layers = [torch.full((2, 1, 2), 3.0), torch.tensor([[[4.0]], [[1.0]]])]
    np.testing.assert_allclose(seed_norms(layers).numpy(), [34**0.5, 19**0.5], rtol=1e-6)


def test_the_number_of_threads_is_restored_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before
