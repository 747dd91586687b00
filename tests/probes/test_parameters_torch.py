"""Which parameters and names a probe sees."""

import math
import subprocess
import sys

import polars as pl
import pytest
import torch
from networks import batch, joined, loss_of, network, table, train

from sftheory.core.errors import InputError
from sftheory.optim import ScheduleFreeAdamW
from sftheory.probes import probe

ROUNDING = 1e-11


def sgd(model, **kwargs):
    return torch.optim.SGD(model.parameters(), lr=0.1, **kwargs)


def test_every_module_with_parameters_of_its_own_is_logged_and_the_whole():
    model = network()
    with probe(sgd(model), model, metrics=["weight_norm"]) as log:
        assert [module for module, _ in log._plan.keys] == ["", "0", "2.0", "2.1"]


def test_rows_are_the_steps_taken_before_and_every_kth_is_logged():
    model = network()
    optimizer = sgd(model)
    with probe(optimizer, model, every=3, metrics=["weight_norm"], modules=[""]) as log:
        points = [[p.detach().clone() for p in model.parameters()], *train(model, optimizer, 8)]
    frame = log.frame()
    assert frame.columns == ["step", "module", "metric", "value"]
    assert frame.schema == {
        "step": pl.Int64,
        "module": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
    }
    assert frame["step"].to_list() == [0, 3, 6]
    for step, value in zip(frame["step"], frame["value"], strict=True):
        norm = float(joined(points[step], range(4)).norm())
        assert value == pytest.approx(norm, rel=ROUNDING)


def test_a_resumed_run_goes_on_counting_where_it_is_told():
    model = network()
    optimizer = sgd(model)
    with probe(optimizer, model, every=5, metrics=["weight_norm"], modules=[""]) as log:
        log.step = 8
        train(model, optimizer, 4)
    assert log.frame()["step"].to_list() == [10]


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_no_row_is_lost_when_the_buffer_fills(rows):
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with probe(optimizer, model, metrics=["weight_norm"], modules=[""]) as log:
        model.weight.data.fill_(0.0)
        for _ in range(rows):
            model.weight.grad = -torch.ones(1, 1)
            optimizer.step()
    frame = log.frame()
    assert frame["step"].to_list() == frame["value"].to_list() == list(range(rows))
    assert log.frame().equals(frame)


@pytest.mark.parametrize("make", [sgd, lambda m: ScheduleFreeAdamW(m.parameters(), lr=0.01)])
def test_an_added_group_joins_with_its_own_start(make):
    model = network()
    first = list(model[0].parameters())
    optimizer = make(model[0])
    with probe(optimizer, model, metrics=["distance", "weight_norm", "grad_norm"]) as log:
        train(model, optimizer, 2)
        optimizer.add_param_group({"params": list(model[2].parameters())})
        start = [p.detach().clone() for p in model[2].parameters()]
        optimizer.zero_grad()
        points = [[p.detach().clone() for p in model.parameters()]]
        points += train(model, optimizer, 2, start=2)
    found = table(log)
    assert (1, "2.0", "distance") not in found
    assert found[0, "", "weight_norm"] != found[2, "", "weight_norm"]
    assert found[2, "2.0", "distance"] == 0 and found[2, "0", "distance"] > 0
    moved = joined(points[1], [2]) - joined(start, [0])
    assert found[3, "2.0", "distance"] == pytest.approx(float(moved.norm()), rel=ROUNDING)
    assert found[3, "2.0", "grad_norm"] > 0
    assert len(log.tableau(1).gamma) == 2 and len(log.tableau(0).gamma) == 4
    assert len(first) == 2


def test_metrics_are_over_the_parameters_that_the_optimizer_holds():
    model = network()
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    with probe(optimizer, model, metrics=["weight_norm"]) as log:
        expected = float(joined(list(model[0].parameters()), range(2)).norm())
        train(model, optimizer, 1)
    assert table(log) == {
        (0, "", "weight_norm"): pytest.approx(expected, rel=ROUNDING),
        (0, "0", "weight_norm"): pytest.approx(expected, rel=ROUNDING),
    }


