"""The torch optimizers are the tableaus: vector reference and torch class side by side."""

import numpy as np
import pytest
import torch

import sftheory as sft
from sftheory.core.tableau import Tableau, iterate
from sftheory.methods import GPA, RefinedScheduleFree
from sftheory.methods import ScheduleFree as Method
from sftheory.optim import (
    AdamC,
    GPAAdamW,
    ScheduleFree,
    ScheduleFreeAdamW,
    ScheduleFreeRAdam,
    ScheduleFreeSGD,
)
from sftheory.optim.schedule_free_radam import rectifier

N = 20
RNG = np.random.default_rng(0)
X1 = RNG.standard_normal(7)
STEPS = {
    "random": RNG.uniform(0, 0.4, N),
    "from zero to zero": 0.3 * np.sin(np.pi * np.arange(N) / (N - 1)).clip(0),
    "with pauses": 0.2 * (np.arange(N) % 3 > 0),
}
every_steps = pytest.mark.parametrize("gamma", STEPS.values(), ids=STEPS)
every_execution = pytest.mark.parametrize("compile", [False, True], ids=["lists", "one pass"])


def bent(y):
    """A gradient that is linear in nothing."""
    return 3 * y / (1 + y * y) + 0.1 * np.roll(y, 1, -1)


class Adam:
    """Adam's base step, as one writes it first: moments, corrections, decay."""

    def __init__(self, beta2, eps=1e-8, mu=0.0, decay=0.0, at="y", corrected=False):
        self.beta2, self.eps, self.mu = beta2, eps, mu
        self.decay, self.at, self.corrected = decay, at, corrected
        self.v = self.m = self.largest = 0.0
        self.n = 0

    def __call__(self, gamma, x, y, z, g):
        self.n += 1
        self.largest = max(self.largest, gamma)
        self.v = self.beta2 * self.v + (1 - self.beta2) * g * g
        self.m = self.mu * self.m + (1 - self.mu) * g
        top = self.m / (1 - self.mu**self.n)
        u = top / (np.sqrt(self.v / (1 - self.beta2**self.n)) + self.eps)
        share = gamma / self.largest if self.corrected and self.largest else 1.0
        return gamma * (u + share * self.decay * (y if self.at == "y" else z))


def expect_the_tableau(make, tableau, gamma, base_step=None):
    w = torch.nn.Parameter(torch.tensor(X1))
    optimizer = make([w])

    def set_step(step):
        optimizer.param_groups[0]["lr"] = float(step)

    expect_the_run(optimizer, w, iterate(tableau, X1, bent, base_step), gamma, set_step)


def expect_the_run(optimizer, w, run, settings, prepare):
    """x, y and z of the optimizer are those of the loop, at every step."""
    found, expected = [], []
    for setting, (x, y, z, _) in zip(settings, run, strict=True):
        before = w.detach().numpy().copy()
        prepare(setting)
        w.grad = torch.tensor(bent(before))
        optimizer.step()
        with optimizer.averaged():
            found.append([w.detach().numpy().copy(), before])
        expected.append([x, y])
        if "z" in optimizer.state[w]:
            found[-1].append(optimizer.state[w]["z"].numpy().copy())
            expected[-1].append(z)
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-12, atol=1e-13)


AVERAGES = {
    "defaults": (dict(), dict()),
    "r and power": (dict(r=1.5, weight_lr_power=1.0), dict(r=1.5, power=1.0)),
    "polynomial": (dict(r=2.0, weight_lr_power=0.0), dict(r=2.0, power=0.0)),
    "gamma": (dict(weights="gamma"), dict(weights="gamma")),
    "uniform": (dict(weights="uniform"), dict(power=0.0)),
    "uniform, start counts": (
        dict(weights="uniform", start_counts=True),
        dict(power=0.0, start_counts=True),
    ),
    "polynomial, start counts": (
        dict(r=2.0, weight_lr_power=0.0, start_counts=True),
        dict(r=2.0, power=0.0, start_counts=True),
    ),
}
every_average = pytest.mark.parametrize(("ours", "theirs"), AVERAGES.values(), ids=AVERAGES)


@every_execution
@every_average
@pytest.mark.parametrize("beta", [0.0, 0.05, 0.9, 1.0])
@every_steps
def test_schedule_free_sgd_is_its_tableau(gamma, beta, ours, theirs, compile):
    tableau = Method(beta, **{"start_counts": False, **theirs}).tableau(gamma)
    expect_the_tableau(
        lambda p: ScheduleFreeSGD(p, momentum=beta, compile=compile, **ours), tableau, gamma
    )


