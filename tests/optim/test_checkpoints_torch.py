"""Checkpoints: resuming is exact, and a mismatch of points is never silent."""

import copy
import io
import pickle

import pytest
import torch
from optimizer_cases import CASES, ONE_POINT, WITHOUT_AVERAGE, loss_of, model, one, points, train

from sftheory import optim
from sftheory.core.errors import InputError

every_case = pytest.mark.parametrize("name", CASES)


def through_a_file(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def resumed(name, saved, dtype=torch.float32):
    net = model(dtype, seed=7)
    optimizer = CASES[name](list(net.parameters()))
    net.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    return net, optimizer


def checkpoint(net, optimizer):
    saved = {"model": net.state_dict(), "optimizer": optimizer.state_dict()}
    return through_a_file(saved)


@every_case
@pytest.mark.parametrize("at", ["y", "x"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_run_cut_by_save_and_load_is_bit_equal(name, dtype, at):
    net = model(dtype)
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(7))
    if at == "x":
        optimizer.eval()
    saved = checkpoint(net, optimizer)
    optimizer.train()
    train(optimizer, net, range(7, 15))
    other_net, other = resumed(name, saved, dtype)
    assert other.holds == at
    other.train()
    train(other, other_net, range(7, 15))
    assert torch.equal(points(net), points(other_net))
    with optimizer.averaged(), other.averaged():
        assert torch.equal(points(net), points(other_net))


@every_case
def test_the_optimizer_may_be_loaded_before_the_model(name):
    net = model()
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(5))
    saved = checkpoint(net, optimizer)
    train(optimizer, net, range(5, 8))
    other_net = model(seed=7)
    other = CASES[name](list(other_net.parameters()))
    other.load_state_dict(saved["optimizer"])
    other_net.load_state_dict(saved["model"])
    train(other, other_net, range(5, 8))
    assert torch.equal(points(net), points(other_net))


@every_case
def test_a_model_at_x_with_a_state_at_y_raises_with_the_remedy(name):
    if name in ONE_POINT:
        pytest.skip("x and y are one point")
    net = model()
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(7))
    saved = {"optimizer": copy.deepcopy(optimizer.state_dict())}
    optimizer.eval()
    saved["model"] = copy.deepcopy(net.state_dict())
    for use in (
        lambda net, o: one(o, net, 7),
        lambda net, o: o.eval(),
        lambda net, o: o.train(),
        lambda net, o: o.state_dict(),
        lambda net, o: o.averaged_state_dict(net),
    ):
        other_net, other = resumed(name, saved)
        with pytest.raises(RuntimeError, match=r"not the point y.*declare\('x'\)"):
            use(other_net, other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", ["sgd", "adamw", "around adamw", "plus"])
def test_declaring_x_repairs_the_mismatch(name, dtype):
    net = model(dtype)
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(7))
    saved = {"optimizer": copy.deepcopy(optimizer.state_dict())}
    optimizer.eval()
    saved["model"] = copy.deepcopy(net.state_dict())
    optimizer.train()
    other_net, other = resumed(name, saved, dtype)
    other.declare("x").train()
    torch.testing.assert_close(points(net), points(other_net), rtol=1e-12, atol=1e-12)
    train(other, other_net, range(7, 9))


def test_declaring_x_without_z_is_refused():
    net = model()
    optimizer = CASES["sgd, beta 0"](list(net.parameters()))
    train(optimizer, net, range(3))
    with pytest.raises(InputError, match="parameters are z"):
        optimizer.declare("x")
    with pytest.raises(InputError, match="point 'w'"):
        optimizer.declare("w")


def test_declaring_y_accepts_changed_parameters():
    net = model()
    optimizer = CASES["adamw"](list(net.parameters()))
    train(optimizer, net, range(3))
    saved = checkpoint(net, optimizer)
    net, optimizer = resumed("adamw", saved)
    with torch.no_grad():
        net.scale.mul_(2)
    optimizer.declare("y")
    one(optimizer, net, 3)


