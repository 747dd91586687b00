"""A stack of runs is the runs themselves, to rounding: rows, checkpoints, averages, ends."""

import json
import signal

import pytest
import torch
from small_runs import corpus, small

from sftheory import lm
from sftheory.core.errors import InputError
from sftheory.lm import checkpoints, stackable, stacked
from sftheory.lm.sections import Model
from sftheory.lm.session import Session
from sftheory.lm.stack import Stack
from sftheory.lm.stackable import stacks
from sftheory.lm.stacked import train_stacked
from sftheory.lm.stacked_decoders import Decoders
from sftheory.lm.store import read_rows
from sftheory.lm.tokens import prepare
from sftheory.lm.transformer import Transformer

ROUNDING = 1e-5  # of losses and parameters after a hundred steps in float32
NORM = 1e-4  # of gradient norms, which the curvature multiplies
STOPS = {"run.nonfinite": "stop"}
MEMBERS = [  # lr, seed, decay, clip, schedule
    {"optimizer.lr": 3e-3},
    {"optimizer.lr": 1e-3, "run.seed": 1, "optimizer.weight_decay": 0.0, "schedule.warmup": 7},
    {"optimizer.lr": 6e-3, "optimizer.clip": 0.0, "optimizer.weight_decay": 0.3},
    {"optimizer.lr": 2e-3, "data.seed": 5, "optimizer.clip": 0.1, "schedule.name": "cosine"},
]
OPTIONS = {
    "schedule_free_adamw": {"optimizer.warmup_steps": 5, "optimizer.betas": [0.9, 0.95]},
    "schedule_free_plus": {"optimizer.lr": 0.02, "optimizer.polyak_beta": 0.5},
    "polyak_schedule_free_sgd": {"optimizer.lr": 0.1, "optimizer.weight_decay": 0.0},
    "sgd": {"optimizer.momentum": 0.9},
}
ALL = [
    "adamw",
    "schedule_free_adamw",
    "adamc",
    "gpa_adamw",
    "sgd",
    "schedule_free_sgd",
    "schedule_free_radam",
    "schedule_free_plus",
    "polyak_schedule_free_sgd",
]


def members(source, optimizer="adamw", differences=MEMBERS, **changes):
    own = OPTIONS.get(optimizer, {})
    changes = {"data.eval_tokens": 64, "run.eval_grid": 4, **changes}
    base = small(source, **{"optimizer.name": optimizer}, **own, **STOPS, **changes)
    kept = [{k: v for k, v in d.items() if k not in own} for d in differences]
    return [base.replaced(d) for d in kept]


def rows_of(run, log="metrics"):
    return list(read_rows(run.directory / f"{log}.jsonl"))


def numbers(tree, path=""):
    """Every number and tensor of a state, by its place."""
    if isinstance(tree, torch.Tensor):
        return {path: tree.double()}
    if isinstance(tree, dict):
        tree = list(tree.items())
    elif isinstance(tree, (list, tuple)):
        tree = list(enumerate(tree))
    else:
        plain = isinstance(tree, (int, float)) and not path.endswith("fingerprint")
        return {path: torch.tensor(float(tree), dtype=torch.double)} if plain else {}
    found = {}
    for key, value in tree:
        found |= numbers(value, f"{path}/{key}")
    return found


