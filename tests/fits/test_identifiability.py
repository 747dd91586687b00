import numpy as np
import pytest
from noisy_curves import STEPS, noisy, visible

from sftheory.fits import Curve, fit
from sftheory.fits.identified import identifiability
from sftheory.fits.laws import LAWS
from sftheory.fits.solution import solutions


def test_errors_and_condition_are_those_of_the_jacobian_in_the_parameters():
    s = solutions(LAWS["power"].make(), STEPS, noisy(1)[None])[0]
    a, b, p = s["a"], s["b"], s["p"]
    u = STEPS + b
    jacobian = np.stack([u**-p, -p * a * u ** (-p - 1), np.ones_like(u), -a * u**-p * np.log(u)])
    # a scaled as the law scales it: that of u/T, whose derivative by p has no log(T)
    jacobian[3] += a * u**-p * np.log(STEPS[-1])
    found = identifiability(s)
    scaled = jacobian / np.linalg.norm(jacobian, axis=1)[:, None]
    assert found.condition == pytest.approx(np.linalg.cond(scaled.T), rel=1e-6)
    jacobian[3] -= a * u**-p * np.log(STEPS[-1])
    sigma = s.noise.sigma * s.noise.inflation
    errors = sigma * np.sqrt(np.diag(np.linalg.inv(jacobian @ jacobian.T)))
    sizes = [a, b + STEPS[0], np.ptp(s.loss), p]
    ours = [found.errors[name] for name in "abcp"]
    np.testing.assert_allclose(ours, errors / sizes, rtol=1e-5)


@pytest.mark.parametrize(
    ("sd", "known"), [(0.0002, {"a", "b", "c", "p"}), (0.01, {"b", "c", "p"}), (0.12, set())]
)
def test_more_noise_leaves_fewer_parameters_determined(sd, known):
    found = fit(Curve(STEPS, noisy(3, sd=sd)), law="sqrt").identifiability
    assert set(found.determined) == known
    assert set(found.open) == set("abcp") - known
    assert max(abs(part) for part in found.together.values()) == 1


def test_a_coordinate_at_its_bound_is_open():
    falling = 4 - STEPS / 1e5  # no power law: p runs to a bound
    found = fit(Curve(STEPS, falling + 1e-4 * np.cos(STEPS)), law="power").solution
    assert found.at_edge
    said = identifiability(found)
    stopped = [name for name in said.open if said.errors[name] == np.inf]
    assert stopped and "inf" in str(said)


def test_noisy_training_losses_leave_the_exponent_open_and_validation_losses_do_not():
    for name, (kind, curve) in visible().items():
        if kind == "train":
            assert "p" in fit(curve, law="sqrt").identifiability.open, name
        if kind == "lm" and len(curve) > 100:
            assert "p" in fit(curve, law="sqrt").identifiability.determined, name