class Tied(torch.nn.Module):
    """Input and output share one matrix."""

    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Linear(5, 5, bias=False)
        self.inner = torch.nn.Linear(5, 5)
        self.out = torch.nn.Linear(5, 5, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x):
        return self.out(torch.tanh(self.inner(self.embed(x))))


def test_tied_weights_are_in_both_modules_and_once_in_the_whole():
    torch.manual_seed(0)
    model = Tied().double()
    optimizer = sgd(model)
    with probe(optimizer, model, metrics=["weight_norm", "grad_norm"]) as log:
        weight, inner = (
            model.embed.weight.detach().norm(),
            joined(list(model.inner.parameters()), range(2)),
        )
        whole = float((weight**2 + inner @ inner).sqrt())
        model(batch(0)).square().sum().backward()
        gradient = float(model.out.weight.grad.norm())
        optimizer.step()
    found = table(log)
    assert found[0, "", "weight_norm"] == pytest.approx(whole, rel=ROUNDING)
    for module in ("embed", "out"):
        assert found[0, module, "weight_norm"] == pytest.approx(
            float(weight.detach()), rel=ROUNDING
        )
        assert found[0, module, "grad_norm"] == pytest.approx(gradient, rel=ROUNDING)


def test_channels_last_weights_have_the_norms_of_their_entries():
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimizer = sgd(model)
    before = model.weight.detach().double().clone()
    with probe(optimizer, model, modules=["weight"]) as log:
        model(torch.randn(2, 3, 8, 8)).square().mean().backward()
        g = model.weight.grad.double().clone()
        optimizer.step()
    found = table(log)
    change = model.weight.detach().double() - before
    cosine = -(change * g).sum() / change.norm() / g.norm()
    assert found[0, "weight", "update_norm"] == pytest.approx(float(change.norm()), rel=1e-6)
    assert found[0, "weight", "cosine"] == pytest.approx(float(cosine), rel=1e-6)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_compiled_model_has_its_own_names_and_values(backend, inside):
    model, plain = network(), network()
    if inside:
        compiled = model
        compiled[0] = torch.compile(model[0], backend=backend)
    else:
        compiled = torch.compile(model, backend=backend)
    one, other = sgd(compiled), sgd(plain)
    with probe(one, compiled) as log, probe(other, plain) as reference:
        train(compiled, one, 2)
        train(plain, other, 2)
    found, expected = table(log), table(reference)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        close = value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)
        assert found[key] == close


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")
def test_a_compiled_step_is_logged_as_a_plain_one():
    model, plain = network(), network()
    one, other = sgd(model), sgd(plain)
    step = torch.compile(one.step, backend="eager")
    with probe(one, model) as log, probe(other, plain) as reference:
        for t in range(3):
            one.zero_grad()
            loss_of(model, batch(t)).backward()
            step()
        train(plain, other, 3)
    rounding = {"rel": 1e-12, "abs": 1e-15, "nan_ok": True}  # other kernels, other last bits
    found, wanted = (
        {key: math.nan if value is None else value for key, value in table(one).items()}
        for one in (log, reference)
    )
    assert found == pytest.approx(wanted, **rounding)