def test_a_checkpoint_names_its_point():
    net = model()
    optimizer = CASES["adamw"](list(net.parameters()))
    train(optimizer, net, range(3))
    assert optimizer.state_dict()["param_groups"][0]["holds"] == "y"
    with optimizer.averaged():
        assert optimizer.state_dict()["param_groups"][0]["holds"] == "x"


def test_a_state_in_memory_is_not_changed_by_training():
    net = model()
    optimizer = CASES["adamw"](list(net.parameters()))
    train(optimizer, net, range(3))
    state = optimizer.state_dict()
    train(optimizer, net, range(3, 5))
    assert state["param_groups"][0]["averaged_steps"] == 3
    assert state["state"][0]["updates"] == 3
    assert "holds" not in optimizer.param_groups[0]


def test_the_state_of_another_optimizer_is_refused():
    net = model()
    optimizer = CASES["adamw"](list(net.parameters()))
    with pytest.raises(InputError, match="not saved by ScheduleFreeAdamW"):
        optimizer.load_state_dict(torch.optim.AdamW(net.parameters()).state_dict())
    wrapper = CASES["around adamw"](list(net.parameters()))
    with pytest.raises(InputError, match="no base optimizer' and not around 'AdamW'; wrap"):
        wrapper.load_state_dict(optimizer.state_dict())


@pytest.mark.parametrize("name", ["sgd", "adamw", "plus", "around adamw"])
def test_low_precision_state_stays_float32_through_a_checkpoint(name):
    net = model(torch.bfloat16)
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(3))
    _, other = resumed(name, checkpoint(net, optimizer), torch.bfloat16)
    for state in other.state.values():
        dtypes = {k: t.dtype for k, t in state.items() if isinstance(t, torch.Tensor)}
        assert set(dtypes.values()) == {torch.float32}, dtypes


@every_case
def test_pickling_keeps_everything(name):
    net = model()
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(4))
    twin, other = pickle.loads(pickle.dumps((list(net.parameters()), optimizer)))
    for p, q in zip(net.parameters(), twin, strict=True):
        p.grad = q.grad = torch.ones_like(p)
    for each in (optimizer, other):
        each.step(loss=0.5) if hasattr(each, "clipped") else each.step()
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), twin, strict=True))


@pytest.mark.parametrize("name", [n for n in CASES if n not in WITHOUT_AVERAGE])
def test_training_goes_on_from_an_export_of_x(name):
    net = model()
    optimizer = CASES[name](list(net.parameters()))
    train(optimizer, net, range(5))
    other_net = model(seed=3)
    other_net.load_state_dict(optimizer.averaged_state_dict(net))
    with optimizer.averaged():
        assert torch.equal(points(net), points(other_net))
        torch.testing.assert_close(loss_of(net, 0), loss_of(other_net, 0))


def test_a_scheduler_resumes_with_its_optimizer():
    def make(net):
        optimizer = optim.ScheduleFree(torch.optim.SGD(net.parameters(), lr=0.1))
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(t / 6, 1))

    def run(net, optimizer, scheduler, steps):
        for t in steps:
            one(optimizer, net, t)
            scheduler.step()

    net = model()
    optimizer, scheduler = make(net)
    run(net, optimizer, scheduler, range(4))
    saved = through_a_file([net.state_dict(), optimizer.state_dict(), scheduler.state_dict()])
    run(net, optimizer, scheduler, range(4, 9))
    other_net = model(seed=7)
    other, other_scheduler = make(other_net)
    for thing, state in zip((other_net, other, other_scheduler), saved, strict=True):
        thing.load_state_dict(state)
    run(other_net, other, other_scheduler, range(4, 9))
    assert torch.equal(points(net), points(other_net))
    assert other.base_optimizer.param_groups[0]["lr"] == 0.1
