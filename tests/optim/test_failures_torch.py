"""What goes wrong in other implementations and must not here."""

import re

import pytest
import torch
from optimizer_cases import CASES, loss_of, model, one, points, take, train

from sftheory import optim
from sftheory.core.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def fresh(name, dtype=torch.float32, **options):
    net = model(dtype)
    return net, CASES[name](list(net.parameters()), **options)


def buffers(optimizer, net):
    """Everything that a step may write, by value."""
    base = getattr(optimizer, "base_optimizer", None)
    states = [*optimizer.state.values(), *(base.state.values() if base else ())]
    held = [v.clone() if torch.is_tensor(v) else v for s in states for v in s.values()]
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return [points(net), *held], groups


def same(a, b):
    tensors = all(
        torch.equal(x, y) if torch.is_tensor(x) else x == y for x, y in zip(a[0], b[0], strict=True)
    )
    return tensors and repr(a[1]) == repr(b[1])


# Gradients.


@every_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_step_leaves_gradients_bit_identical(name, dtype):
    net, optimizer = fresh(name, dtype)
    train(optimizer, net, range(3))
    net.zero_grad()
    loss_of(net, 3).backward()
    kept = [(p.grad, p.grad.clone()) for p in net.parameters()]
    take(optimizer)
    for p, (grad, value) in zip(net.parameters(), kept, strict=True):
        assert p.grad is grad and torch.equal(grad, value)


@pytest.mark.parametrize("compile", [True, False])
def test_large_parameters_keep_their_gradients_too(compile):
    w = torch.nn.Parameter(torch.randn(700, 800))
    optimizer = optim.ScheduleFreeAdamW([w], weight_decay=0.1, compile=compile)
    w.grad = torch.randn(700, 800)
    kept = w.grad.clone()
    optimizer.step()
    assert torch.equal(w.grad, kept)


@every_case
def test_steps_without_gradients_change_nothing_and_count_nothing(name):
    net, optimizer = fresh(name)
    train(optimizer, net, range(3))
    optimizer.zero_grad()
    before = buffers(optimizer, net)
    for _ in range(7):
        take(optimizer)
    assert same(before, buffers(optimizer, net))


@pytest.mark.parametrize("make", [optim.ScheduleFreeAdamW, optim.ScheduleFreeRAdam, optim.AdamC])
def test_a_late_gradient_moves_a_parameter_as_a_first_one_does(make):
    early, late = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = make([early, late], lr=0.01, betas=(0.9, 0.9), weight_decay=0.0)
    for t in range(500):
        early.grad = torch.ones(2)
        late.grad = torch.ones(2) if t >= 480 else None
        optimizer.step()
        if t == 480:
            assert optimizer.state[late]["updates"] == 1
            z = optimizer.state[late].get("z", late)
            assert (1 - z).abs().max() <= 0.01 * (1 + 1e-5)


@every_case
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_skipped_step_leaves_every_buffer_bit_equal(name, bad):
    net, optimizer = fresh(name, nonfinite="skip")
    train(optimizer, net, range(3))
    before = buffers(optimizer, net)
    net.zero_grad()
    loss_of(net, 3).backward()
    net.scale.grad.fill_(bad)
    take(optimizer)
    assert same(before, buffers(optimizer, net))
    assert optimizer.skipped == 1
    assert optimizer.state_dict()["param_groups"][0]["skipped"] == 1
    one(optimizer, net, 4)
    assert points(net).isfinite().all()


@every_case
def test_a_gradient_that_is_not_finite_can_raise(name):
    net, optimizer = fresh(name, nonfinite="raise")
    train(optimizer, net, range(3))
    before = buffers(optimizer, net)
    net.inner.bias.grad[1] = float("nan")
    with pytest.raises(FloatingPointError, match=r"parameter \d, of shape \(4,\), is not finite"):
        take(optimizer)
    assert same(before, buffers(optimizer, net))


def test_large_gradients_are_finite():
    w = torch.nn.Parameter(torch.ones(3))
    optimizer = optim.ScheduleFreeAdamW([w], nonfinite="raise")
    w.grad = torch.full((3,), 1e30)
    optimizer.step()