def assert_same_run(stacked_run, alone):
    for log in ("metrics", "speed"):
        ours, theirs = rows_of(stacked_run, log), rows_of(alone, log)
        assert [r["step"] for r in ours] == [r["step"] for r in theirs]
    for row, wanted in zip(rows_of(stacked_run), rows_of(alone), strict=True):
        assert row.keys() == wanted.keys()
        for key, value in wanted.items():
            if isinstance(value, float):
                close = NORM if key == "grad_norm" else ROUNDING
                assert row[key] == pytest.approx(value, abs=close, rel=close), (key, wanted)
            else:
                assert row[key] == value
    assert stacked_run.status == alone.status
    assert stacked_run.checkpoints() == alone.checkpoints()
    for step in alone.checkpoints():
        ours, theirs = numbers(stacked_run.state(step)), numbers(alone.state(step))
        assert ours.keys() == theirs.keys()
        for place, value in theirs.items():
            assert torch.allclose(ours[place], value, rtol=1e-3, atol=ROUNDING), (step, place)
        for name in alone.state(step)["model"]:
            assert torch.allclose(
                ours[f"/model/{name}"], theirs[f"/model/{name}"], rtol=0, atol=ROUNDING
            )
    outcomes = [json.loads((r.directory / "done.json").read_text()) for r in (stacked_run, alone)]
    assert [o.pop("state") is not None for o in outcomes] == [True, True]
    assert outcomes[0] == outcomes[1]


@pytest.fixture
def at_once(monkeypatch, request):
    """The elementwise step of all members, or each its own optimizer's."""
    real = Stack.__init__

    def chosen(self, sessions, wrap):
        real(self, sessions, wrap, at_once=request.param)

    monkeypatch.setattr(Stack, "__init__", chosen)
    return request.param


@pytest.mark.parametrize(
    ("optimizer", "at_once"),
    [("adamw", True), ("schedule_free_adamw", True), ("schedule_free_adamw", False)],
    indirect=["at_once"],
)
def test_a_stack_is_its_runs_alone_for_a_hundred_steps(optimizer, at_once, tmp_path):
    changes = {
        "run.steps": 100,
        "run.eval_grid": 10,
        "run.checkpoint_every": 40,
        "averages.names": ["uniform", "ema:0.9", "lawa:20:4", "tail:0.5", "lr2"],
        "averages.trajectory": 25,
    }
    configs = members(corpus(tmp_path), optimizer, **changes)
    together = train_stacked(configs, tmp_path / "stack")
    for run, config in zip(together, configs, strict=True):
        alone = lm.train(config, out=tmp_path / "alone")
        assert run.id == config.id
        assert_same_run(run, alone)
        pairs = zip(run.trajectory(), alone.trajectory(), strict=True)
        assert all(a[0] == b[0] and a[2] == b[2] for a, b in pairs)


@pytest.mark.parametrize("optimizer", ALL[2:])
def test_other_optimizers_step_by_themselves_in_a_stack(optimizer, tmp_path):
    configs = members(corpus(tmp_path), optimizer, **{"run.micro": 2})
    for run, config in zip(train_stacked(configs, tmp_path / "stack"), configs, strict=True):
        assert_same_run(run, lm.train(config, out=tmp_path / "alone"))


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler uses what torch has deprecated
def test_a_compiled_stack_is_its_runs_alone(tmp_path):
    configs = members(corpus(tmp_path), **{"run.steps": 30, "run.eval_grid": 10})
    compiled = [config.replaced({"run.compile": "yes"}) for config in configs]
    runs = train_stacked(compiled, tmp_path / "stack")
    for run, config in zip(runs, configs, strict=True):
        assert_same_run(run, lm.train(config, out=tmp_path / "alone"))


OLDER = {
    "norm": "layer",
    "positions": "learned",
    "mlp": "gelu",
    "qk_norm": False,
    "bias": True,
    "tied": False,
    "z_loss": 1e-3,
    "softcap": 5.0,
}


@pytest.mark.parametrize("shape", [{}, OLDER], ids=["default", "every other key"])
def test_the_sum_of_the_losses_has_the_gradients_of_the_decoders(shape):
    made = []
    for seed in range(3):
        model = Transformer(Model(width=16, layers=2, heads=2, context=8, **shape), 64)
        model.initialise(seed)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
        made.append(model)
    theta = torch.stack([torch.cat([p.detach().flatten() for p in m.parameters()]) for m in made])
    theta.requires_grad_()
    tokens = torch.randint(64, (3, 4, 9), generator=torch.Generator().manual_seed(3))
    objectives, losses = Decoders(made[0]).losses(theta, tokens)
    (slope,) = torch.autograd.grad(objectives.sum(), theta)
    for k, model in enumerate(made):
        objective, loss = model.loss(tokens[k])
        alone = torch.cat(
            [g.flatten() for g in torch.autograd.grad(objective, [*model.parameters()])]
        )
        assert torch.allclose(objectives[k], objective, atol=1e-5)
        assert torch.allclose(losses[k], loss, atol=1e-5)
        assert torch.allclose(slope[k], alone, rtol=1e-4, atol=1e-6)


