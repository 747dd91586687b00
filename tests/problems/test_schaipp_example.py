import numpy as np
import pytest

from sftheory.methods import LastIterate
from sftheory.problems import SchaippExample
from sftheory.simulation import run


def losses(eta, start=0.0):
    return run(SchaippExample(start), LastIterate().tableau(eta)).loss_x[0]


def test_the_data_are_float32_and_the_minimiser_is_the_published_one():
    problem = SchaippExample()
    assert problem.X.shape == (20, 2) and problem.X.dtype == problem.x1.dtype == np.float32
    np.testing.assert_allclose(problem.x_star, [1.2322949, 4.8457665], rtol=1e-6)  # float32
    assert problem.G == pytest.approx(1.2963, abs=5e-5)
    assert problem.D == pytest.approx(5, rel=1e-6)
    assert problem.value(problem.x1) == pytest.approx(5.399, abs=5e-4)


def test_the_start_shifts_both_coordinates():
    assert SchaippExample(0.001).x1.tolist() == [np.float32(0.001)] * 2


def test_the_cooldown_lowers_the_loss_and_the_constant_run_stays():
    wsd, constant = losses(0.02 * SchaippExample.wsd(400)), losses(0.02 * np.ones(400), 0.001)
    assert wsd[-1] < 1e-3 and 0.01 < constant[-1] < 0.02
    assert wsd[320] >= 30 * wsd[-1]
    assert losses(0.04 * SchaippExample.cosine(400))[-1] < 1e-4


def test_the_scripts_own_shapes_end_at_zero():
    wsd, cosine = SchaippExample.wsd(400), SchaippExample.cosine(400)
    assert (wsd[:320] == 1).all() and wsd[320] == 1 - 1 / 80
    k = np.arange(400)
    np.testing.assert_allclose(cosine, (1 + np.cos(np.pi * k / 399)) / 2, rtol=1e-12)
    assert wsd[-1] == cosine[-1] == 0
    assert SchaippExample.wsd(3).tolist() == [1, 1, 1] and SchaippExample.cosine(1).tolist() == [1]
