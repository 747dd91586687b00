"""Ω step by step, against Ω at all horizons, at the ends of the declared range and beyond them."""

import numpy as np
import pytest

from sftheory.bounds import OmegaStream, omega
from sftheory.core.errors import InputError
from sftheory.schedules import WSD, Constant, Cosine, InverseSqrt, Linear


def fed(gamma, G, D=1.5, **known):
    stream = OmegaStream(D=D, **known)
    return np.array([stream.step(eta, norm) for eta, norm in zip(gamma, G, strict=True)])


N = 2500
SHAPES = {
    "constant": Constant()(N),
    "cosine": Cosine()(N),
    "wsd": WSD(0.2)(N),
    "1/sqrt": InverseSqrt()(N),
    "random": np.random.default_rng(0).lognormal(size=N),
    "random, 15 decades": np.random.default_rng(0).lognormal(0, 6, size=N),
    "zeros": np.random.default_rng(0).random(N) * (np.arange(N) % 7 < 4),
    "geometric down": np.exp(-np.arange(N) * (300 / N)),
    "geometric up": np.exp(np.arange(N) * (300 / N)),
    "small steps, then large ones": np.where(np.arange(N) < N - 50, 1e-6, 1.0),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stream_gives_the_omega_of_every_point(shape):
    gamma = SHAPES[shape]
    G = np.random.default_rng(3).lognormal(size=len(gamma))
    known = {"smallest": gamma[gamma > 0].min(), "total": gamma.sum()}
    found = fed(gamma, G, **known)
    first = (1.5**2 / gamma[0] + gamma[0] * G[0] ** 2) / 2 if gamma[0] else np.inf
    own = omega(gamma[:-1], D=1.5, G=G, last=gamma[-1], horizons="all")
    rounding = 4e-14 + 5e-16 * np.log(known["total"] / known["smallest"])  # 1e-12 is promised
    np.testing.assert_allclose(found, [first, *own], rtol=rounding)


@pytest.mark.parametrize("ratio", [1, 3, 1e3, 1e8, 1e14])
@pytest.mark.parametrize("unit", [1e-30, 1, 1e30])
def test_a_stream_is_exact_at_the_ends_of_its_range_and_in_between(ratio, unit):
    """Two steps: the second is the only distance, from the smallest to the total."""
    for distance in np.geomspace(1, ratio, 60) * unit:
        known = {"smallest": unit, "total": ratio * unit + unit}
        one = fed([unit, distance], [1, 1], **known)[1]
        sums = 1.5**2 / (unit + distance) + unit / distance * unit + distance
        assert one == pytest.approx(sums / 2, rel=1e-12)
        loud = fed([unit, distance], [1e40, 1], **known)[1]  # the sum alone
        assert loud == pytest.approx(1e80 * unit / distance * unit / 2, rel=4e-14)


@pytest.mark.parametrize("shape", [0.1 * Constant(), Linear()], ids=repr)
def test_a_stream_does_not_drift(shape):
    """Rounding would add 2e-14 here without a carry, 6e-14 and more to products of factors."""
    gamma = shape(70_000)
    found = fed(gamma, np.ones(len(gamma)), D=1e-8, smallest=gamma.min(), total=gamma.sum())
    own = omega(gamma[:-1], D=1e-8, G=1, last=gamma[-1], horizons="all")
    np.testing.assert_allclose(found[1:], own, rtol=1.2e-14)


STRAYS = [
    ((0.05, 1), "step 0.05 is below smallest=0.1; declare a smaller one"),
    ((0.6, 1), r"sum to 1\.1, more than total=1; declare a larger one"),
    ((-0.1, 1), "gamma must be a number >= 0, but got -0.1"),
    ((np.nan, 1), "gamma must be a number >= 0"),
    ((0.1, 0), "OmegaStream needs G > 0"),
    ((0.1, None), "OmegaStream needs G, a bound on the subgradient norms"),
]


@pytest.mark.parametrize(("stray", "reason"), STRAYS, ids=[r[1] for r in STRAYS])
def test_a_refused_step_leaves_the_stream_as_it_was(stray, reason):
    stream, other = (OmegaStream(D=1, smallest=0.1, total=1) for _ in range(2))
    assert stream.step(0.5, 1) == other.step(0.5, 1)
    with pytest.raises(InputError, match=reason):
        stream.step(*stray)
    assert stream.step(0.5, 2) == other.step(0.5, 2)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"D": 0, "smallest": 1, "total": 2}, "OmegaStream needs D > 0"),
        ({"D": 1, "smallest": 0, "total": 2}, "smallest must be a number"),
        ({"D": 1, "smallest": 1, "total": 0.5}, "total must be a number >= 1"),
        ({"D": 1, "smallest": 1, "total": np.inf}, "total must be a number >= 1"),
    ],
)
def test_a_stream_needs_its_range(known, reason):
    with pytest.raises(InputError, match=reason):
        OmegaStream(**known)
