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


@pytest.mark.parametrize("schedule", ["linear", "warmup", "wsd"])
def test_the_published_schedule_free_attains_the_programs_lower_end_with_a_schedule(schedule):
    N = 7
    gamma = sft.schedules.SCHEDULES[schedule].make(N)(N) / np.sqrt(N + 1)
    tableau = sft.methods.ScheduleFree(0.9, start_counts=False).tableau(gamma)
    found = sft.worst_case(tableau, D=1, G=1)
    gap = sft.replay(
        found.function,
        lambda p: schedulefree.SGDScheduleFree(p, lr=1.0, momentum=0.9),
        N,
        gamma=gamma,
    )
    assert gap == pytest.approx(found.lower, rel=1e-9, abs=0)


@pytest.mark.parametrize("constants", [dict(L=2.0), dict(L=2.0, mu=0.3), dict(G=1.0, mu=0.3)])
def test_torch_sgd_attains_the_lower_end_of_other_classes(constants):
    gamma = np.array([0.4, 0.1, 0.3, 0.2])
    found = sft.worst_case(gamma, D=1.5, **constants)
    gap = sft.replay(found.function, lambda p: torch.optim.SGD(p, lr=1.0), 4, gamma=gamma)
    assert gap == pytest.approx(found.lower, rel=1e-9, abs=0)


def test_without_gamma_the_optimizer_keeps_its_own_rate():
    f = sft.worst_case([0.25] * 4, D=1, G=1).function
    own = sft.replay(f, lambda p: torch.optim.SGD(p, lr=0.25), 4)
    assert own == sft.replay(f, lambda p: torch.optim.SGD(p, lr=9.0), 4, gamma=[0.25] * 4)


def test_an_optimizer_sees_the_function_as_a_loss():
    f = sft.worst_case([0.3, 0.2, 0.1], D=2, G=0.5).function
    objective = sft.optim.Objective(f)
    value = objective()
    value.backward()
    assert value.dtype == torch.float64 and value.item() == f.value(f.x1) == 1.0
    np.testing.assert_array_equal(objective.point.grad.numpy(), f.subgradient(f.x1))
    (2 * objective()).backward()  # gradients add up, as torch's do
    np.testing.assert_allclose(objective.point.grad.numpy(), 3 * f.subgradient(f.x1), rtol=1e-15)


def test_an_optimizer_that_does_not_move_attains_the_start():
    f = sft.worst_case([0.1], D=2, G=3).function
    assert sft.replay(f, lambda p: torch.optim.SGD(p, lr=0.0), 5) == 6
    assert sft.replay(f, lambda p: torch.optim.Adam(p, lr=1e-3), 5) < 6


def test_a_batch_of_schedules_is_refused():
    f = sft.worst_case([0.1], D=1, G=1).function
    with pytest.raises(InputError):
        sft.replay(f, lambda p: torch.optim.SGD(p, lr=1.0), 2, gamma=np.full((2, 2), 0.1))


HUGE = (
    1e14  # an eps beside which sqrt(v) vanishes in float64: Adam's direction becomes the gradient
)


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize(("mu_y", "mu_x"), [(0.9, 0.5), (0.5, 0.9), (0.0, 0.8), (1.0, 0.7)])
def test_gpa_without_its_preconditioner_attains_its_worst_case(mu_y, mu_x, schedule):
    N = 5
    gamma = 0.3 * sft.schedules.SCHEDULES[schedule].make(N)(N)
    found = sft.worst_case(sft.methods.GPA(mu_y, mu_x).tableau(gamma), D=1, G=1)

    def make(parameters):
        optimizer = sft.optim.GPAAdamW(parameters, mu_y=mu_y, mu_x=mu_x, betas=(0, 0.9), eps=HUGE)
        optimizer.register_step_pre_hook(
            lambda o, *_: o.param_groups[0].update(lr=HUGE * gammas.pop(0))
        )
        return optimizer

    gammas = gamma.tolist()
    gap = sft.replay(found.function, make, N)
    best = found.lower if found.path == "sdp" else found.value
    assert gap == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_adamw_without_its_preconditioner_attains_the_worst_case_of_schedule_free(beta):
    N = 6
    gamma = np.full(N, 1 / np.sqrt(N + 1))
    tableau = sft.methods.ScheduleFree(beta, start_counts=False).tableau(gamma)
    found = sft.worst_case(tableau, D=1, G=1)

    def make(parameters):
        lr = HUGE * gamma[0]
        return sft.optim.ScheduleFreeAdamW(parameters, lr=lr, betas=(beta, 0.9), eps=HUGE)

    assert sft.replay(found.function, make, N) == pytest.approx(found.value, abs=1e-9)


class Coordinates:
    """G max_i x_i over N + 1 coordinates, D from its least value -D G / sqrt(N + 1) in the ball.

    N subgradients see N coordinates; one stays where it was, so no method ends below 0.
    """

    def __init__(self, N, D, G):
        self.G, self.x1 = G, np.zeros(N + 1)
        self.f_star = -D * G / np.sqrt(N + 1)

    def value(self, x):
        return self.G * x.max()

    def oracle(self, x):
        return self.value(x), self.G * np.eye(len(x))[x.argmax()]


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("N", [1, 7, 60])
def test_polyak_attains_the_least_gap_that_any_method_can_promise(N, beta):
    D, G = 2.0, 0.7
    f = Coordinates(N, D, G)

    def make(parameters):
        return sft.optim.PolyakScheduleFreeSGD(parameters, momentum=beta, f_star=f.f_star)

    assert sft.replay(f, make, N) == pytest.approx(D * G / np.sqrt(N + 1), abs=1e-9)