@every_case
def test_sparse_gradients_are_refused_in_one_sentence(name):
    table = torch.nn.Embedding(5, 3, sparse=True)
    optimizer = CASES[name](list(table.parameters()))
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="sparse=False"):
        take(optimizer)


@pytest.mark.parametrize("name", ["sgd", "adamw", "around adamw", "adamc"])
def test_a_scaled_step_with_overflow_leaves_the_state(name):
    net, optimizer = fresh(name)
    train(optimizer, net, range(3))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    before = buffers(optimizer, net)
    optimizer.zero_grad()
    scaler.scale(loss_of(net, 3)).backward()
    net.scale.grad.fill_(float("inf"))
    scaler.step(optimizer)
    scaler.update()
    assert same(before, buffers(optimizer, net))
    optimizer.zero_grad()
    scaler.scale(loss_of(net, 3)).backward()
    scaler.step(optimizer)
    assert not same(before, buffers(optimizer, net))


# Learning rates, groups, counters.


@every_case
def test_a_first_step_of_zero_moves_nothing(name):
    net, optimizer = fresh(name)
    start = points(net)
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    one(optimizer, net, 0)
    torch.testing.assert_close(points(net), start, rtol=0, atol=1e-7)
    for group, lr in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = lr
    train(optimizer, net, range(1, 8))
    assert points(net).isfinite().all() and not torch.allclose(points(net), start, atol=1e-5)


@every_case
def test_schedulers_accept_every_optimizer_and_begin_at_zero(name):
    net, optimizer = fresh(name)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(t / 3, 1))
    for t in range(6):
        one(optimizer, net, t)
        scheduler.step()
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert points(net).isfinite().all()


@pytest.mark.parametrize("name", ["sgd", "adamw", "adamw, refined", "radam", "gpa", "adamc"])
def test_a_tensor_lr_agrees_with_a_float(name):
    (a_net, a), (b_net, b) = fresh(name), fresh(name)
    b.param_groups[0]["lr"] = torch.tensor(a.param_groups[0]["lr"], dtype=torch.float64)
    train(a, a_net, range(9))
    train(b, b_net, range(9))
    assert torch.equal(points(a_net), points(b_net))


def test_a_one_cycle_schedule_may_change_beta():
    net = model()
    optimizer = optim.ScheduleFreeAdamW(net.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=8)
    for t in range(7):
        one(optimizer, net, t)
        scheduler.step()
    assert points(net).isfinite().all()


def test_beta_cannot_become_zero_midway():
    net, optimizer = fresh("sgd")
    train(optimizer, net, range(2))
    optimizer.param_groups[0]["momentum"] = 0.0
    with pytest.raises(InputError, match="beta went from"):
        one(optimizer, net, 2)


def test_groups_keep_their_own_options_and_counters():
    net = model()
    first, *others = list(net.parameters())
    optimizer = optim.ScheduleFreeAdamW([{"params": [first], "lr": 0.1}], lr=0.001)
    train(optimizer, net, range(5))
    optimizer.add_param_group({"params": others, "betas": (0.5, 0.9), "C": 3.0})
    train(optimizer, net, range(5, 8))
    assert [g["averaged_steps"] for g in optimizer.param_groups] == [8, 3]
    assert optimizer.param_groups[1]["lr"] == 0.001
    with pytest.raises(InputError, match="betas"):
        optimizer.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))], "betas": (2, 0)})


def test_a_group_added_to_the_wrapper_reaches_its_base():
    net = model()
    first, *others = list(net.parameters())
    optimizer = optim.ScheduleFree(torch.optim.AdamW([first], lr=0.1))
    train(optimizer, net, range(2))
    optimizer.add_param_group({"params": others, "lr": 0.05})
    train(optimizer, net, range(2, 5))
    assert len(optimizer.base_optimizer.param_groups) == 2
    assert optimizer.base_optimizer.state[others[0]]["step"] == 3