@pytest.mark.parametrize("C", [0.5, 1.0, 10.0, 1e9])
@pytest.mark.parametrize("beta", [0.0, 0.9])
@every_steps
def test_the_refined_average_is_its_tableau(gamma, beta, C):
    tableau = RefinedScheduleFree(beta, C, start_counts=False).tableau(gamma)
    expect_the_tableau(lambda p: ScheduleFreeSGD(p, momentum=beta, C=C), tableau, gamma)


def test_the_average_warms_up_as_a_tableau_whose_first_c_are_one():
    gamma = STEPS["random"]
    c = np.ones(N)
    w = np.maximum.accumulate(gamma) ** 2
    c[6:] = w[6:] / np.cumsum(w[6:])
    expect_the_tableau(
        lambda p: ScheduleFreeSGD(p, averaging_warmup=6), Tableau(gamma, 0.9, c), gamma
    )


def test_power_weights_are_powers_of_this_step():
    gamma = STEPS["random"]
    c = gamma**3 / np.cumsum(gamma**3)
    expect_the_tableau(
        lambda p: ScheduleFreeSGD(p, weights="power", weight_lr_power=3.0),
        Tableau(gamma, 0.9, c),
        gamma,
    )


ADAMS = {
    "plain": (dict(), dict()),
    "decay at y": (dict(weight_decay=0.3), dict(decay=0.3)),
    "decay at z": (dict(weight_decay=0.3, decay_at="z"), dict(decay=0.3, at="z")),
    "corrected decay": (
        dict(weight_decay=0.3, corrected_decay=True),
        dict(decay=0.3, corrected=True),
    ),
    "inner momentum": (dict(inner_momentum=0.8), dict(mu=0.8)),
    "all, at z": (
        dict(inner_momentum=0.8, weight_decay=0.3, decay_at="z", corrected_decay=True, eps=1e-3),
        dict(mu=0.8, decay=0.3, at="z", corrected=True, eps=1e-3),
    ),
}


@every_execution
@pytest.mark.parametrize(("ours", "theirs"), ADAMS.values(), ids=ADAMS)
@pytest.mark.parametrize("beta", [0.0, 0.9, 1.0])
@every_steps
def test_schedule_free_adamw_is_its_tableau_with_adams_base_step(
    gamma, beta, ours, theirs, compile
):
    expect_the_tableau(
        lambda p: ScheduleFreeAdamW(p, betas=(beta, 0.97), compile=compile, **ours),
        Method(beta, start_counts=False).tableau(gamma),
        gamma,
        Adam(0.97, **theirs),
    )


def test_the_preconditioner_is_the_simulations():
    gamma = STEPS["random"]
    tableau = Method(0.9, start_counts=False).tableau(gamma)
    precondition = sft.simulation.Adam(beta2=0.97).start()
    expect_the_tableau(
        lambda p: ScheduleFreeAdamW(p, betas=(0.9, 0.97)),
        tableau,
        gamma,
        lambda gamma, x, y, z, g: gamma * precondition(g),
    )


@every_execution
@pytest.mark.parametrize(("mu_y", "mu_x"), [(0.9, 0.99), (0.0, 0.5), (1.0, 0.8), (0.5, 0.0)])
def test_gpa_is_its_tableau_with_adams_base_step(mu_y, mu_x, compile):
    gamma = STEPS["random"]
    expect_the_tableau(
        lambda p: GPAAdamW(p, 1.0, mu_y, mu_x, (0.7, 0.97), weight_decay=0.2, compile=compile),
        GPA(mu_y, mu_x).tableau(gamma),
        gamma,
        Adam(0.97, mu=0.7, decay=0.2),
    )


@every_steps
def test_adam_c_is_the_last_iterate_with_corrected_decay(gamma):
    expect_the_tableau(
        lambda p: AdamC(p, betas=(0.8, 0.97), weight_decay=0.3),
        Tableau(gamma, 0.0, 1.0),
        gamma,
        Adam(0.97, mu=0.8, decay=0.3, corrected=True),
    )


