"""Every metric against its definition, evaluated on copies of the parameters."""

import math
from collections import defaultdict

import numpy as np
import pytest
import schedulefree
import torch
from networks import batch, joined, loss_of, members, network, table

from sftheory.core.errors import InputError
from sftheory.core.registry import Entry
from sftheory.optim import (
    GPAAdamW,
    PolyakScheduleFreeSGD,
    ScheduleFree,
    ScheduleFreeAdamW,
    ScheduleFreePlus,
    ScheduleFreeSGD,
)
from sftheory.probes import METRICS, probe
from sftheory.probes.reading import asked_by

MODULES = ["", "0", "0.weight", "2", "2.0", "2.1"]
STEPS = 4
ROUNDING = 1e-11  # of float64 sums over 80 entries, and of quotients of them

PLAIN = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.02),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
}
AVERAGED = {
    "published sgd": lambda p: schedulefree.SGDScheduleFree(p, lr=0.3, momentum=0.8),
    "published adamw": lambda p: schedulefree.AdamWScheduleFree(p, lr=0.02, warmup_steps=3, r=1.0),
    "published loop": lambda p: schedulefree.AdamWScheduleFree(p, lr=0.02, foreach=False),
    "sgd": lambda p: ScheduleFreeSGD(p, lr=0.3, momentum=0.8),
    "polyak": lambda p: ScheduleFreeSGD(p, lr=0.3, momentum=0.0),
    "primal": lambda p: ScheduleFreeSGD(p, lr=0.3, momentum=1.0),
    "adamw": lambda p: ScheduleFreeAdamW(p, lr=0.02, warmup_steps=3, weight_decay=0.1),
    "gpa": lambda p: GPAAdamW(p, lr=0.02),
    "wrapped": lambda p: ScheduleFree(torch.optim.RMSprop(p, lr=0.02)),
}


def two_groups(model):
    decays = [p for p in model.parameters() if p.ndim == 2]
    return [{"params": decays}, {"params": [p for p in model.parameters() if p.ndim != 2]}]


class Shadow:
    """x, y, z by their definition, from the parameters and the averages the optimizer exports."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer

    def points(self):
        y = [p.detach().clone() for p in self.model.parameters()]
        if not hasattr(self.optimizer, "eval"):
            return {"": y}
        self.optimizer.eval()
        x = [p.detach().clone() for p in self.model.parameters()]
        self.optimizer.train()
        for p, value in zip(self.model.parameters(), y, strict=True):
            p.data.copy_(value)  # the published package comes back with rounding
        state = self.optimizer.state
        z = [state[p].get("z", p).detach().clone() for p in self.model.parameters()]
        return {"": y, "y": y, "x": x, "z": z}


def definitions(point, before, after, start, g, used, loss, gamma, is_whole):
    """The value of every metric from copies of one module's entries; None is null."""
    w, new = before.get(point), after.get(point)
    if w is None:
        return defaultdict(lambda: None)
    change = new - w

    def over(a, b):
        return None if b == 0 else float(a / b)

    unit, other = w / w.norm(), new / new.norm()
    base = after.get("z", after[""]) - before.get("z", before[""])
    has = "z" in before
    ahead = g @ (before["z"] - before["y"]) if has else 0.0
    return {
        "weight_norm": float(w.norm()),
        "grad_norm": float(g.norm()),
        "update_norm": float(change.norm()),
        "update_ratio": over(change.norm(), w.norm()),
        "grad_ratio": over(g.norm(), w.norm()),
        "angle": 2 * math.asin(float((unit - other).norm()) / 2),
        "cosine": over(-(change @ used), change.norm() * used.norm()),
        "distance": float((w - start).norm()),
        "z_minus_x": float((before["z"] - before["x"]).norm()) if has else None,
        "lr_over_w2": over(gamma, w @ w),
        "lr_times_g2": float(gamma * (g @ g)),
        "rms_update": over(base.norm(), gamma * math.sqrt(len(w))),
        "polyak_numerator": float(loss - 0.25 + ahead) if is_whole else None,
    }


def gamma_of(optimizer):
    group = optimizer.param_groups[0]
    return group.get("scheduled_lr", group["lr"])


def run(make, metrics):
    model = network()
    optimizer = make(two_groups(model))
    if hasattr(optimizer, "train"):
        optimizer.train()
    shadow, seen = Shadow(model, optimizer), []
    with probe(optimizer, model, metrics=metrics, modules=MODULES, f_star=0.25) as log:
        start = shadow.points()[""]
        for t in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(model, batch(t))
            loss.backward()
            true = [p.grad.clone() for p in model.parameters()]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            used = [p.grad.clone() for p in model.parameters()]
            before = shadow.points()
            log.observe(loss)
            optimizer.step()
            seen.append((before, shadow.points(), start, true, used, loss, gamma_of(optimizer)))
    return model, table(log), seen


