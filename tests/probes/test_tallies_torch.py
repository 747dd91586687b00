"""Inner products that the step itself takes along are those that are taken around it."""

import numpy as np
import pytest
import torch
from networks import batch, joined, loss_of, network, table

from sftheory.core.registry import Entry
from sftheory.optim import GPAAdamW, ScheduleFreeAdamW, ScheduleFreePlus, ScheduleFreeSGD
from sftheory.probes import probe
from sftheory.probes.metrics import METRICS
from sftheory.probes.tallying import Tally

OPTIMIZERS = {
    "sgd": lambda p, **k: ScheduleFreeSGD(p, lr=0.3, momentum=0.8, **k),
    "primal": lambda p, **k: ScheduleFreeSGD(p, lr=0.3, momentum=1.0, **k),
    "adamw": lambda p, **k: ScheduleFreeAdamW(p, lr=0.02, weight_decay=0.1, warmup_steps=3, **k),
    "momentum": lambda p, **k: ScheduleFreeAdamW(p, lr=0.02, inner_momentum=0.5, **k),
    "gpa": lambda p, **k: GPAAdamW(p, lr=0.02, **k),
    "plus": lambda p, **k: ScheduleFreePlus(p, sf_beta1_anneal_steps=4, **k),
}


NORMS = [
    "weight_norm.x",
    "weight_norm.y",
    "weight_norm.z",
    "grad_norm",
    "update_norm",
]


def rows(
    make, change=None, *, summed, dtype=torch.float64, steps=5, net=network, every=1, metrics=None
):
    """The log of a short run, with the step's own sums or without, and the end of the run."""
    model = net(dtype)
    optimizer = make(model.parameters(), compile=True)
    if not summed:
        optimizer.tallies = ()
    with probe(optimizer, model, every=every, metrics=metrics) as log:
        products = log._plan.products
        assert isinstance(products, Tally) == summed
        assert not summed or products.few == (metrics is NORMS)
        for t in range(steps):
            optimizer.zero_grad()
            loss = loss_of(model, batch(t, dtype=dtype))
            loss.backward()
            if change is not None:
                change(model, t)
            if isinstance(optimizer, ScheduleFreePlus):
                optimizer.step(loss=loss)
            else:
                optimizer.step()
            assert optimizer.tally is None
    return table(log), [p.detach().clone() for p in model.parameters()]


def expect_equal(found, expected, rel):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        close = value if value is None else pytest.approx(value, rel=rel, abs=1e-12)
        assert found[key] == close, key


