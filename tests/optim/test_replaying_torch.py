import numpy as np
import pytest
import schedulefree
import torch

import sftheory as sft
from sftheory.core.errors import InputError


@pytest.mark.parametrize(
    "schedule", ["linear", "cosine", "wsd", "constant", "inverse_sqrt", "sgdr"]
)
@pytest.mark.parametrize("N", [4, 50])
def test_torch_sgd_attains_the_worst_case(schedule, N):
    gamma = sft.schedules.SCHEDULES[schedule].make(N)(N) / np.sqrt(N + 1)
    found = sft.worst_case(gamma, D=2.0, G=0.5)
    gap = sft.replay(found.function, lambda p: torch.optim.SGD(p, lr=1.0), N, gamma=gamma)
    assert gap == pytest.approx(found.value, abs=1e-9)


@pytest.mark.parametrize("beta", [0.5, 0.9])
@pytest.mark.parametrize("N", [5, 40])
def test_the_published_schedule_free_attains_the_worst_case_of_its_tableau(N, beta):
    gamma = np.full(N, 1 / np.sqrt(N + 1))
    tableau = sft.methods.ScheduleFree(beta, start_counts=False).tableau(gamma)
    found = sft.worst_case(tableau, D=1, G=1)
    assert found.path == "hull"

    def make(parameters):
        return schedulefree.SGDScheduleFree(parameters, lr=gamma[0], momentum=beta)

    assert sft.replay(found.function, make, N) == pytest.approx(found.value, abs=1e-9)


def test_momentum_attains_the_programs_lower_end():
    N = 6
    gamma = np.full(N, 0.2)
    found = sft.worst_case(sft.methods.HeavyBall(0.5).tableau(gamma), D=1, G=1)
    gap = sft.replay(found.function, lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.5), N)
    assert found.path == "sdp" and found.upper - found.lower < 1e-5
    assert gap == pytest.approx(found.lower, abs=1e-9)


@pytest.mark.parametrize("kwargs", [dict(steps=0), dict(steps=3, gamma=[0.1]), dict(steps=1.5)])
def test_wrong_lengths_are_refused(kwargs):
    f = sft.worst_case([0.1], D=1, G=1).function
    with pytest.raises(InputError):
        sft.replay(f, lambda p: torch.optim.SGD(p, lr=1.0), **kwargs)
