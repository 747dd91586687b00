"""Adapters: the dense model with W + s B A by other ways, and everything a run does, on A and B."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
from processes import together, train_all
from small_runs import corpus, small
from torch.utils.flop_counter import FlopCounterMode

from sftheory import lm
from sftheory.cli import main
from sftheory.core.errors import InputError
from sftheory.lm import checkpoints, loop
from sftheory.lm.adapters import Adapter, adapt, merged_weights, on_base
from sftheory.lm.config import Config
from sftheory.lm.corpus import place
from sftheory.lm.evaluation import Evaluator
from sftheory.lm.lora import LINEAR, TARGETS, Lora
from sftheory.lm.optimizers import OPTIMIZERS
from sftheory.lm.plans import read_sweep
from sftheory.lm.sections import Start
from sftheory.lm.session import Session
from sftheory.lm.sizes import GPT2
from sftheory.lm.starting import tensors_at, weights_at
from sftheory.lm.store import read_rows
from sftheory.lm.tokens import prepare
from sftheory.lm.transformer import Linear, Transformer, hidden_width
from sftheory.methods import ScheduleFree

SHAPE = {"width": 16, "layers": 2, "heads": 2, "context": 16}
SHAPES = {"modern": {}, "gpt2": GPT2, "untied": {"tied": False}}
LORA = {"rank": 3, "alpha": 6.0, "targets": ["qkv", "mlp"]}
OPTIONS = {
    "polyak_schedule_free_sgd": {"lr": 0.1, "weight_decay": 0.0},
    "schedule_free": {"base": "adamw"},
    "schedule_free_plus": {"lr": 1.0, "polyak_beta": 0.5},
}


def config_of(shape=SHAPE, start="base", **lora):
    begin = {"run": start} if start else {}
    return Config.of({"model": shape, "start": begin, "lora": {**LORA, **lora}})


def batch(rows=3, length=17):
    return torch.randint(0, 64, (rows, length), generator=torch.Generator().manual_seed(1))


def adapted(config, dtype=torch.float32):
    """A model with adapters whose B is not zero, and the plain model that it was made of."""
    plain = Transformer(config.model, 64, dtype)
    net = Transformer(config.model, 64, dtype)
    adapt(net, config)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) / 8)
    return net.to(dtype), plain.to(dtype)


def layers(net):
    """Adapters by the name of their layer."""
    return {name: m for name, m in net.named_modules() if isinstance(m, Adapter)}


@pytest.fixture
def base(tmp_path):
    changes = {"run.checkpoints": [8], "averages.names": ["uniform"], "model.layers": 2}
    changes |= {"optimizer.name": "schedule_free_adamw"}
    return lm.train(small(corpus(tmp_path), **changes), out=tmp_path)


def tuned(base, steps=12, **how):
    """Adapters of the base on another text."""
    how = {"lora": LORA, "data": corpus(base.directory.parent, seed=5), **how}
    return lm.branch(base, steps=steps, **how)


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_gradients_are_those_of_the_dense_model(shape):
    config = config_of({**SHAPE, **SHAPES[shape]})
    assert config.lora is not None
    net, plain = adapted(config, torch.float64)
    s = 6.0 / 3
    weights = plain.state_dict()
    for name, layer in layers(net).items():
        weights[f"{name}.weight"] = layer.base + s * layer.B.detach() @ layer.A.detach()
    plain.load_state_dict(weights)
    losses = [model.loss(batch())[0] for model in (net, plain)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses, rtol=1e-14, atol=0)
    dense = dict(plain.named_parameters())
    assert set(layers(net)) == {f"blocks.{i}.{n}" for i in (0, 1) for n in config.lora.layers()}
    for name, layer in layers(net).items():
        G = dense[f"{name}.weight"].grad
        torch.testing.assert_close(layer.A.grad, s * layer.B.T @ G, rtol=1e-10, atol=1e-14)
        torch.testing.assert_close(layer.B.grad, s * G @ layer.A.T, rtol=1e-10, atol=1e-14)


def test_the_kernels_for_processors_give_the_gradients_of_float64():
    config = config_of(targets=["attention", "mlp"])
    fast, slow = adapted(config)[0], adapted(config, torch.float64)[0]
    for net in (fast, slow):
        net.loss(batch())[0].backward()
    for p, q in zip(fast.parameters(), slow.parameters(), strict=True):
        torch.testing.assert_close(p.grad.double(), q.grad, rtol=1e-4, atol=1e-7)


def test_forming_a_matrix_takes_6_r_flops_for_each_of_its_entries_more():
    r, out, into, tokens = 4, 48, 16, 40
    layer = Linear(into, out, False)
    torch.nn.init.normal_(layer.weight)
    frozen = Adapter(layer, r, 2.0, torch.Generator())
    counts = []
    for one in (layer, frozen):
        with FlopCounterMode(display=False) as counter:
            one(torch.ones(tokens, into, requires_grad=True)).sum().backward()
        counts.append(counter.get_total_flops())
    assert counts == [6 * out * into * tokens, 6 * out * into * (tokens + r)]


def test_with_full_rank_and_a_the_identity_a_step_is_the_dense_one():
    config = config_of(rank=16, alpha=16.0, targets=["attention", "into"])
    net, plain = adapted(config, torch.float64)
    with torch.no_grad():
        for layer in layers(net).values():
            layer.A.copy_(torch.eye(16))
            layer.B.zero_()
    names = [f"{name}.weight" for name in layers(net)]
    dense = dict(plain.named_parameters())
    for model, params in ((net, net.parameters()), (plain, [dense[n] for n in names])):
        optimizer = torch.optim.SGD(params, lr=0.5)
        model.loss(batch())[0].backward()
        optimizer.step()
    merged = merged_weights(config.lora, {k: v.detach() for k, v in net.state_dict().items()})
    assert set(merged) == set(plain.state_dict())
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(merged[name], value, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("mlp", ["swiglu", "gelu"])
def test_there_are_r_times_in_plus_out_parameters_for_each_target(target, mlp):
    config = config_of({**SHAPE, "mlp": mlp}, targets=[target])
    d, h, r = 16, hidden_width(config.model), LORA["rank"]
    into = 2 * h if mlp == "swiglu" else h
    sizes = {"attention.qkv": d + 3 * d, "attention.out": d + d}
    sizes |= {"mlp.into": d + into, "mlp.out": h + d}
    wanted = [n for n in LINEAR if target in (n, *n.split("."))]
    found = sum(p.numel() for p in adapted(config)[0].parameters())
    assert found == 2 * r * sum(sizes[n] for n in wanted) > 0


def test_the_targets_are_the_linear_layers_of_the_model():
    names = {name for name, m in Transformer(config_of().model).blocks[0].named_modules()}
    assert set(LINEAR) <= names and set(TARGETS) == {
        *LINEAR,
        "attention",
        "mlp",
        "qkv",
        "into",
        "out",
    }
    linear = {
        n
        for n in names
        if type(Transformer(config_of().model).blocks[0].get_submodule(n)).__name__ == "Linear"
    }
    assert linear == set(LINEAR)


def test_before_its_first_step_a_run_is_its_base_bit_for_bit(base):
    run = lm.branch(base, steps=0, lora=LORA)
    rows = [r.frame().filter(r.frame()["split"] == "val").sort("step") for r in (run, base)]
    at_x = rows[1].filter(rows[1]["average"] == "x")["loss"][-1]
    assert run.config.start.point == "x" and rows[0]["loss"].to_list() == [at_x, at_x]
    for name, value in weights_at(base.config, base.state(), "x").items():
        assert torch.equal(run.model().state_dict()[name], value)
    A = run.state()["model"]["blocks.0.mlp.into.A"]
    assert A.std().item() == pytest.approx(1 / 4, rel=0.3)  # of 48 numbers; in = 16


def test_only_adapters_move(base):
    run = tuned(base, optimizer={"name": "adamw", "lr": 1e-2})
    begun, ended = run.state(12)["model"], run.state()["model"]
    moved = {name for name in ended if not torch.equal(begun[name], ended[name])}
    assert moved == {name for name in ended if name.endswith((".A", ".B"))}
    assert run.loss() < run.frame().filter(run.frame()["split"] == "val").sort("step")["loss"][0]


@pytest.mark.parametrize("point", ["last", "x", "uniform", "lawa:4:2"])
def test_a_merged_model_has_the_losses_of_the_run(base, point):
    run = tuned(base, settings={"averages.names": ["uniform", "lawa:4:2"]})
    model = run.model(point)
    assert all(not isinstance(m, Adapter) for m in model.modules())
    data = run.config.data
    evaluate = Evaluator(model, prepare(data), data.eval_tokens, 4, lambda f: f)
    assert evaluate() == pytest.approx(run.loss(point), abs=1e-6)
    merged = lm.merged(run, point)
    assert all(torch.equal(merged[k], v) for k, v in model.state_dict().items())


def test_merging_takes_x_and_multiplies_the_averaged_factors(base):
    settings = {"averages.names": ["uniform"], "averages.trajectory": 1, "averages.every": 1}
    run = tuned(base, 20, settings=settings, lora={**LORA, "targets": ["qkv"]})
    merged, at_x = lm.merged(run), run.model("x").state_dict()
    assert all(torch.equal(merged[k], v) for k, v in at_x.items())
    frozen = run.state()["model"]["blocks.0.attention.qkv.base"]
    points = torch.stack([theta.float() for _, theta, _ in run.trajectory()])
    A, B = points[:, :192].split([48, 144], dim=1)  # of the first block
    A, B = A.view(-1, 3, 16), B.view(-1, 48, 3)
    of_means = frozen + 2 * B.mean(0) @ A.mean(0)
    mean_of_products = frozen + 2 * (B @ A).mean(0)
    found = lm.merged(run, "uniform")["blocks.0.attention.qkv.weight"]
    rounding = 2**-9 * (found - frozen).abs().max()  # points are stored as bfloat16
    assert (found - of_means).abs().max() < rounding
    assert (found - mean_of_products).abs().max() > 5 * rounding
    later = run.later_average("uniform").state_dict()["blocks.0.attention.qkv.weight"]
    assert (found - later).abs().max() < rounding


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_that_was_cut_ends_with_the_same_bits_without_its_base(
    name, base, tmp_path, monkeypatch
):
    settings = {
        "averages.names": ["uniform", "ema:0.9", "lawa:6:3", "tail:0.5"],
        "averages.trajectory": 4,
        "run.checkpoint_every": 3,
        "run.probe_every": 2,
        "run.probe": ["weight_norm", "grad_norm"],
    }
    optimizer = {"name": name, "lr": 3e-3, **OPTIONS.get(name, {})}
    how = {"optimizer": optimizer, "schedule": "cosine", "settings": settings}
    shutil.copytree(base.directory, tmp_path / "other" / base.id)
    other = lm.load(tmp_path / "other" / base.id)
    whole = tuned(base, 10, **how)
    source, real = corpus(base.directory.parent, seed=5), loop.Loop._after_step

    def dying(self):
        if self.session.step == 20:
            raise KeyboardInterrupt
        real(self)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_after_step", dying)
        with pytest.raises(KeyboardInterrupt):
            tuned(other, 10, data=source, **how)
    shutil.rmtree(other.directory)
    cut = lm.train(whole.config, out=tmp_path / "other")
    assert cut.state_hash == whole.state_hash
    for log in ("metrics", "probe"):
        a, b = (list(read_rows(r.directory / f"{log}.jsonl")) for r in (cut, whole))
        assert a == b and a
    assert cut.model("uniform").state_dict().keys() == base.model().state_dict().keys()


def test_x_is_that_of_the_tableau_on_the_adapters(base):
    gamma, beta = 0.3, 0.8
    sgd = {"name": "schedule_free_sgd", "lr": gamma, "momentum": beta, "weight_decay": 0, "clip": 0}
    run = tuned(base, 9, optimizer=sgd, schedule="constant", point="last")
    tableau = ScheduleFree(beta, start_counts=False).tableau(np.full(9, gamma))
    tokens, plain = prepare(run.config.data), base.model()
    batches = Session(run.config, tokens).batches
    start = run.state(12)["model"]
    z = {k: v.double() for k, v in start.items() if k.endswith((".A", ".B"))}
    x = dict(z)
    plain = plain.double()
    plain.dtype = torch.float64
    for t in range(9):
        b, c = tableau.beta[t], tableau.c[t]
        y = {k: ((1 - b) * z[k] + b * x[k]).requires_grad_() for k in z}
        weights = {k: v.double() for k, v in base.state()["model"].items()}
        for path in {k[:-2] for k in z}:
            weights[f"{path}.weight"] = (
                weights[f"{path}.weight"] + 2 * y[f"{path}.B"] @ y[f"{path}.A"]
            )
        samples = batches((12 + t) * 4, 4)
        logits = torch.func.functional_call(plain, weights, (samples[:, :-1],)).double()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), samples[:, 1:].flatten())
        gradients = torch.autograd.grad(loss, list(y.values()))
        for k, g in zip(y, gradients, strict=True):
            z[k] = z[k] - tableau.gamma[t] * g
            x[k] = (1 - c) * x[k] + c * z[k]
    found = tensors_at(run.config, run.state(), "x")
    moved = max(float((x[k] - start[k]).abs().max()) for k in x)
    for k, value in x.items():  # the run is float32
        torch.testing.assert_close(found[k].double(), value, rtol=0, atol=1e-4 * moved)


def test_a_branch_of_adapters_goes_on_with_them(base):
    how = {"optimizer": {"name": "adamw", "lr": 1e-2}, "settings": {"run.checkpoints": [16]}}
    short, long = (tuned(base, n, **how) for n in (8, 12))
    on = lm.branch(short, steps=4)
    assert on.config.start.point == "state" and on.config.lora == short.config.lora
    assert on.state()["step"] == long.state()["step"] == 24
    for part in ("model", "averages"):
        hashes = [checkpoints.state_hash({"": r.state()[part]}) for r in (on, long)]
        assert hashes[0] == hashes[1]
    none = lm.branch(long, at=16, steps=0)
    assert none.state_hash == checkpoints.state_hash(long.state(16))
    fresh = lm.branch(short, steps=0, point="last")
    for name, value in short.state()["model"].items():
        assert torch.equal(fresh.state()["model"][name], value)


@pytest.mark.parametrize("lora", [False, {"rank": 2, "targets": ["out"]}], ids=["none", "others"])
def test_without_adapters_or_with_others_a_branch_begins_at_the_merged_weights(base, lora):
    run = tuned(base)
    branch = lm.branch(run, steps=0, lora=lora)
    assert (branch.config.lora is None) == (lora is False)
    assert branch.config.start.point == "x"
    merged = lm.merged(run)
    for name, value in branch.model().state_dict().items():
        assert torch.equal(value, merged[name])


def test_without_the_section_the_text_of_a_config_does_not_name_it():
    config = Config.of({"run": {"steps": 7}, "lora": None})
    assert config == Config.of({"run": {"steps": 7}}) and "lora" not in config.to_json()
    sections = {k: v for k, v in config_of().to_dict().items() if k != "lora"}
    text = json.dumps(sections, sort_keys=True, separators=(",", ":"))
    plain = config_of().replaced({"lora": False})
    assert plain.id == hashlib.sha256(text.encode()).hexdigest()[:12] != config_of().id


def test_the_section_survives_files_and_settings(tmp_path):
    config = config_of()
    (tmp_path / "c.toml").write_text(config.to_toml())
    assert Config.read(tmp_path / "c.toml") == config
    changed = Config.of({}).replaced({"lora.rank": 4, "lora.targets": ["mlp"]})
    assert changed.lora == Lora(4, 16.0, ("mlp",))
    assert changed.replaced({"lora": {}}).lora == Lora()


@pytest.mark.parametrize(
    ("lora", "says"),
    [
        ({"rank": 0}, "lora.rank must be a whole number >= 1"),
        ({"alpha": 0}, "lora.alpha=0 would leave every matrix as it is"),
        ({"alpha": -1}, "lora.alpha must be a number >= 0"),
        ({"targets": []}, "lora.targets is empty"),
        ({"targets": ["qvk"]}, "no lora target 'qvk'; did you mean 'qkv'"),
        ({"rnak": 3}, "did you mean 'lora.rank'"),
        ({"rank": 17}, "lora.rank=17 is more than 16, the smaller side of attention.qkv"),
    ],
)
def test_adapters_that_cannot_be_are_told(lora, says):
    with pytest.raises(InputError, match=says):
        adapt(Transformer(config_of().model), config_of(**lora))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"point": "state"}, r"cannot continue with another \[lora\].*set it to 'last'"),
        ({"settings": {"run.parallel": "fsdp"}}, r"'fsdp' is not supported with \[lora\]"),
        ({"settings": {"model.width": 32}}, "model of another shape"),
        ({"settings": {"model.layers": 3}}, "model of another shape"),
        ({"settings": {"data.tokenizer": "bpe:300"}}, "learned anew from the data of the branch"),
        ({"lora": {"rank": 17}}, "lora.rank=17 is more than 16"),
    ],
)
def test_a_branch_with_adapters_that_cannot_be_is_told(base, how, says):
    folders = set(base.directory.parent.iterdir())
    with pytest.raises(InputError, match=says) as raised:
        lm.branch(base, steps=2, **{"lora": LORA, **how})
    assert "\n" not in str(raised.value)
    assert set(base.directory.parent.iterdir()) == folders


def test_adapters_without_a_base_are_told(tmp_path):
    config = small(corpus(tmp_path), **{"lora.rank": 2})
    with pytest.raises(InputError, match=r"\[lora\] adapts a run that was trained before; give"):
        lm.train(config, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_another_rank_in_the_folder_of_a_run_names_what_differs(base):
    run = tuned(base, 2)
    with pytest.raises(InputError, match=r"lora.rank was 3 and is now 4\); use lm.branch"):
        lm.train(run.config.replaced({"lora.rank": 4}), out=run.directory)
    with pytest.raises(InputError, match=r"use lm\.branch"):
        lm.train(run.config, out=base.directory)


def test_the_frozen_weights_of_a_model_are_those_that_it_was_given():
    config = config_of()
    net, plain = adapted(config)[0], Transformer(config.model)
    net.load_state_dict(on_base(net, plain.state_dict()))
    with torch.no_grad():
        for layer in layers(net).values():
            layer.B.zero_()
    merged = merged_weights(config.lora, net.state_dict())
    assert all(torch.equal(merged[k], v) for k, v in plain.state_dict().items())


def test_the_command_line_trains_adapters(base, tmp_path, capsys):
    path, out = tmp_path / "tune.toml", str(base.directory.parent)
    source = corpus(tmp_path, seed=5)
    path.write_text(f'[data]\nsource = "{source}"\n[run]\nsteps = 3\n[lora]\n')
    words = ["train", str(path), "--from", base.id, "--at", "8", "--out", out, "--json"]
    assert main([*words, "--set", "lora.rank=2"]) == 0
    run = lm.load(json.loads(capsys.readouterr().out)["run"])
    assert run.config.lora == Lora(rank=2) and run.step == 11
    same = lm.branch(base, at=8, steps=3, data=source, lora={"rank": 2})
    assert same.id == run.id
    path.write_text("lora = false\n[run]\nsteps = 2\n")
    assert (
        main(["train", str(path), "--from", run.id, "--point", "last", "--out", out, "--json"]) == 0
    )
    assert lm.load(json.loads(capsys.readouterr().out)["run"]).config.lora is None
    assert main(["train", str(path), "--set", "lora.rank=2", "--out", str(tmp_path / "no")]) == 2
    assert "give --from RUN" in capsys.readouterr().err


PLAN = """
[model]
width = 16
layers = 1
heads = 1
context = 8
[data]
limit = 20_000
eval_tokens = 64
[run]
steps = 4
batch = 2
threads = 1
eval_grid = 0.0