@pytest.mark.parametrize("silent", [True, False])
def test_radam_is_the_tableau_of_its_rectified_steps(silent):
    beta2 = 0.97
    factors = [rectifier(n, beta2) for n in range(1, N + 1)]
    gamma = 0.1 * np.array([f if f is not None else float(not silent) for f in factors])
    adam = Adam(beta2)

    def base_step(gamma, x, y, z, g):
        step = adam(gamma, x, y, z, g)
        return step if factors[adam.n - 1] is not None else gamma * g

    w = torch.nn.Parameter(torch.tensor(X1))
    optimizer = ScheduleFreeRAdam([w], lr=0.1, betas=(0.9, beta2), silent_sgd_phase=silent)
    run = iterate(Method(0.9, start_counts=False).tableau(gamma), X1, bent, base_step)
    expect_the_run(optimizer, w, run, gamma, lambda _: None)
    assert None in factors and factors[-1] is not None


@every_average
@pytest.mark.parametrize("beta", [0.0, 0.9, 1.0])
def test_around_sgd_is_the_tableau(beta, ours, theirs):
    gamma = STEPS["from zero to zero"]
    tableau = Method(beta, **{"start_counts": False, **theirs}).tableau(gamma)
    expect_the_tableau(
        lambda p: ScheduleFree(torch.optim.SGD(p, lr=1.0), momentum=beta, **ours), tableau, gamma
    )


@pytest.mark.parametrize("at_y", [True, False])
@pytest.mark.parametrize("beta", [0.0, 0.9, 1.0])
def test_around_adamw_is_the_tableau_with_its_base_step(beta, at_y):
    gamma = STEPS["random"]
    decay = dict(weight_decay_at_y=0.2) if at_y else dict()
    rule = Adam(0.97, mu=0.5, decay=0.2, at="y" if at_y else "z")

    def make(p):
        base = torch.optim.AdamW(p, betas=(0.5, 0.97), weight_decay=0.0 if at_y else 0.2)
        return ScheduleFree(base, momentum=beta, **decay)

    expect_the_tableau(make, Method(beta, start_counts=False).tableau(gamma), gamma, rule)


@pytest.mark.parametrize("W", [1, 5, 2 * N])
def test_warm_up_is_the_warm_up_schedule(W):
    gamma = 0.2 * sft.schedules.Warmup(steps=W)(N)
    w = torch.nn.Parameter(torch.tensor(X1))
    optimizer = ScheduleFreeSGD([w], lr=0.2, warmup_steps=W)
    run = iterate(Method(0.9, start_counts=False).tableau(gamma), X1, bent)
    expect_the_run(optimizer, w, run, gamma, lambda _: None)


def test_a_beta_that_changes_is_the_tableau_of_its_betas():
    gamma = np.full(N, 0.2)
    betas = np.linspace(0.3, 0.99, N)
    c = Method(0.9, start_counts=False).tableau(gamma).c
    w = torch.nn.Parameter(torch.tensor(X1))
    optimizer = ScheduleFreeSGD([w], lr=0.2)
    built = [0.3, *betas[:-1]]  # the beta at a step makes the y of the next

    def set_beta(beta):
        optimizer.param_groups[0]["momentum"] = float(beta)

    expect_the_run(optimizer, w, iterate(Tableau(gamma, built, c), X1, bent), betas, set_beta)


REPLAYED = {
    "sgd": (0.9, lambda p, b: ScheduleFreeSGD(p, momentum=b)),
    "sgd, beta 0": (0.0, lambda p, b: ScheduleFreeSGD(p, momentum=b)),
    "sgd, beta 1": (1.0, lambda p, b: ScheduleFreeSGD(p, momentum=b)),
    "around sgd": (0.9, lambda p, b: ScheduleFree(torch.optim.SGD(p, lr=1.0), b)),
}


@pytest.mark.parametrize(("beta", "make"), REPLAYED.values(), ids=REPLAYED)
@pytest.mark.parametrize("N", [3, 12, 40])
def test_the_worst_function_makes_it_attain_its_worst_case(N, beta, make):
    gamma = np.full(N, 1 / np.sqrt(N + 1))
    found = sft.worst_case(Method(beta, start_counts=False).tableau(gamma), D=1, G=1)
    gap = sft.replay(found.function, lambda p: make(p, beta), N, gamma=gamma)
    assert gap == pytest.approx(found.value, abs=1e-9)


@pytest.mark.parametrize("C", [1.0, 3.0])
def test_the_refined_average_attains_its_worst_case(C):
    gamma = np.full(6, 0.3)
    found = sft.worst_case(RefinedScheduleFree(0.5, C, start_counts=False).tableau(gamma), D=1, G=1)
    gap = sft.replay(
        found.function, lambda p: ScheduleFreeSGD(p, momentum=0.5, C=C), 6, gamma=gamma
    )
    assert gap == pytest.approx(found.value if found.path == "hull" else found.lower, abs=1e-9)
