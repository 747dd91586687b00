"""capturable=True: a step recorded once and replayed is the optimizer's own next steps.

A CUDA graph repeats the operations of a step on the memory that they used, with the numbers of the
host as they were. `Recorded` does the same on processors, so that no test here needs a GPU.
"""

import copy
import io

import numpy as np
import pytest
import torch
from optimizer_cases import CASES, loss_of, model, points, take, train
from test_device_pass_torch import FromHost, launches  # noqa: F401
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import sftheory as sft
from sftheory.core.errors import InputError
from sftheory.optim import (
    GPAAdamW,
    PolyakScheduleFreeSGD,
    ScheduleFreeAdamW,
    ScheduleFreePlus,
    ScheduleFreeRAdam,
    ScheduleFreeSGD,
)

WARM, REPLAYED = 2, 9
SCHEDULE = (0.05, 0.05, 0.02, 0.03, 0.08, 0.06, 0.04, 0.03, 0.02, 0.01, 0.005)
OWN = [name for name in CASES if not name.startswith("around")]
CAPTURABLE = {name: CASES[name] for name in OWN if name not in ("radam, loud", "plus")}
CAPTURABLE |= {
    "plus": lambda p, **k: ScheduleFreePlus(
        p, lr=0.05, weight_decay=2.0, polyak_beta=0.5, c_warmup=4, r=1.0, **k
    ),
    "plus, no inner momentum": lambda p, **k: ScheduleFreePlus(p, betas=(0.0, 0.9), **k),
    "sgd, both warm-ups end": lambda p, **k: ScheduleFreeSGD(
        p, lr=0.05, warmup_steps=5, averaging_warmup=7, r=2.0, **k
    ),
    "sgd, weights of gamma": lambda p, **k: ScheduleFreeSGD(
        p, lr=0.05, weights="gamma", warmup_steps=6, **k
    ),
    "sgd, powers": lambda p, **k: ScheduleFreeSGD(
        p, lr=0.05, weights="power", r=0.5, weight_lr_power=1.5, warmup_steps=6, **k
    ),
    "sgd, powers that count the start": lambda p, **k: ScheduleFreeSGD(
        p, lr=0.05, weights="power", r=1.5, weight_lr_power=0.0, start_counts=True, **k
    ),
    "sgd, x is stored": lambda p, **k: ScheduleFreeSGD(p, lr=0.05, momentum=0.05, **k),
    "adamw, min(1, C c) ends": lambda p, **k: ScheduleFreeAdamW(
        p, lr=0.01, C=50.0, warmup_steps=3, averaging_warmup=3, maximize=True, **k
    ),
    "adamw, corrected decay at z": lambda p, **k: ScheduleFreeAdamW(
        p, lr=0.01, weight_decay=0.1, corrected_decay=True, decay_at="z", warmup_steps=6, **k
    ),
    "gpa, warm-up": lambda p, **k: GPAAdamW(p, lr=0.01, warmup_steps=6, **k),
}
every_case = pytest.mark.parametrize("name", CAPTURABLE)


class Recorded(TorchDispatchMode):
    """What a step did on the device: operations, the tensors they used, numbers as they were."""

    def __init__(self):
        super().__init__()
        self.done = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        assert "_local_scalar_dense" not in str(function), "the host read a number"
        out = function(*args, **kwargs)
        self.done.append((function, args, kwargs, out))
        return out

    def replay(self):
        made = {}

        def now(thing):
            return made.get(id(thing), thing)

        with torch.no_grad():
            for function, args, kwargs, out in self.done:
                result = function(*tree_map(now, args), **tree_map(now, kwargs))
                before, after = tree_leaves(out), tree_leaves(result)
                made |= {id(a): b for a, b in zip(before, after, strict=True)}


def gradients_of(net, t):
    loss = loss_of(net, t)
    return loss.detach(), torch.autograd.grad(loss, list(net.parameters()))


def step_by_step(name, steps, lr=None, dtype=torch.float64, **options):
    net = model(dtype)
    optimizer = CAPTURABLE[name](list(net.parameters()), **options)
    for t in range(steps):
        if lr is not None:
            optimizer.param_groups[0]["lr"] = lr[t]
        loss, gradients = gradients_of(net, t)
        for p, g in zip(net.parameters(), gradients, strict=True):
            p.grad = g
        take(optimizer, loss)
    return net, optimizer


def replayed(name, steps, lr=None, dtype=torch.float64, **options):
    """Some steps, one more that is recorded, and replays of it on new gradients."""
    net = model(dtype)
    params = list(net.parameters())
    optimizer = CAPTURABLE[name](params, **options)
    rate, held = torch.zeros((), dtype=torch.float64), torch.zeros(())
    if lr is not None:
        optimizer.param_groups[0]["lr"] = rate
    for p in params:
        p.grad = torch.zeros_like(p)
    recorded = Recorded()
    for t in range(steps):
        loss, gradients = gradients_of(net, t)
        held.copy_(loss)
        if lr is not None:
            rate.fill_(lr[t])
        for p, g in zip(params, gradients, strict=True):
            p.grad.copy_(g)
        if t < WARM:
            take(optimizer, held)
        elif t == WARM:
            with recorded:
                take(optimizer, held)
        else:
            recorded.replay()
    return net, optimizer