[[sweep]]
name = "base"

[[sweep]]
from = "base"
point = "last"
"run.steps" = 3
"lora.rank" = [2, 4]
"lora.targets" = [["mlp"]]
"data.source" = "$SFTHEORY_TEST_TEXT"
"data.limit" = 0
"""


def test_a_plan_tunes_adapters_on_a_corpus_named_by_a_variable(tmp_path, monkeypatch):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    monkeypatch.delenv("SFTHEORY_TEST_TEXT", raising=False)
    with pytest.raises(InputError, match="environment variable SFTHEORY_TEST_TEXT, which is not"):
        lm.sweep(path, tmp_path / "runs")
    monkeypatch.setenv("SFTHEORY_TEST_TEXT", corpus(tmp_path))
    runs = lm.sweep(path, tmp_path / "runs")
    assert [run.config.lora for run in runs] == [None, *(Lora(r, 16.0, ("mlp",)) for r in (2, 4))]
    assert [run.config.data.source for run in runs[1:]] == ["$SFTHEORY_TEST_TEXT"] * 2
    assert [case.config.id for case in read_sweep(path)] == [run.id for run in runs]
    rows = lm.record(path, tmp_path / "runs", tmp_path / "to").read_text()
    assert "lora.rank" in rows.splitlines()[0]


@pytest.mark.parametrize("source", ["$SFTHEORY_HERE/a.txt", "${SFTHEORY_HERE}/a.txt", "/x/$/a.txt"])
def test_a_variable_may_stand_in_a_path(source, monkeypatch):
    monkeypatch.setenv("SFTHEORY_HERE", "/some/where")
    assert str(place(source)) == ("/x/$/a.txt" if "$/" in source else "/some/where/a.txt")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler uses what torch has deprecated
def test_compiled_adapters_are_the_eager_ones_up_to_rounding(base):
    eager, compiled = (
        tuned(base, 6, settings={"run.compile": how, "averages.names": ["uniform"]})
        for how in ("no", "yes")
    )
    for point in ("last", "x", "uniform"):
        assert compiled.loss(point) == pytest.approx(eager.loss(point), abs=1e-4)


def test_two_replicas_train_adapters_as_one_process_does(base):
    source = corpus(base.directory.parent, seed=5)
    one = tuned(base, 6, data=source, settings={"averages.names": ["uniform"]})
    config = one.config.replaced({"run.parallel": "ddp"})
    together(2, train_all, [(config, base.directory.parent)])
    two = lm.load(base.directory.parent / config.id)
    for point in ("last", "x", "uniform"):
        assert two.loss(point) == pytest.approx(one.loss(point), abs=1e-6)
        for p, q in zip(two.model(point).parameters(), one.model(point).parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=2e-5)
    assert checkpoints.state_hash(two.state()) == two.state_hash


def test_a_config_that_names_no_run_has_no_adapters():
    assert Config.of({"start": {"run": "abc"}}).lora is None
    assert Config(start=Start("abc"), lora=Lora()).to_dict()["lora"]["rank"] == 8