def test_hooks_run():
    net, optimizer = fresh("around adamw")
    seen = []
    optimizer.register_step_pre_hook(lambda *_: seen.append("pre"))
    optimizer.register_step_post_hook(lambda *_: seen.append("post"))
    one(optimizer, net, 0)
    assert seen == ["pre", "post"]


def test_a_closure_is_called_with_gradients_on_and_its_loss_returned():
    net, optimizer = fresh("adamw")

    def closure():
        optimizer.zero_grad()
        loss = loss_of(net, 0)
        loss.backward()
        return loss

    assert optimizer.step(closure).requires_grad


@pytest.mark.parametrize(
    "base", ["Adadelta", "Adagrad", "Adam", "Adamax", "NAdam", "RAdam", "Rprop"]
)
def test_every_torch_base_works_without_preparation(base):
    net = model()
    optimizer = optim.ScheduleFree(getattr(torch.optim, base)(net.parameters(), lr=0.01))
    train(optimizer, net, range(4))
    with optimizer.averaged():
        assert points(net).isfinite().all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_can_be_wrapped():
    w = torch.nn.Parameter(torch.eye(4))
    optimizer = optim.ScheduleFree(torch.optim.Muon([w], lr=0.02))
    for _ in range(3):
        w.grad = w.detach() - 1
        optimizer.step()
    assert not torch.equal(w.detach(), torch.eye(4))