MISTAKES = {
    "metric": (dict(metrics=["weight_nrm"]), "did you mean 'weight_norm'"),
    "suffix": (dict(metrics=["weight_norm.w"]), "a suffix is .x, .y or .z"),
    "no sequence": (dict(metrics=["grad_norm.x"]), "needs a metric of a sequence"),
    "no metric": (dict(metrics=[]), "name at least one"),
    "one metric": (dict(metrics="angle"), "pass a list"),
    "module": (dict(modules=["2.0.weigth"]), "did you mean '2.0.weight'"),
    "one module": (dict(modules="0"), "pass a list"),
    "every zero": (dict(every=0), "whole number >= 1"),
    "every half": (dict(every=0.5), "whole number >= 1"),
    "sink": (dict(sink="log.txt"), "rename it"),
    "sink object": (dict(sink=3), "pass a path"),
    "f_star": (dict(f_star="low"), "f_star must be a finite number"),
    "no module": (dict(modules=[]), "modules is empty"),
    "module without parameters": (dict(modules=["1"]), "has no parameter that the optimizer holds"),
    "number as a metric": (dict(metrics=[3]), "no metric '3'"),
    "loss": (dict(metrics=["sharpness"], loss=torch.ones(())), "a function without arguments"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_leaves_no_hook(mistake):
    kwargs, sentence = MISTAKES[mistake]
    model = network()
    optimizer = sgd(model)
    with pytest.raises(InputError) as error:
        probe(optimizer, model, **kwargs)
    assert sentence in str(error.value)
    assert not optimizer._optimizer_step_pre_hooks
    assert not any(p._post_accumulate_grad_hooks for p in model.parameters())


def test_an_optimizer_of_another_model_is_refused():
    with pytest.raises(InputError, match="4 of the optimizer's 4 parameters are not the model's"):
        probe(sgd(network()), network())


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(InputError, match=r"needs a torch.optim.Optimizer, but got Linear"):
        probe(torch.nn.Linear(1, 1), network())  # pyright: ignore


def test_a_tableau_is_asked_for_after_a_step_and_of_a_group_that_exists():
    model = network()
    optimizer = sgd(model)
    log = probe(optimizer, model)
    with pytest.raises(InputError, match=r"after optimizer\.step"):
        log.tableau()
    train(model, optimizer, 1)
    with pytest.raises(InputError, match="no group 1"):
        log.implied_schedule(1)


LOSSES = {
    "number": lambda model: lambda: loss_of(model, batch(0)).item(),
    "nothing": lambda model: lambda: None,
    "vector": lambda model: lambda: model(batch(0)).sum(1),
    "detached": lambda model: lambda: loss_of(model, batch(0)).detach(),
}


@pytest.mark.parametrize("wrong", LOSSES)
def test_a_loss_that_has_no_curvature_is_told_before_anything_moves(wrong):
    model = network()
    optimizer = sgd(model)
    probe(optimizer, model, metrics=["sharpness"], loss=LOSSES[wrong](model))
    before = [p.detach().clone() for p in model.parameters()]
    loss_of(model, batch(0)).backward()
    with pytest.raises(InputError, match="must return one number with its graph, but gave"):
        optimizer.step()
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("loss", ["a", torch.ones(3), None], ids=str)
def test_a_loss_that_is_no_number_is_not_observed(loss):
    model = network()
    with probe(sgd(model), model) as log, pytest.raises(InputError, match="The loss must be"):
        log.observe(loss)


def test_what_is_no_model_and_no_step_is_refused():
    model = network()
    with pytest.raises(InputError, match="pass the model itself"):
        probe(sgd(model), model.parameters())
    with probe(sgd(model), model) as log, pytest.raises(InputError, match="step must be a whole"):
        log.step = -3


UNCLOSED = """
import gc, sys, torch, sftheory
def run():
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    log = sftheory.probe(optimizer, model, metrics=["grad_norm"], modules=[""], sink=sys.argv[1])
    for _ in range(70):
        optimizer.zero_grad()
        model(torch.ones(3)).square().sum().backward()
        optimizer.step()
    return log, optimizer
kept = run()
if sys.argv[2] == "collected":
    del kept
    gc.collect()
    print(sum(1 for _ in open(sys.argv[1])))
"""


@pytest.mark.parametrize("how", ["collected", "at the end"])
def test_rows_of_a_probe_that_nobody_closed_are_written(how, tmp_path):
    words = [sys.executable, "-c", UNCLOSED, str(tmp_path / "log.jsonl"), how]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == ("70" if how == "collected" else "")
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 70