def test_the_step_of_all_is_that_of_torch_s_adamw_and_clipping_is_each_member_s(tmp_path):
    limits, rates, decays = [0.05, 0.0, 10.0], [1e-2, 3e-3, 0.1], [0.1, 0.0, 0.5]
    differences = [
        {"optimizer.lr": lr, "optimizer.weight_decay": decay, "optimizer.clip": limit}
        for lr, decay, limit in zip(rates, decays, limits, strict=True)
    ]
    configs = members(corpus(tmp_path), differences=differences, **{"run.steps": 20})
    tokens = prepare(configs[0].data)
    sessions = [Session(config, tokens) for config in configs]
    made = Stack(sessions, lambda f: f, at_once=True)
    alone = []
    for session in sessions:
        copy = Transformer(session.model.shape)
        copy.load_state_dict(session.model.state_dict())
        section = session.config.optimizer
        groups = [
            {"params": [p for p in copy.parameters() if p.ndim > 1]},
            {"params": [p for p in copy.parameters() if p.ndim == 1], "weight_decay": 0.0},
        ]
        how = {"lr": section.lr, "betas": (0.9, 0.95), "weight_decay": section.weight_decay}
        alone.append((list(copy.parameters()), torch.optim.AdamW(groups, **how)))
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        made.grad.copy_(torch.randn(made.grad.shape, generator=generator))
        for session, row, limit, (params, optimizer) in zip(
            sessions, made.grad, limits, alone, strict=True
        ):
            for p, part in zip(params, session.flat.cut(row), strict=True):
                p.grad = part.clone()
            if limit:
                torch.nn.utils.clip_grad_norm_(params, limit)
            optimizer.step()
        made.move(torch.zeros(3), torch.linalg.vector_norm(made.grad, dim=1))
    for row, (params, _) in zip(made.theta, alone, strict=True):
        wanted = torch.nn.utils.parameters_to_vector(params)
        assert torch.allclose(row, wanted, rtol=0, atol=1e-5)


def explosive(source, **changes):
    """The second member's loss is soon not finite."""
    differences = [{"optimizer.lr": 1e-2}, {"optimizer.lr": 1e30}, {"optimizer.lr": 3e-3}]
    changes = {"optimizer.clip": 0.0, "schedule.warmup": 5, **changes}
    return members(source, "sgd", differences, **changes)


def test_a_member_that_diverges_ends_as_alone_and_leaves_the_others_alone(tmp_path):
    configs = explosive(corpus(tmp_path), **{"run.steps": 30})
    together = train_stacked(configs, tmp_path / "stack")
    assert [run.status for run in together] == ["finished", "diverged", "finished"]
    for run, config in zip(together, configs, strict=True):
        alone = lm.train(config, out=tmp_path / "alone")
        if run.status == "finished":
            assert_same_run(run, alone)
            continue
        facts = [checkpoints.latest(r.directory / "diagnosis")[1] for r in (run, alone)]
        assert facts[0]["bad_step"] == facts[1]["bad_step"]
        assert rows_of(run)[-1]["step"] == rows_of(alone)[-1]["step"]
    again = train_stacked(configs, tmp_path / "stack")
    assert [run.status for run in again] == ["finished", "diverged", "finished"]