@pytest.mark.parametrize(
    "make",
    [*PLAIN.values(), *AVERAGED.values()],
    ids=[*PLAIN, *(f"averaged {name}" for name in AVERAGED)],
)
def test_every_metric_is_its_definition_on_copies(make):
    suffixed = [
        entry.name + point
        for entry in METRICS
        for point in ("", ".x", ".y", ".z")
        if not (entry.facts or {}).get("sampled") and (not point or entry.facts.get("sequence"))
    ]
    checked = [n for n in suffixed if n not in ("effective_lr_y", "noise_scale")]  # tested below
    model, found, seen = run(make, checked)
    for t, (before, after, start, true, used, loss, gamma) in enumerate(seen):
        for module in MODULES:
            where = members(model, module)
            points = [{k: joined(v, where) for k, v in both.items()} for both in (before, after)]
            same = [joined(tensors, where) for tensors in (start, true, used)]
            expected = {
                point: definitions(point, *points, *same, loss.item(), gamma, module == "")
                for point in ("", "x", "y", "z")
            }
            for name in checked:
                base, _, point = name.partition(".")
                value, wanted = found[t, module, name], expected[point][base]
                if wanted is None:
                    assert value is None, (t, module, name)
                elif base == "angle":  # the arc sine of a difference of unit vectors loses digits
                    assert value == pytest.approx(wanted, abs=1e-7), (t, module, name)
                else:
                    close = pytest.approx(wanted, rel=ROUNDING, abs=1e-12)
                    assert value == close, (t, module, name)


@pytest.mark.parametrize("name", AVERAGED)
def test_the_effective_rate_on_y_is_the_coefficient_of_the_base_step(name):
    # y_{t+1} - y_t = toward (z - y) + rate (z_{t+1} - z_t) / gamma, solved for the rate
    _, found, seen = run(AVERAGED[name], ["effective_lr_y"])
    for t, (before, after, *_, gamma) in enumerate(seen):
        every = range(len(before[""]))
        y, z, new_y, new_z = (joined(p[k], every) for p in (before, after) for k in ("y", "z"))
        columns = torch.stack([z - y, (new_z - z) / gamma], dim=1)
        if (z - y).norm() < 1e-12:  # at the start, and after a step with c = 1
            columns = columns[:, 1:]
        rate = torch.linalg.lstsq(columns, (new_y - y)[:, None]).solution[-1]
        assert found[t, "", "effective_lr_y"] == pytest.approx(float(rate), rel=1e-7)


@pytest.mark.parametrize("make", [AVERAGED["sgd"], AVERAGED["polyak"], AVERAGED["published sgd"]])
def test_x_is_the_start_minus_the_base_updates_weighted_by_the_implied_schedule(make):
    model = network()
    optimizer = make(model.parameters())
    optimizer.train()
    shadow, gradients = Shadow(model, optimizer), []
    start = shadow.points()[""]
    with probe(optimizer, model, every=4, metrics=["weight_norm"]) as log:
        for t in range(STEPS):
            optimizer.zero_grad()
            loss_of(model, batch(t)).backward()
            gradients.append([p.grad.clone() for p in model.parameters()])
            optimizer.step()
    h = log.implied_schedule()
    assert h.shape == (STEPS,)
    for i, x in enumerate(shadow.points()["x"]):
        expected = start[i] - sum(
            float(weight) * g[i] for weight, g in zip(h, gradients, strict=True)
        )
        torch.testing.assert_close(x, expected, rtol=0, atol=1e-13)  # rounding


def test_the_implied_schedule_without_averaging_is_the_learning_rate():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.1 / (t + 1))
    with probe(optimizer, model, every=100) as log:
        for t in range(4):
            loss_of(model, batch(t)).backward()
            optimizer.step()
            scheduler.step()
    np.testing.assert_allclose(log.implied_schedule(), 0.1 / np.arange(1, 5), rtol=1e-15)


def test_a_module_whose_groups_have_different_rates_has_no_rate():
    model = network()
    groups = two_groups(model)
    groups[1]["lr"] = 0.5
    optimizer = torch.optim.SGD(groups, lr=0.1)
    with probe(optimizer, model, metrics=["effective_lr_y"]) as log:
        one_step(optimizer, model)
    found = table(log)
    assert found[0, "", "effective_lr_y"] is None and found[0, "0", "effective_lr_y"] is None
    assert found[0, "2.0", "effective_lr_y"] == 0.1 and found[0, "2.1", "effective_lr_y"] == 0.5


def one_step(optimizer, model):
    loss_of(model, batch(0)).backward()
    optimizer.step()


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9])
def test_a_small_angle_keeps_its_digits_in_float32(size):
    model = torch.nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[3.0, 0.0]])
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with probe(optimizer, model, metrics=["angle"]) as log:
        model.weight.grad = torch.tensor([[0.0, 3 * size]])
        optimizer.step()
    assert table(log)[0, "", "angle"] == pytest.approx(size, rel=1e-6)  # float32