def wide(dtype):
    """Tensors of several blocks, one with 11 entries more than fill the lanes of the last."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(5, 40_011), torch.nn.Tanh(), torch.nn.Linear(40_011, 4)
    ).to(dtype)


@pytest.mark.parametrize("net", [network, wide])
@pytest.mark.parametrize(("every", "metrics"), [(1, None), (2, None), (1, NORMS)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_sums_of_the_step_are_those_around_it(name, every, metrics, net):
    more = {"every": every, "metrics": metrics, "net": net}
    found, end = rows(OPTIMIZERS[name], summed=True, **more)
    expected, other = rows(OPTIMIZERS[name], summed=False, **more)
    expect_equal(found, expected, 1e-9)  # float64 sums in another order; small updates cancel
    assert all(torch.equal(p, q) for p, q in zip(end, other, strict=True))


def clip(model, t):
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)


def forget_one(model, t):
    if t in (0, 1, 3):
        next(model.parameters()).grad = None


def forget_all(model, t):
    if t == 2:
        model.zero_grad()


@pytest.mark.parametrize("change", [clip, forget_one, forget_all])
def test_clipped_and_missing_gradients_are_seen_as_they_are(change):
    found, _ = rows(OPTIMIZERS["adamw"], change, summed=True)
    expected, _ = rows(OPTIMIZERS["adamw"], change, summed=False)
    true = {"grad_norm", "grad_ratio", "grad_ratio.x", "lr_times_g2"}
    if change is not clip:  # then a gradient that goes between backward() and step() is missed once
        lost = [key for key, value in expected.items() if value is not None and found[key] is None]
        assert {metric for _, _, metric in lost} <= true and len({t for t, *_ in lost}) <= 1
        expected.update(dict.fromkeys(lost))
    expect_equal(found, expected, 1e-9)


def test_a_gradient_that_is_changed_for_the_first_time_is_missed_once_and_never_wrong():
    def spike(model, t):
        if t in (3, 5):
            clip(model, t)

    found, _ = rows(OPTIMIZERS["adamw"], spike, summed=True, steps=6)
    expected, _ = rows(OPTIMIZERS["adamw"], spike, summed=False, steps=6)
    norms = [found[t, "", "grad_norm"] for t in range(6)]
    assert [norm is None for norm in norms] == [False, False, False, True, False, False]
    known = {key: value for key, value in expected.items() if found[key] is not None}
    expect_equal({key: found[key] for key in known}, known, 1e-9)


@pytest.mark.parametrize("metrics", [None, NORMS], ids=["all", "norms"])
@pytest.mark.parametrize("threads", [1, 2])
def test_large_tensors_are_summed_over_blocks_and_threads(threads, metrics):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        more = {"dtype": torch.float32, "net": wide, "steps": 3, "metrics": metrics}
        found, end = rows(OPTIMIZERS["adamw"], summed=True, **more)
        expected, other = rows(OPTIMIZERS["adamw"], summed=False, **more)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(p, q) for p, q in zip(end, other, strict=True))
    some = ("weight_norm", "update_norm.x", "distance.z", "grad_norm", "angle", "z_minus_x")
    for metric in metrics or some:
        for module in ("", "0", "2"):
            ours, theirs = ([r[t, module, metric] for t in range(3)] for r in (found, expected))
            np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=1e-6)  # float32 differences


def test_a_metric_that_the_step_cannot_sum_is_taken_around_it():
    model = network()
    optimizer = ScheduleFreeSGD(model.parameters(), compile=True)
    with probe(optimizer, model, metrics=["cosine.x"]) as log:
        assert not isinstance(log._plan.products, Tally)


@pytest.mark.parametrize("summed", [True, False])
def test_a_metric_may_ask_for_a_difference_after_the_step(monkeypatch, summed):
    METRICS.load()
    ask = {"grad_norm": ("used", "z-y"), "z_minus_x": ("dw", "z-x")}
    for name, pair in ask.items():
        metric = Entry(name, lambda s, pair=pair: s.dot(*pair), facts={})
        monkeypatch.setitem(METRICS._entries, name, metric)
    model = network()
    optimizer = ScheduleFreeAdamW(model.parameters(), lr=0.1, betas=(0.5, 0.9), compile=True)
    names = [*ask] if not summed else ["grad_norm"]
    with probe(optimizer, model, metrics=names, modules=[""]) as log:
        assert isinstance(log._plan.products, Tally) == summed
        for t in range(3):
            optimizer.zero_grad()
            loss_of(model, batch(t)).backward()
            y = joined(list(model.parameters()), range(4))
            g = joined([p.grad for p in model.parameters()], range(4))
            z = joined([optimizer.state[p].get("z", p) for p in model.parameters()], range(4))
            optimizer.step()
    dw, x = joined(list(model.parameters()), range(4)) - y, 2 * y - z  # y = (z + x) / 2
    found = table(log)
    assert found[2, "", "grad_norm"] == pytest.approx(float(g @ (z - y)), rel=1e-11)
    if not summed:
        assert found[2, "", "z_minus_x"] == pytest.approx(float(dw @ (z - x)), rel=1e-11)


@pytest.mark.parametrize("make", [OPTIMIZERS["adamw"], OPTIMIZERS["plus"]], ids=["adamw", "plus"])
def test_rows_are_the_same_whenever_they_are_asked_for(make):
    def asked(often):
        model = network()
        optimizer = make(model.parameters(), compile=True)
        with probe(optimizer, model) as log:
            for t in range(70):  # more than are stored
                optimizer.zero_grad()
                for part in range(1 + (t % 5 == 3)):  # kinds of steps change
                    loss = loss_of(model, batch(t + part))
                    log.observe(loss)
                    loss.backward()
                optimizer.step(**({"loss": loss} if make is OPTIMIZERS["plus"] else {}))
                if often:
                    log.frame()
        return table(log)

    assert asked(often=True) == asked(often=False)


def test_a_step_that_raises_leaves_nothing_behind():
    model = network()
    optimizer = ScheduleFreeAdamW(model.parameters(), nonfinite="raise", compile=True)
    with probe(optimizer, model) as log:
        loss_of(model, batch(0)).backward()
        next(model.parameters()).grad[0] = torch.nan
        with pytest.raises(FloatingPointError):
            optimizer.step()
        for t in range(2):
            optimizer.zero_grad()
            loss_of(model, batch(t)).backward()
            optimizer.step()
    assert optimizer.tally is None and log.step == 2
    assert all(np.isfinite(table(log)[t, "", "update_norm"]) for t in range(2))


@pytest.mark.parametrize("metrics", [None, NORMS], ids=["all", "norms"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_two_probes_on_one_optimizer_see_the_same(name, metrics):
    found = []
    for alone in (True, False):
        model = network()
        optimizer = OPTIMIZERS[name](model.parameters())
        one = probe(optimizer, model, metrics=metrics)
        others = [] if alone else [probe(optimizer, model, every=2), probe(optimizer, model)]
        for t in range(6):
            optimizer.zero_grad()
            loss = loss_of(model, batch(t))
            loss.backward()
            optimizer.step(**({"loss": loss} if name == "plus" else {}))
            if t == 3:
                for other in others:
                    other.close()
        found.append(table(one))
        assert optimizer.tally is None
    assert found[0].keys() == found[1].keys()
    for key, value in found[0].items():
        close = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-9)
        assert found[1][key] == close, key