def test_a_loss_looked_at_only_with_its_row_ends_its_member_there(tmp_path, monkeypatch):
    real = stacked.Member.__init__

    def as_on_an_accelerator(self, folder, session):
        real(self, folder, session)
        self._looks = False

    monkeypatch.setattr(stacked.Member, "__init__", as_on_an_accelerator)
    configs = explosive(corpus(tmp_path))
    together = train_stacked(configs, tmp_path / "stack")
    assert [run.status for run in together] == ["finished", "diverged", "finished"]
    for run, config in zip(together, configs, strict=True):
        if run.status == "finished":
            assert_same_run(run, lm.train(config, out=tmp_path / "alone"))


class CutError(Exception):
    """A stop at a moment that the stack does not foresee."""


def cut(monkeypatch, step, member):
    """The process dies while this member's checkpoint of this step is to be written."""
    real, seen = stacked.Member.save, []

    def dying(self):
        if self.session.step == step:
            seen.append(self)
            if len(seen) > member:
                raise CutError
        real(self)

    monkeypatch.setattr(stacked.Member, "save", dying)


@pytest.mark.parametrize(
    ("member", "optimizer", "at_once"),
    [
        (0, "adamw", False),
        (2, "adamw", True),
        (0, "schedule_free_adamw", True),
        (2, "schedule_free_adamw", False),
    ],
    indirect=["at_once"],
)
def test_a_stack_that_was_cut_goes_on_from_what_each_member_saved(
    member, optimizer, at_once, tmp_path, monkeypatch
):
    changes = {"run.checkpoint_every": 3, "run.keep": 1, "averages.names": ["uniform", "lawa:6:3"]}
    configs = members(corpus(tmp_path), optimizer, **changes)
    with monkeypatch.context() as patch, pytest.raises(CutError):
        cut(patch, 6, member)
        train_stacked(configs, tmp_path / "stack")
    begun = [lm.load(tmp_path / "stack" / config.id) for config in configs]
    assert [run.step for run in begun] == [6] * member + [3] * (4 - member)
    for run, config in zip(train_stacked(configs, tmp_path / "stack"), configs, strict=True):
        assert_same_run(run, lm.train(config, out=tmp_path / "alone"))


def test_a_stack_resumed_as_it_was_has_the_same_bits(tmp_path, monkeypatch):
    configs = members(corpus(tmp_path), "schedule_free_adamw", **{"run.checkpoint_every": 3})
    whole = train_stacked(configs, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(CutError):
        cut(patch, 9, 0)
        train_stacked(configs, tmp_path / "cut")
    for run, other in zip(train_stacked(configs, tmp_path / "cut"), whole, strict=True):
        assert run.state_hash == other.state_hash
        assert rows_of(run) == rows_of(other)


def test_runs_alone_and_stacks_go_on_from_each_other(tmp_path, monkeypatch):
    configs = members(corpus(tmp_path), "schedule_free_adamw", **{"run.checkpoint_every": 3})
    with monkeypatch.context() as patch, pytest.raises(CutError):
        cut(patch, 6, 4 - 1)
        train_stacked(configs, tmp_path / "out")
    lm.train(configs[0], out=tmp_path / "out")  # at step 6 of 12; the others wait
    for run, config in zip(train_stacked(configs, tmp_path / "out"), configs, strict=True):
        assert_same_run(run, lm.train(config, out=tmp_path / "alone"))


def test_a_signal_saves_all_members(tmp_path, monkeypatch):
    configs = members(corpus(tmp_path))
    real = stacked.Stacked._step

    def told(self):
        real(self)
        if self.first.session.step == 5:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(stacked.Stacked, "_step", told)
        stopped = train_stacked(configs, tmp_path / "stack")
    assert {(run.status, run.step) for run in stopped} == {("unfinished", 5)}
    for run, config in zip(train_stacked(configs, tmp_path / "stack"), configs, strict=True):
        alone = lm.train(config, out=tmp_path / "alone")
        assert rows_of(run)[-1]["loss"] == pytest.approx(rows_of(alone)[-1]["loss"], abs=ROUNDING)


PLAN = """
[model]
width = 16
layers = 1
heads = 2
context = 16
[data]
source = {source!r}
eval_tokens = 64
[run]
steps = 4
batch = 4
log_every = 2
eval_grid = 0
device = "cpu"
[[sweep]]
name = "trunk"
"optimizer.name" = ["schedule_free_adamw", "muon"]
"optimizer.lr" = [3e-3, 2e-3, 1e-3]
"run.checkpoints" = [[2]]
[[sweep]]
name = "cooldown"
from = "trunk"
at = 2
"run.steps" = 3
"schedule.name" = "linear"
"""


def test_a_sweep_with_stacks_leaves_what_a_sweep_without_leaves(tmp_path, monkeypatch):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace("{source!r}", repr(corpus(tmp_path))))
    sizes = []
    real = train_stacked

    def counted(configs, *args, **how):
        sizes.append(len(configs))
        return real(configs, *args, **how)

    monkeypatch.setattr("sftheory.lm.sweeps.train_stacked", counted)
    together = lm.sweep(plan, tmp_path / "stack", stack="2")
    assert sizes == [2, 2]  # of three runs, and of their branches; Muon is for itself
    for run, alone in zip(together, lm.sweep(plan, tmp_path / "alone"), strict=True):
        if run.config.optimizer.name == "muon":
            assert run.state_hash == alone.state_hash
        else:
            assert_same_run(run, alone)
    monkeypatch.setattr("sftheory.lm.sweeps.train_stacked", None)
    monkeypatch.setattr("sftheory.lm.sweeps.train", None)
    assert len(lm.sweep(plan, tmp_path / "stack", stack="2")) == 12  # nothing is done again