def test_zero_parameters_have_no_angle_and_no_ratio():
    model = torch.nn.Linear(3, 1, bias=False)
    model.weight.data.zero_()
    names = ["angle", "update_ratio", "grad_ratio", "lr_over_w2", "cosine", "weight_norm"]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with probe(optimizer, model, metrics=names) as log:
        model(torch.ones(3)).sum().backward()
        optimizer.step()
    values = {metric: table(log)[0, "", metric] for metric in names}
    assert values.pop("weight_norm") == 0
    assert set(values.values()) == {None}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_norms_of_other_dtypes_are_those_of_their_entries(dtype):
    torch.manual_seed(0)
    model = torch.nn.Linear(600, 500, bias=False, dtype=dtype)  # more than one piece
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25)
    before = model.weight.detach().clone()
    with probe(optimizer, model) as log:
        model.weight.grad = torch.randn_like(model.weight)
        optimizer.step()
    wide = torch.complex128 if dtype.is_complex else torch.float64
    change = model.weight.detach().to(wide) - before.to(wide)
    found = table(log)
    for name, value in {
        "weight_norm": before.to(wide).norm(),
        "grad_norm": model.weight.grad.to(wide).norm(),
        "update_norm": change.norm(),
    }.items():
        # 65,536 float32 terms in at least 16 chains: a random walk of 4096 roundings by 6e-8
        assert found[0, "", name] == pytest.approx(float(value), rel=4e-6)


def test_the_noise_scale_of_known_noise_is_found():
    """Gradients m + e with |m|² = 4, tr Cov e = 50 per backward: scale 12.5."""
    torch.manual_seed(0)
    model = torch.nn.Linear(50, 1, bias=False)
    mean = torch.zeros(50)
    mean[0] = 2.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with probe(optimizer, model, metrics=["noise_scale"]) as log:
        for _ in range(400):
            optimizer.zero_grad()
            for _ in range(4):
                direction = mean + torch.randn(50)
                (model(direction) / 4).sum().backward()
            optimizer.step()
    # 400 steps: 5 % of statistical error in S, more in G, seeded
    assert table(log)[399, "", "noise_scale"] == pytest.approx(12.5, rel=0.15)


def test_a_new_metric_is_one_function_and_its_vectors_are_checked():
    def alignment(s):
        """<g, w> / (‖g‖ ‖w‖)."""
        return s.ratio(s.dot("g", "w"), s.norm("g") * s.norm("w"))

    pairs, _ = asked_by([alignment], has_sequences=False)
    assert set(pairs) == {("g", "w"), ("g", "g"), ("w", "w")}
    with pytest.raises(InputError, match="no vector 'gg'"):
        asked_by([lambda s: s.norm("gg")], has_sequences=False)
    with pytest.raises(InputError, match="ask for a product with 'used'"):
        asked_by([lambda s: s.dot("dw", "g")], has_sequences=True)


def test_a_registered_metric_is_logged(monkeypatch):
    def alignment(s):
        """<g, w> / (‖g‖ ‖w‖)."""
        return s.ratio(s.dot("g", "w"), s.norm("g") * s.norm("w"))

    METRICS.load()
    entry = Entry("grad_norm", alignment, facts={})
    monkeypatch.setitem(METRICS._entries, "grad_norm", entry)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    w = joined(list(model.parameters()), range(4))
    with probe(optimizer, model, metrics=["grad_norm"]) as log:
        loss_of(model, batch(0)).backward()
        g = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
        optimizer.step()
    expected = float(g @ w / g.norm() / w.norm())
    assert table(log)[0, "", "grad_norm"] == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("make", [PolyakScheduleFreeSGD, ScheduleFreePlus])
def test_an_optimizer_that_is_given_the_loss_shows_it_to_the_probe(make):
    model = network()
    optimizer = make(model.parameters(), lr=0.5)
    shadow, start = Shadow(model, optimizer), None
    names, gradients = ["polyak_numerator", "effective_lr_y"], []
    with probe(optimizer, model, metrics=names, modules=["", "0"]) as log:
        for t in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(model, batch(t))
            loss.backward()
            g = [p.grad.clone() for p in model.parameters()]
            before = shadow.points()
            start = start or before[""]
            ahead = joined(g, range(4)) @ (
                joined(before["z"], range(4)) - joined(before["y"], range(4))
            )
            optimizer.step(loss=loss.detach())
            gradients.append(g)
            found = table(log)
            expected = float(loss.detach() + ahead)
            assert found[t, "", "polyak_numerator"] == pytest.approx(expected, rel=ROUNDING)
            assert found[t, "0", "polyak_numerator"] is None
            tableau = log.tableau()
            gamma, beta, c = tableau.gamma[t], tableau.beta[t], tableau.c[t]
            rate = gamma * (1 - beta * (1 - c))
            assert found[t, "", "effective_lr_y"] == pytest.approx(rate, rel=1e-7)
    if make is PolyakScheduleFreeSGD:  # its base step is the gradient
        h = log.implied_schedule()
        for i, x in enumerate(shadow.points()["x"]):
            moved = sum(float(w) * g[i] for w, g in zip(h, gradients, strict=True))
            torch.testing.assert_close(x, start[i] - moved, rtol=0, atol=1e-6)  # a float32 gamma