def averages(net, optimizer):
    y = points(net)
    with optimizer.averaged():
        return torch.stack([y, points(net)])


@every_case
@pytest.mark.parametrize("lr", [None, SCHEDULE], ids=["lr of the host", "lr on the device"])
def test_replays_of_one_step_are_the_steps_of_the_host(name, lr):
    N = WARM + REPLAYED
    expected = averages(*step_by_step(name, N, lr))
    net, optimizer = replayed(name, N, lr, capturable=True)
    found = averages(net, optimizer)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    (group,) = optimizer.state_dict()["param_groups"]
    assert group["averaged_steps"] == N


@every_case
def test_replays_of_a_step_with_counters_of_the_host_are_not(name):
    N = WARM + REPLAYED
    expected = averages(*step_by_step(name, N))
    found = averages(*replayed(name, N))
    assert (found - expected).abs().max() > 1e-4


def test_a_read_would_be_noticed():
    with pytest.raises(AssertionError, match="the host read a number"):
        replayed("adamw", WARM + 1, SCHEDULE)  # the rate is a tensor, the counters are not


@pytest.mark.parametrize("name", ["sgd", "adamw", "gpa", "plus"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_replays_are_the_steps_bit_for_bit_in_low_precision(name, dtype):
    N = WARM + REPLAYED
    expected = averages(*step_by_step(name, N, dtype=dtype, capturable=True))
    assert torch.equal(averages(*replayed(name, N, dtype=dtype, capturable=True)), expected)


@pytest.mark.parametrize("name", ["sgd", "adamw, refined", "adamc", "plus"])
def test_the_compiled_pass_and_the_lists_agree(name):
    dtype, N = torch.float64, WARM + REPLAYED
    expected = averages(*step_by_step(name, N, dtype=dtype, compile=True))
    found = averages(*step_by_step(name, N, dtype=dtype, compile=True, capturable=True))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@every_case
@pytest.mark.parametrize("compile", [False, True], ids=["lists", "one launch"])
def test_a_step_reads_nothing_from_the_device(name, compile, launches):  # noqa: F811
    params = [torch.nn.Parameter(torch.empty(s, device="meta")) for s in ((3, 4), (5,), ())]
    optimizer = CAPTURABLE[name](params, compile=compile, capturable=True)
    with FromHost():
        for _ in range(8):
            for p in params:
                p.grad = torch.empty_like(p)
            take(optimizer, loss=torch.empty((), device="meta"))
    stored = "x" in optimizer.state[params[0]]
    assert len(launches) == (8 if compile and not stored else 0)
    adaptive = "v" in optimizer.state[params[0]]
    for _, arguments, options in launches:
        on_device = [isinstance(a, torch.Tensor) for a in [*arguments[6:], arguments[5]]]
        assert options["stored"] == sum(2**i for i, a in enumerate(on_device) if a)
        assert on_device[3:] == [True, True, adaptive]


# Parameters that are updated at different times.


@pytest.mark.parametrize("name", ["sgd", "adamw", "adamw, refined", "gpa", "adamc", "radam"])
def test_late_and_missing_gradients_count_as_on_the_host(name):
    found = []
    for capturable in (False, True):
        net = model(torch.float64)
        optimizer = CAPTURABLE[name](list(net.parameters()), capturable=capturable)
        for t in range(12):
            _, gradients = gradients_of(net, t)
            for i, (p, g) in enumerate(zip(net.parameters(), gradients, strict=True)):
                p.grad = None if (i == 0 and t < 4) or (i == 2 and t in (3, 6, 7)) else g
            optimizer.step()
        found.append(averages(net, optimizer))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)
    counts = [int(optimizer.state[p]["updates"]) for p in net.parameters()]
    assert counts == [8, 12, 9, 12]
    shared = {id(optimizer.state[p]["updates"]) for p in net.parameters()}
    assert len(shared) == 3


# Checkpoints.


def continued(name, saved, capturable):
    net = model(torch.float64, seed=7)
    optimizer = CAPTURABLE[name](list(net.parameters()), capturable=capturable)
    net.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    train(optimizer, net, range(6, 12))
    return averages(net, optimizer)


@every_case
@pytest.mark.parametrize("saves", [False, True])
def test_a_run_goes_on_in_the_same_and_in_the_other_mode(name, saves):
    net = model(torch.float64)
    optimizer = CAPTURABLE[name](list(net.parameters()), capturable=saves)
    train(optimizer, net, range(6))
    file = io.BytesIO()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    train(optimizer, net, range(6, 12))
    expected = averages(net, optimizer)
    assert torch.equal(continued(name, copy.deepcopy(saved), saves), expected)
    other = continued(name, saved, not saves)
    torch.testing.assert_close(other, expected, rtol=0, atol=1e-12)


def test_a_checkpoint_holds_numbers_and_one_of_tensors_is_read():
    net = model(torch.float64)
    optimizer = CAPTURABLE["adamw"](list(net.parameters()), capturable=True)
    train(optimizer, net, range(6))
    saved = optimizer.state_dict()
    (group,) = saved["param_groups"]
    assert not any(isinstance(value, torch.Tensor) for value in group.values())
    assert [state["updates"] for state in saved["state"].values()] == [6] * 4
    assert isinstance(optimizer.param_groups[0]["c"], torch.Tensor)  # a graph still writes there
    as_tensors = copy.deepcopy(saved)
    for entries in (as_tensors["param_groups"][0], *as_tensors["state"].values()):
        for key in {"averaged_steps", "weight_sum", "gamma_max", "c", "updates"} & entries.keys():
            entries[key] = torch.tensor(entries[key], dtype=torch.float64)
    weights = net.state_dict()
    for capturable in (False, True):
        expected, found = (
            continued("adamw", {"model": weights, "optimizer": copy.deepcopy(s)}, capturable)
            for s in (saved, as_tensors)
        )
        assert torch.equal(found, expected)


def test_a_copy_counts_by_itself():
    net = model(torch.float64)
    optimizer = CAPTURABLE["adamw"](list(net.parameters()), capturable=True)
    train(optimizer, net, range(3))
    other_net, other = copy.deepcopy((net, optimizer))
    train(other, other_net, range(3, 6))
    assert int(optimizer.param_groups[0]["averaged_steps"]) == 3
    train(optimizer, net, range(3, 6))
    assert torch.equal(averages(net, optimizer), averages(other_net, other))


def test_a_probe_reads_the_coefficients_of_each_step():
    found = []
    for capturable in (False, True):
        net = model(torch.float64)
        optimizer = CAPTURABLE["adamw"](list(net.parameters()), capturable=capturable)
        probe = sft.probe(optimizer, net, every=1, metrics=["effective_lr_y", "update_norm"])
        train(optimizer, net, range(6))
        found.append(probe.frame()["value"].to_numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-12)


# torch.compile.


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sgd, both warm-ups end", "adamw", "plus"])
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
def test_a_compiled_step_is_not_compiled_anew_as_counters_move(name):
    import torch._dynamo.testing

    torch._dynamo.reset()
    N = WARM + REPLAYED
    net = model(torch.float64)
    params = list(net.parameters())
    optimizer = CAPTURABLE[name](params, capturable=True)
    counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(optimizer.step, backend=counter, fullgraph=True)
    frames = []
    for t in range(N):
        loss, gradients = gradients_of(net, t)
        for p, g in zip(params, gradients, strict=True):
            p.grad = g
        step = optimizer.step if t < WARM else compiled
        step(loss=loss) if hasattr(optimizer, "clipped") else step()
        frames.append(counter.frame_count)
    # the compiler itself adds an entry to the group in its first step, which the second one sees
    assert frames[WARM + 1 :] == [frames[WARM + 1]] * (REPLAYED - 1)
    expected = averages(*step_by_step(name, N))
    torch.testing.assert_close(averages(net, optimizer), expected, rtol=0, atol=1e-12)


# Bad input.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: ScheduleFreeSGD(p, capturable=True, nonfinite="skip"), "cannot wait"),
        (lambda p: ScheduleFreeAdamW(p, capturable=True, nonfinite="raise"), "cannot wait"),
        (lambda p: ScheduleFreeAdamW(p, capturable="yes"), "must be True or False"),
        (lambda p: ScheduleFreeRAdam(p, capturable=True, silent_sgd_phase=False), "pass one of"),
        (lambda p: ScheduleFreePlus(p, capturable=True, sf_beta1_anneal_steps=9), "pass one of"),
        (lambda p: PolyakScheduleFreeSGD(p, capturable=True, nonfinite="skip"), "cannot wait"),
    ],
)
def test_what_cannot_be_captured_is_said_in_one_sentence(make, says):
    with pytest.raises(InputError, match=says) as caught:
        make([torch.nn.Parameter(torch.ones(2))])
    assert str(caught.value).count(". ") == 0


def test_one_group_is_on_one_device():
    params = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2, device="meta"))]
    optimizer = ScheduleFreeSGD(params, capturable=True)
    for p in params:
        p.grad = torch.ones_like(p)
    with pytest.raises(InputError, match="make a group for each"):
        optimizer.step()
