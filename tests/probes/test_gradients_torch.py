"""The true gradient under everything that training loops do to gradients."""

import pytest
import schedulefree
import torch
from networks import batch, joined, loss_of, members, network, table

from sftheory import optim
from sftheory.probes import probe

ROUNDING = 1e-11


def gradient(model, x, scale=1.0):
    """The gradient of the loss, taken without touching any .grad."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.autograd.grad(scale * loss_of(model, x), parameters)


def norm(gradients):
    return float(torch.cat([g.double().reshape(-1) for g in gradients]).norm())


def test_clipping_does_not_show_in_the_norm_of_the_gradient():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm", "update_norm", "cosine"]) as log:
        expected = norm(gradient(model, batch(0)))
        loss_of(model, batch(0)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
    found = table(log)
    assert found[0, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)
    assert found[0, "", "update_norm"] == pytest.approx(0.001, rel=1e-3)  # clip adds 1e-6
    assert found[0, "", "cosine"] == pytest.approx(1, rel=ROUNDING)


@pytest.mark.parametrize("passes", [1, 2, 5])
def test_accumulated_gradients_are_read_as_their_sum(passes):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm"]) as log:
        for step in range(2):
            optimizer.zero_grad()
            parts = [gradient(model, batch(i + 9 * step), 1 / passes) for i in range(passes)]
            expected = norm([sum(g) for g in zip(*parts, strict=True)])
            for i in range(passes):
                (loss_of(model, batch(i + 9 * step)) / passes).backward()
            optimizer.step()
            assert table(log)[step, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("passes", [1, 2])
def test_a_gradient_that_was_thrown_away_does_not_count(passes):
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm", "noise_scale"]) as log:
        for step in range(3):
            loss_of(model, batch(50 + step)).backward()
            optimizer.zero_grad()
            expected = norm(
                [
                    sum(g)
                    for g in zip(*(gradient(model, batch(i)) for i in range(passes)), strict=True)
                ]
            )
            for i in range(passes):
                loss_of(model, batch(i)).backward()
            optimizer.step()
            optimizer.zero_grad()
            found = table(log)
            assert found[step, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)
            assert (found[step, "", "noise_scale"] is None) == (passes == 1)


SCALED = {
    "fused": lambda p: torch.optim.AdamW(p, lr=0.01, fused=True),
    "loops": lambda p: torch.optim.AdamW(p, lr=0.01),
    "ours": lambda p: optim.ScheduleFreeAdamW(p, lr=0.01),
    "ours without moments": lambda p: optim.ScheduleFreeSGD(p, lr=0.01),
}


@pytest.mark.parametrize("unscale", [True, False])
@pytest.mark.parametrize("make", SCALED.values(), ids=SCALED)
def test_the_factor_of_a_grad_scaler_is_divided_out(unscale, make):
    model = network(torch.float32)
    optimizer = make(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    names = ["grad_norm", "lr_times_g2", "cosine"]
    with probe(optimizer, model, metrics=names) as log:
        for t in range(5):  # the factor grows on the way
            optimizer.zero_grad()
            x = batch(t, dtype=torch.float32)
            expected = norm(gradient(model, x))
            scaler.scale(loss_of(model, x)).backward()
            if unscale:
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
            found = table(log)
            assert found[t, "", "grad_norm"] == pytest.approx(expected, rel=1e-6)  # float32
            assert found[t, "", "lr_times_g2"] == pytest.approx(0.01 * expected**2, rel=1e-6)
            assert 0 < found[t, "", "cosine"] < 1 + 1e-6
    assert scaler.get_scale() > 1024


def test_a_step_that_the_scaler_skips_is_no_step():
    model = network(torch.float32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=16.0)
    with probe(optimizer, model, metrics=["grad_norm"]) as log:
        for bad in (False, True, False):
            optimizer.zero_grad()
            x = batch(0, dtype=torch.float32)
            loss = loss_of(model, x) * (torch.inf if bad else 1.0)
            expected = norm(gradient(model, x))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert log.step == 2
    assert table(log)[1, "", "grad_norm"] == pytest.approx(expected, rel=1e-6)


def test_a_disabled_scaler_divides_nothing():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with probe(optimizer, model, metrics=["grad_norm"]) as log:
        expected = norm(gradient(model, batch(0)))
        scaler.scale(loss_of(model, batch(0))).backward()
        scaler.step(optimizer)
    assert table(log)[0, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)


def test_a_module_without_gradients_has_no_gradient_norm_until_it_is_unfrozen():
    model = network()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm", "update_norm", "cosine"]) as log:
        for t in range(4):
            if t == 2:
                model[0].requires_grad_(True)
            optimizer.zero_grad()
            loss_of(model, batch(t)).backward()
            true = [p.grad for p in model.parameters()]
            expected = norm([g for g in true if g is not None])
            layer = norm(true[:2]) if t >= 2 else None
            optimizer.step()
            found = table(log)
            assert found[t, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)
            assert (found[t, "0", "grad_norm"] is None) == (t < 2)
            if layer is not None:
                assert found[t, "0", "grad_norm"] == pytest.approx(layer, rel=ROUNDING)
                assert found[t, "0", "cosine"] == pytest.approx(1, rel=ROUNDING)
            else:
                assert found[t, "0", "update_norm"] == 0 and found[t, "0", "cosine"] is None


def test_infinite_gradients_stay_in_their_own_modules():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with probe(optimizer, model, metrics=["grad_norm"]) as log:
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        model[2][1].gain.grad.fill_(torch.inf)
        optimizer.step()
    found = table(log)
    assert found[0, "", "grad_norm"] == torch.inf and found[0, "2.1", "grad_norm"] == torch.inf
    assert found[0, "0", "grad_norm"] == pytest.approx(42**0.5, rel=ROUNDING)


def test_gradients_that_were_put_there_by_hand_are_read_at_the_step():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm", "cosine"]) as log:
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    entries = sum(p.numel() for p in model.parameters())
    assert table(log)[0, "", "grad_norm"] == pytest.approx(entries**0.5, rel=ROUNDING)


@pytest.mark.parametrize("make", [torch.optim.LBFGS, torch.optim.SGD])
def test_of_a_closure_the_first_gradient_counts(make):
    model = network()
    optimizer = make(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm", "cosine"]) as log:
        for t in range(2):
            expected = norm(gradient(model, batch(t)))

            def closure(t=t):
                optimizer.zero_grad()
                loss = loss_of(model, batch(t))
                loss.backward()
                return loss

            optimizer.step(closure)
            assert table(log)[t, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)


def test_a_cosine_survives_an_optimizer_that_overwrites_gradients():
    model = network()
    optimizer = schedulefree.AdamWScheduleFree(model.parameters(), lr=0.01)
    optimizer.train()
    with probe(optimizer, model, metrics=["cosine"], modules=["", "0"]) as log:
        for t in range(3):
            optimizer.zero_grad()
            loss_of(model, batch(t)).backward()
            kept = [p.grad.clone() for p in model.parameters()]
            before = [p.detach().clone() for p in model.parameters()]
            optimizer.step()
            for module in ("", "0"):
                where = members(model, module)
                change = joined(list(model.parameters()), where) - joined(before, where)
                g = joined(kept, where)
                expected = -(change @ g) / (change.norm() * g.norm())
                found = table(log)[t, module, "cosine"]
                assert found == pytest.approx(float(expected), rel=ROUNDING)


def test_a_pass_that_breaks_off_does_not_stop_the_log():
    class Breaks(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError("out of luck")

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["grad_norm"]) as log:
        for t in range(2):
            with pytest.raises(RuntimeError, match="luck"):
                y = model[2](Breaks.apply(torch.tanh(model[0](batch(t)))))
                y.square().sum().backward()
            optimizer.zero_grad()
            expected = norm(gradient(model, batch(t)))
            loss_of(model, batch(t)).backward()
            optimizer.step()
            assert table(log)[t, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)


def test_sparse_gradients_have_a_norm():
    model = torch.nn.Embedding(5, 2, sparse=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with probe(optimizer, model, metrics=["grad_norm", "update_norm"]) as log:
        model(torch.tensor([1, 1, 3])).sum().backward()
        optimizer.step()
    expected = (2 * 2.0**2 + 2 * 1.0) ** 0.5
    assert table(log)[0, "", "grad_norm"] == pytest.approx(expected, rel=1e-6)
    assert table(log)[0, "", "update_norm"] == pytest.approx(expected, rel=1e-6)