# Kinds of tensors.


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["adamw", "sgd", "radam", "gpa", "adamc", "around adamw"])
def test_low_precision_parameters_move_as_float32_does(name, dtype):
    start = torch.ones(3)
    low, high = torch.nn.Parameter(start.to(dtype)), torch.nn.Parameter(start.clone())
    for p in (low, high):
        optimizer = CASES[name]([p])
        for group in optimizer.param_groups:
            group["lr"] = 1e-4
            group["weight_decay"] = 0.0
        for _ in range(500):
            p.grad = torch.ones_like(p)
            optimizer.step()
        optimizer.eval()
    assert (high < 0.98).all()
    torch.testing.assert_close(low.float(), high, rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize(
    "name", ["sgd", "adamw", "adamw, refined", "radam", "gpa", "adamc", "polyak"]
)
def test_complex_parameters_are_their_real_view(name):
    start = torch.randn(5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    a, b = torch.nn.Parameter(start.clone()), torch.nn.Parameter(torch.view_as_real(start).clone())
    first, second = CASES[name]([a]), CASES[name]([b])
    for t in range(6):
        g = torch.randn(5, dtype=torch.complex128, generator=torch.Generator().manual_seed(t))
        a.grad, b.grad = g, torch.view_as_real(g)
        take(first)
        take(second)
    with first.averaged(), second.averaged():
        assert torch.equal(torch.view_as_real(a.detach()), b.detach())


@pytest.mark.parametrize("compile", [True, False])
@pytest.mark.parametrize(
    "layout", ["channels last", "expanded gradient", "slice", "other gradient"]
)
def test_memory_layouts_do_not_change_the_result(layout, compile):
    shape = (2, 3, 4, 5)
    start = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    if layout == "expanded gradient":
        gradient = torch.randn(1).expand(shape)
    plain = torch.nn.Parameter(start.clone())
    if layout == "slice":
        odd = torch.nn.Parameter(torch.zeros(2, 3, 4, 10)[..., ::2])
        odd.data.copy_(start)
    elif layout == "channels last":
        odd = torch.nn.Parameter(start.clone(memory_format=torch.channels_last))
    else:
        odd = torch.nn.Parameter(start.clone())
    for p in (plain, odd):
        optimizer = optim.ScheduleFreeAdamW([p], weight_decay=0.1, compile=compile)
        for _ in range(3):
            p.grad = gradient.clone(memory_format=torch.preserve_format)
            if p is odd and layout == "other gradient":
                p.grad = p.grad.to(memory_format=torch.channels_last)
            if p is plain:
                p.grad = p.grad.contiguous()
            optimizer.step()
    torch.testing.assert_close(odd.detach(), plain.detach(), rtol=1e-6, atol=1e-7)


def test_empty_parameters_are_harmless():
    w, nothing = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(0, 3))
    optimizer = optim.ScheduleFreeAdamW([w, nothing], nonfinite="raise")
    w.grad, nothing.grad = torch.ones(2), torch.ones(0, 3)
    optimizer.step()
    with optimizer.averaged():
        assert w.isfinite().all()


def test_climbing_is_descending_the_negative():
    runs = []
    for sign in (1, -1):
        w = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        optimizer = optim.ScheduleFreeAdamW([w], maximize=sign < 0, weight_decay=0.1, lr=0.1)
        for _ in range(5):
            w.grad = sign * w.detach().sin()
            optimizer.step()
        runs.append(w.detach())
    torch.testing.assert_close(*runs, rtol=1e-14, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["sgd", "adamw", "adamw, refined", "adamw, at z", "gpa", "plus"])
def test_both_executions_agree_on_large_and_small_parameters(name, dtype):
    runs = []
    for compile in (True, False):
        g = torch.Generator().manual_seed(0)
        shapes = [(3,), (), (70, 30), (520, 600), (90,)]
        params = [torch.nn.Parameter(torch.randn(s, generator=g, dtype=dtype)) for s in shapes]
        optimizer = CASES[name](params, compile=compile)
        for _ in range(2):
            for p in params:
                p.grad = torch.randn(p.shape, generator=g, dtype=dtype)
            take(optimizer)
        with optimizer.averaged():
            runs.append(torch.cat([p.detach().flatten() for p in params]))
    tolerance = 50 * torch.finfo(dtype).eps
    torch.testing.assert_close(*runs, rtol=tolerance, atol=tolerance)


STATE_BYTES = {"sgd": 4, "sgd, beta 0": 4, "adamw": 8, "adamw, beta 0": 8, "adamw, refined": 12}
STATE_BYTES |= {"radam": 8, "adamc": 8, "polyak": 4, "plus": 12, "around sgd, beta 0": 4}


@pytest.mark.parametrize(("name", "size"), STATE_BYTES.items())
def test_state_bytes_per_parameter(name, size):
    net, optimizer = fresh(name)
    one(optimizer, net, 0)
    tensors = [t for s in optimizer.state.values() for t in s.values() if torch.is_tensor(t)]
    assert sum(t.nbytes for t in tensors) == size * points(net).numel()


def test_the_list_execution_needs_no_memory_beyond_its_scratch():
    w = torch.nn.Parameter(torch.zeros(2**20))
    optimizer = optim.ScheduleFreeAdamW([w], weight_decay=0.1, compile=False)
    w.grad = torch.ones(2**20)
    optimizer.step()
    with torch.profiler.profile(profile_memory=True, acc_events=True) as profile:
        optimizer.step()
    grown = [e.self_cpu_memory_usage for e in profile.key_averages()]
    assert max(grown, default=0) < 2**12


BAD = [
    (optim.ScheduleFreeSGD, dict(lr=-1.0), "lr"),
    (optim.ScheduleFreeSGD, dict(lr=torch.ones(2)), "lr must be one number"),
    (optim.ScheduleFreeSGD, dict(momentum=1.5), "momentum"),
    (optim.ScheduleFreeSGD, dict(weights="gama"), "did you mean 'gamma'"),
    (optim.ScheduleFreeSGD, dict(start_counts=True), "weights='uniform'"),
    (optim.ScheduleFreeSGD, dict(start_counts=True, weights="gamma"), "made from the step"),
    (
        optim.ScheduleFreeSGD,
        dict(start_counts=True, weights="uniform", averaging_warmup=3),
        "forgets the start",
    ),
    (optim.ScheduleFreeSGD, dict(nonfinite="ignore"), "not finite"),
    (optim.ScheduleFreeSGD, dict(warmup_steps=-1), "warmup_steps"),
    (optim.ScheduleFreeSGD, dict(C=0.0), "C"),
    (optim.ScheduleFreeSGD, dict(C=2.0, momentum=1.0), "pass C=None"),
    (optim.ScheduleFreeSGD, dict(compile="yes"), "compile"),
    (optim.ScheduleFreeAdamW, dict(betas=(0.9, 1.0)), r"betas\[1\]"),
    (optim.ScheduleFreeAdamW, dict(betas=0.9), "two numbers"),
    (optim.ScheduleFreeAdamW, dict(eps=-1.0), "eps"),
    (optim.ScheduleFreeAdamW, dict(weight_decay=-1.0), "weight_decay"),
    (optim.ScheduleFreeAdamW, dict(decay_at="x"), "point that decays"),
    (optim.ScheduleFreeAdamW, dict(inner_momentum=1.0), "inner_momentum"),
    (optim.ScheduleFreeRAdam, dict(betas=(0.9, 0.5)), "never rectified"),
    (optim.GPAAdamW, dict(mu_x=1.1), "mu_x"),
    (optim.AdamC, dict(betas=(1.0, 0.9)), r"betas\[0\]"),
    (optim.ScheduleFreePlus, dict(sf_beta1=1.0), "sf_beta1"),
    (optim.ScheduleFreePlus, dict(polyak_beta=1.0), "polyak_beta"),
    (optim.ScheduleFreePlus, dict(f_star=float("nan")), "f_star"),
    (optim.PolyakScheduleFreeSGD, dict(momentum=-0.1), "momentum"),
]


@pytest.mark.parametrize(
    "make", [optim.ScheduleFreeSGD, optim.ScheduleFreeAdamW, optim.GPAAdamW, optim.AdamC]
)
def test_a_module_in_place_of_its_parameters_is_told(make):
    with pytest.raises(InputError, match=r"takes parameters, not a module; pass model\.parameters"):
        make(torch.nn.Linear(2, 1), lr=0.1)


@pytest.mark.parametrize(("make", "options", "words"), BAD)
def test_bad_options_are_one_sentence(make, options, words):
    with pytest.raises(InputError, match=words) as error:
        make([torch.nn.Parameter(torch.ones(1))], **options)
    assert not re.search(r"\. [A-Z]", str(error.value))


@pytest.mark.parametrize(
    "base", [torch.optim.LBFGS, optim.ScheduleFreeSGD, lambda p: "an optimizer"]
)
def test_the_wrapper_refuses_what_it_cannot_wrap(base):
    with pytest.raises(InputError, match="ScheduleFree wraps"):
        optim.ScheduleFree(base([torch.nn.Parameter(torch.ones(1))]))


STRANGERS = [  # saved by one class, loaded into another
    ("ScheduleFreeAdamW", "ScheduleFreeSGD", "no 'momentum', which ScheduleFreeSGD needs"),
    ("ScheduleFreeSGD", "ScheduleFreeAdamW", "no 'betas', which ScheduleFreeAdamW needs"),
    ("ScheduleFreeAdamW", "GPAAdamW", "no 'mu_y', which GPAAdamW needs"),
    ("ScheduleFreeAdamW", "ScheduleFreePlus", "no 'sf_beta1', which ScheduleFreePlus needs"),
]


@pytest.mark.parametrize(("saved", "into", "says"), STRANGERS)
def test_the_state_of_another_class_is_refused_when_it_is_loaded(saved, into, says):
    net = torch.nn.Linear(3, 1)
    state = getattr(optim, saved)(net.parameters(), lr=0.1).state_dict()
    other = getattr(optim, into)(net.parameters(), lr=0.1)
    with pytest.raises(InputError, match=f"saved by another class: it has {says}"):
        other.load_state_dict(state)


@pytest.mark.parametrize("state", [{"a": 1}, [], None], ids=str)
def test_what_is_no_state_is_refused(state):
    optimizer = optim.ScheduleFreeAdamW(torch.nn.Linear(3, 1).parameters())
    with pytest.raises(InputError, match="no state of an optimizer; load what state_dict"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("name", ["ScheduleFreeAdamW", "ScheduleFreePlus"])
def test_a_loss_in_the_place_of_a_closure_is_told(name):
    optimizer = getattr(optim, name)(torch.nn.Linear(3, 1).parameters())
    with pytest.raises(InputError, match=r"takes a closure.* step\(loss=loss\)"):
        optimizer.step(torch.ones(()))