def test_auto_stacks_on_a_processor_only_where_a_step_is_small(tmp_path):
    few = members(corpus(tmp_path), **{"run.batch": 2})
    many = members(corpus(tmp_path), **{"run.batch": 4 * stackable.FEW_TOKENS // 16})
    assert [len(group) for group in stacks(few, "auto")] == [4]
    assert [len(group) for group in stacks(many, "auto")] == [1] * 4
    assert [len(group) for group in stacks(few + many, "3")] == [3, 1, 3, 1]
    large = members(corpus(tmp_path), **{"model.width": 256, "model.layers": 4})
    assert [len(group) for group in stacks(large, "4")] == [1] * 4
    wide = members(corpus(tmp_path), **{"model.width": 256, "run.batch": 2})
    assert [len(group) for group in stacks(wide, "auto")] == [1] * 4
    assert [len(group) for group in stacks(wide, "4")] == [4]
    assert [len(group) for group in stacks(few, "off")] == [1] * 4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.width": 32}, "model.width is 16 in one run and 32 in another"),
        ({"run.steps": 13}, "run.steps is 12 in one run and 13 in another"),
        ({"optimizer.betas": [0.8, 0.9]}, "optimizer.betas is None in one run"),
        ({"run.nonfinite": "skip"}, "run.nonfinite='skip' is not possible in a stack"),
        ({"run.probe_every": 5}, "run.probe_every=5 is not possible in a stack"),
        ({"optimizer.name": "muon"}, "optimizer.name='muon' is not possible in a stack"),
    ],
)
def test_runs_that_cannot_be_a_stack_are_told_by_their_key(changes, said, tmp_path):
    (one,) = members(corpus(tmp_path), differences=[{}])
    with pytest.raises(InputError, match=said) as found:
        train_stacked([one, one.replaced(changes)], tmp_path / "out")
    assert str(found.value).count(". ") == 0
    assert not (tmp_path / "out").exists()


def test_large_models_and_no_runs_are_told(tmp_path):
    large = members(corpus(tmp_path), **{"model.width": 256, "model.layers": 4})
    with pytest.raises(InputError, match="parameters is too large for a stack"):
        train_stacked(large, tmp_path / "out")
    with pytest.raises(InputError, match="A stack of no runs"):
        train_stacked([], tmp_path / "out")
    with pytest.raises(InputError, match="stack='many' must be"):
        stacks(large, "many")
    with pytest.raises(InputError, match="stack='2' trains runs in this process"):
        lm.sweep("plan.toml", tmp_path / "out", cluster="local", stack="2")
