"""The data of the public script, drawn by torch itself."""

import numpy as np
import pytest
import torch

from sftheory.methods import LastIterate
from sftheory.problems import SchaippExample
from sftheory.problems.schaipp_example import TorchCPU
from sftheory.simulation import run


def script_data():
    torch.manual_seed(0)
    X = 2 * torch.rand(20, 2) - 1
    w0 = torch.randn(1, 2)
    w0 = w0.mul(5.0 / torch.linalg.norm(w0))
    return X, w0, X @ w0.T


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_the_generator_is_torchs_bit_for_bit(seed):
    ours = TorchCPU(seed)
    torch.manual_seed(seed)
    for shape in [(3,), (5, 4), (1,)]:
        np.testing.assert_array_equal(ours.rand(*shape), torch.rand(*shape).numpy())
    # torch keeps the second of a pair of normals for the next call, so one call, of even size
    np.testing.assert_allclose(ours.randn(2, 4), torch.randn(2, 4).numpy(), rtol=1e-6)  # float32


def test_the_points_and_the_minimiser_are_the_scripts_bit_for_bit():
    X, w0, _ = script_data()
    np.testing.assert_array_equal(SchaippExample().X, X.numpy())
    np.testing.assert_array_equal(SchaippExample().x_star, w0.numpy()[0])


def test_the_targets_are_the_scripts_to_the_last_bit_of_a_product():
    _, _, y = script_data()
    np.testing.assert_array_max_ulp(SchaippExample().y, y.numpy()[:, 0], maxulp=1)


@pytest.mark.parametrize(
    ("eta", "start"),
    [
        (0.02 * SchaippExample.wsd(400), 0.0),
        (0.02 * np.ones(400), 0.001),
        (0.04 * SchaippExample.cosine(400)[:300], 0.0),  # the end lands on a kink
    ],
    ids=["wsd", "constant", "cosine"],
)
def test_a_run_follows_the_script(eta, start):
    X, _, y = script_data()
    w = torch.nn.Parameter(torch.full((1, 2), start))
    optimizer = torch.optim.SGD([w], lr=1.0)
    theirs = []
    for step in eta.tolist():
        optimizer.param_groups[0]["lr"] = step
        optimizer.zero_grad()
        loss = (X @ w.T - y).abs().max()
        loss.backward()
        theirs.append(loss.item())
        optimizer.step()
    ours = run(SchaippExample(start), LastIterate().tableau(eta)).loss_x[0, :-1]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6)  # float32 at values up to 5.4
