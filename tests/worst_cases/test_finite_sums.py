"""Noise of finite sums does not make the last iterate's worst case worse."""

import numpy as np
import pytest

from sftheory import bounds
from sftheory.core.errors import InputError
from sftheory.worst_cases.finite_sums import finite_sum

STEPS = {  # (N,), D = G = 1: unclipped, clipped, small
    1: [[0.5], [3.0], [0.1]],
    2: [[0.5, 0.3], [0.1, 2.0], [0.05, 0.05]],
    3: [[0.4, 0.3, 0.2]],
    5: [[0.4, 0.1, 0.9, 0.3, 0.2]],
}


def cases(n, N):
    slow = [pytest.mark.slow] if n**N > 8 else []
    return [pytest.param(n, gamma, marks=slow, id=f"n={n}, {gamma}") for gamma in STEPS[N]]


@pytest.mark.parametrize(
    "n, gamma",
    [
        case
        for n, N in [(1, 1), (1, 5), (2, 1), (3, 1), (2, 2), (2, 3), (3, 2)]
        for case in cases(n, N)
    ],
)
def test_the_expected_gap_has_the_worst_case_of_steps_without_noise(n, gamma):
    for D, G in ((1.0, 1.0),) if n ** len(gamma) > 4 else ((1.0, 1.0), (2.0, 0.3)):
        scaled = np.array(gamma) * D / G
        expected = bounds.last_iterate(scaled, D=D, G=G)
        assert finite_sum(scaled, D=D, G=G, n=n) == pytest.approx(expected, rel=1e-6, abs=0)


BAD = [
    (dict(gamma=[0.1] * 4, n=2), "16 paths, and its program needs more than 45 subgradients"),
    (dict(gamma=[0.1], n=0), "n must be a whole number >= 1"),
    (dict(gamma=[[0.1]], n=2), "not a batch of 1"),
    (dict(gamma=[-0.1], n=2), "pass values >= 0"),
    (dict(gamma=[0.1], n=2, D=-1), "needs D > 0"),
    (dict(gamma=[0.1], n=2, G=[1, 2]), "needs one G"),
]


@pytest.mark.parametrize("arguments, sentence", BAD, ids=[sentence for _, sentence in BAD])
def test_what_cannot_be_solved_is_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        finite_sum(**dict(D=1, G=1) | arguments)
