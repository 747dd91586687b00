"""Averages: each one is the weighted mean that its name promises, and costs no trajectory."""

import numpy as np
import pytest
import torch
from small_runs import corpus, small

from sftheory import lm
from sftheory.core.errors import InputError
from sftheory.lm.averages import AverageBank, averaged_later

N = 24
RNG = np.random.default_rng(0)
PATH = RNG.normal(size=(N, 5)).cumsum(0)  # θ_1, ..., θ_N
LRS = RNG.uniform(0.1, 1, N)


def weights_of(name, t, every):
    """(t,): the normalised weights of θ_1, ..., θ_t, written down from the definition."""
    shown = np.arange(1, t + 1) % every == 0
    k = np.cumsum(shown)
    kind, *numbers = name.split(":")
    numbers = [float(n) for n in numbers]
    if kind == "uniform":
        w = np.ones(t)
    elif kind == "poly":  # Γ(k + r) / Γ(k): the weights whose running mean has c = (r+1)/(k+r)
        w = np.array([np.prod([k_ + i for i in range(int(numbers[0]))]) for k_ in k])
    elif kind == "lr2":
        w = LRS[:t] ** 2
    elif kind == "ema":
        w = numbers[0] ** np.maximum(t // every * every - np.arange(1.0, t + 1), 0)
    elif kind == "tail":
        w = (np.arange(1, t + 1) > N - int(numbers[0] * N)).astype(float)
    else:
        W, m = [*numbers, 5][:2]
        spaced = int(W / m)
        shown = np.arange(1, t + 1) % spaced == 0
        w = (np.arange(1, t + 1) > t // spaced * spaced - W).astype(float)
    w = np.where(shown, w, 0.0)
    return w / w.sum() if w.sum() else None


NAMES = ["uniform", "poly:0", "poly:1", "poly:3", "lr2", "ema:0", "ema:0.5", "ema:0.9"]
NAMES += ["tail:0.5", "tail:1", "lawa:6:3", "lawa:4:4", "lawa:20"]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_an_average_is_the_weighted_mean_of_the_path(name, every):
    bank = AverageBank(NAMES, torch.zeros(5, dtype=torch.float64), N, every=every)
    for t in range(1, N + 1):
        bank.update(t, torch.from_numpy(PATH[t - 1]), float(LRS[t - 1]))
        weights = weights_of(name, t, every)
        window = int(name.split(":")[1]) if "lawa" in name else 0
        defined = weights is not None and t >= window
        assert (name in bank.ready()) == defined
        if defined:  # rounding of at most N updates
            np.testing.assert_allclose(bank.value(name), weights @ PATH[:t], rtol=0, atol=1e-13)


def test_one_launch_for_accelerators_gives_the_same_averages(monkeypatch):
    names = [n for n in NAMES if "lawa" not in n]
    one, other = (AverageBank(names, torch.zeros(5), N) for _ in range(2))
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    real = torch.tensor
    monkeypatch.setattr(
        torch, "tensor", lambda *a, pin_memory=False, **k: real(*a, **k)
    )  # there is nothing to pin without an accelerator
    for t in range(1, N + 1):
        theta = torch.from_numpy(PATH[t - 1]).float()
        one.update(t, theta, float(LRS[t - 1]))
        other._at_once(t, theta, float(LRS[t - 1]))
    for name in names:
        torch.testing.assert_close(one.value(name), other.value(name), rtol=1e-6, atol=1e-6)


def test_the_bank_of_a_run_is_the_mean_of_its_own_points(tmp_path):
    names = ["uniform", "poly:3", "ema:0.9", "lawa:6:3", "tail:0.5", "lr2"]
    changes = {"averages.names": names, "averages.trajectory": 1, "schedule.name": "cosine"}
    run = lm.train(small(corpus(tmp_path), **changes), out=tmp_path)
    saved = run.state()["averages"]
    for name in names:
        points = ((t, theta.float(), lr) for t, theta, lr in run.trajectory())
        later = averaged_later(points, name, steps=12, every=1)
        kept = saved[name]["value"]
        kept = kept.mean(0) if kept.ndim == 2 else kept
        # the stored points are bfloat16: 2^-8 of weights below 2
        torch.testing.assert_close(kept, later, rtol=2**-8, atol=2**-8)


def test_an_average_that_was_not_kept_can_be_made_afterwards(tmp_path):
    run = lm.train(small(corpus(tmp_path), **{"averages.trajectory": 2}), out=tmp_path)
    points = [theta.float() for _, theta, _ in run.trajectory()]
    model = run.later_average("uniform")
    flat = torch.nn.utils.parameters_to_vector(model.parameters())
    torch.testing.assert_close(flat, torch.stack(points).mean(0), rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="too few stored points"):
        run.later_average("lawa:60:6")


def test_a_row_of_an_average_is_the_loss_of_its_exported_model(tmp_path):
    from sftheory.lm.evaluation import Evaluator
    from sftheory.lm.tokens import prepare

    changes = {"averages.names": ["uniform"], "optimizer.name": "schedule_free_sgd"}
    run = lm.train(small(corpus(tmp_path), **changes), out=tmp_path)
    tokens = prepare(run.config.data)
    for point in ("last", "x", "uniform"):
        own = Evaluator(run.model(point), tokens, 256, 4, lambda f: f)
        assert own() == run.loss(point)
    assert len({run.loss(p) for p in ("last", "x", "uniform")}) == 3


def test_averages_leave_the_trajectory_bit_identical(tmp_path):
    source = corpus(tmp_path)
    plain = lm.train(small(source), out=tmp_path)
    seen = lm.train(
        small(source, **{"averages.names": ["uniform"], "run.eval_every": 1, "run.probe_every": 1}),
        out=tmp_path,
    )
    for name, value in plain.state()["model"].items():
        assert torch.equal(value, seen.state()["model"][name])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unifrom", "did you mean 'uniform'"),
        ("ema", "is not 'ema:d'"),
        ("ema:1", "0 <= d < 1"),
        ("poly:-1", "r >= 0"),
        ("tail:0", "0 < f <= 1"),
        ("lawa:7:2", "multiple of m"),
        ("uniform:3", "is not 'uniform'"),
    ],
)
def test_a_name_that_means_nothing_is_told(name, says):
    with pytest.raises(InputError, match=says):
        AverageBank([name], torch.zeros(1), 10)
