"""Lines between checkpoints: their ends are the recorded losses, what lies between has sources."""

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from small_runs import corpus, small

from sftheory import lm
from sftheory.core.errors import InputError
from sftheory.lm import optimizers
from sftheory.lm.evaluation import Evaluator
from sftheory.lm.plans import read_plan
from sftheory.lm.tokens import prepare
from sftheory.lm.transformer import Transformer

KEPT = {
    "run.checkpoints": [4, 8],
    "run.eval_every": 4,
    "run.micro": 2,
    "averages.names": ["uniform", "lawa:4:2"],
}


@pytest.fixture
def run(tmp_path):
    return lm.train(small(corpus(tmp_path), **KEPT), out=tmp_path)


@pytest.fixture
def free(tmp_path):
    changes = {**KEPT, "optimizer.name": "schedule_free_adamw"}
    return lm.train(small(corpus(tmp_path), **changes), out=tmp_path)


def recorded(run, step, average):
    """The loss in the run's own rows."""
    rows = run.frame().filter(
        (pl.col("step") == step) & (pl.col("average") == average) & (pl.col("split") == "val")
    )
    return rows["loss"][0]


def own_loss(run, model, split="val"):
    """The run's evaluation of a model that was made by hand."""
    tokens = prepare(run.config.data)
    if split == "train":
        tokens = type(tokens)(tokens.train, tokens.train, tokens.vocabulary, None, "")
    own = run.config.run
    return Evaluator(model, tokens, run.config.data.eval_tokens, own.micro or own.batch, same)()


def same(function):
    return function


def vector(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize("point", ["last", "uniform", "lawa:4:2", "x"])
def test_the_ends_are_the_recorded_losses_bit_for_bit(point, free):
    line = lm.line(free, (4, 12), point=point, points=3)
    assert line.at(0) == recorded(free, 4, point)
    assert line.at(1) == recorded(free, 12, point) == free.loss(point)
    assert (line.steps, line.point) == ((4, 12), (point, point))


def test_a_line_may_join_two_points_of_one_step(free):
    line = lm.line(free, "end", point=("last", "x"), points=2, beyond=0)
    assert line.loss.tolist() == [free.loss("last"), free.loss("x")]
    assert line.s.tolist() == [0, 1]


def test_a_line_may_join_two_runs(run, free):
    cool = lm.branch(run, at=8, steps=4, schedule="linear")
    for other, point in ((cool, "last"), (free, ("last", "x"))):
        line = lm.line(run, (8, "end"), other=other.directory, point=point, points=2)
        assert line.at(0) == recorded(run, 8, "last")
        assert line.at(1) == other.loss("x" if other is free else "last")


@pytest.mark.parametrize("points", [2, 6, 21])  # 0.05, 0.2 and 1 have no exact sums
def test_to_swap_the_ends_reverses_the_line_bit_for_bit(points, run):
    there, back = (lm.line(run, steps, points) for steps in ((4, 12), (12, 4)))
    assert there.loss.tolist() == back.loss[::-1].tolist()
    assert there.distance == back.distance


def test_a_line_has_its_points_between_the_ends_and_goes_on_with_their_spacing(run):
    line = lm.line(run, (4, 8), points=5, beyond=0.6)
    assert line.s.tolist() == [-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
    assert line.loss.shape == line.s.shape


@pytest.mark.parametrize("split", ["val", "train"])
def test_the_middle_is_the_loss_of_the_averaged_state(split, run):
    line = lm.line(run, (4, 12), points=3, split=split)
    states = [run.state(step)["model"] for step in (4, 12)]
    middle = run.model()
    middle.load_state_dict({k: (v + states[1][k]) / 2 for k, v in states[0].items()})
    assert line.at(0.5) == own_loss(run, middle, split)  # halves are exact
    assert (line.at(1) == run.loss()) == (split == "val")


def test_x_is_what_the_optimizer_shows_in_its_own_block(free):
    states = [free.state(step) for step in (4, 12)]
    points = []
    for state in states:
        model = Transformer(free.config.model, state["model"]["embedding"].shape[0])
        model.load_state_dict(state["model"])
        optimizer: Any = optimizers.build(free.config.optimizer, model)
        optimizer.load_state_dict(state["optimizer"])
        with optimizer.averaged():
            points.append(vector(model).clone())
    middle = free.model()
    torch.nn.utils.vector_to_parameters(0.5 * points[0] + 0.5 * points[1], middle.parameters())
    line = lm.line(free, (4, 12), point="x", points=3)
    assert line.at(0.5) == own_loss(free, middle)
    assert line.distance == pytest.approx(float((points[1] - points[0]).norm()), rel=1e-6)


def test_the_slope_at_an_end_is_the_gradient_along_the_line(run):
    line = lm.line(run, (8, 12), points=11, beyond=0.1)
    h = 0.1
    slope = (line.at(h) - line.at(-h)) / (2 * h)
    start, end = run.model(step=8), run.model(step=12)
    tokens, T = prepare(run.config.data), run.config.model.context
    starts = np.linspace(0, len(tokens.val) - 1 - T, 256 // T).astype(int)
    windows = np.stack([tokens.val[s : s + T + 1] for s in starts]).astype(np.int64)
    start.loss(torch.from_numpy(windows))[0].backward()
    gradient = torch.cat([p.grad.reshape(-1) for p in start.parameters()])
    exact = float(gradient @ (vector(end) - vector(start)))
    # central differences: h² L''' / 6; the third derivative is of the order of the drop
    assert slope == pytest.approx(exact, rel=0.01)
    assert exact < -0.01


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"steps": (4, 5)}, "no checkpoint of step 5 .* there are 4, 8, 12"),
        ({"steps": (4, 4)}, "are one point, 'last' after step 4; take two steps, or two points"),
        ({"steps": (4, 8), "point": "x"}, "adamw has no average x"),
        ({"steps": (4, 8), "point": "unifrom"}, "did you mean 'uniform'"),
        ({"steps": (4, 8, 12)}, "steps must be one value or one for each end"),
        ({"steps": (4, "first")}, "whole number or 'end', not 'first'"),
        ({"steps": (4, 8), "points": 1}, "points must be a whole number >= 2"),
        ({"steps": (4, 8), "beyond": -1}, "beyond must be a number >= 0"),
        ({"steps": (4, 8), "split": "test"}, "no split 'test'; choose one of train, val"),
    ],
)
def test_a_line_that_cannot_be_is_one_sentence(asked, says, run):
    with pytest.raises(InputError, match=says) as raised:
        lm.line(run, **asked)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model.width": 32}, r"model\.width is 16 and 32; take runs of one \[model\]"),
        ({"model.heads": 1}, r"model\.heads is 2 and 1"),  # of one shape, but not of one meaning
        ({"model.vocabulary": 320}, r"model\.vocabulary is 0 and 320"),
        ({"data.tokenizer": "bpe:300"}, r"have 256 and 320 tokens, and a line needs one"),
    ],
)
def test_weights_that_mean_different_things_are_not_mixed(change, says, run, tmp_path):
    other = lm.train(small(corpus(tmp_path), **change), out=tmp_path)
    with pytest.raises(InputError, match=says):
        lm.line(run, other=other)


def test_a_corpus_that_changed_is_told(run):
    path = run.directory / "env.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "tokens_sha256": "another"}))
    with pytest.raises(InputError, match=r"The corpus of the run .* has changed since it began"):
        lm.line(run, (4, 8))


PLAN = """
[model]
width = 16
layers = 1
heads = 1
context = 8
[data]
limit = 20_000
eval_tokens = 64
[schedule]
warmup = 2
[run]
steps = 6
batch = 2
threads = 1
eval_grid = 0.0
eval_every = 3

[[sweep]]
name = "trunk"
"optimizer.lr" = [1e-2, 5e-3]
"run.seed" = [0, 1]
"run.checkpoints" = [[3]]

[[sweep]]
name = "decay"
from = "trunk"
at = 3
"run.steps" = 3
"schedule.name" = "linear"

[[sweep]]
name = "free"
"optimizer.name" = "schedule_free_adamw"
"optimizer.lr" = 1e-2
"run.seed" = [0, 1]

[[line]]
name = "along"
from = "trunk"
steps = [3, "end"]
points = 3

[[line]]
name = "down"
from = "trunk"
to = "decay"
steps = [3, 6]
points = 3

[[line]]
name = "across"
from = "decay"
to = "free"
steps = 6
point = ["last", "x"]
points = 3

[[line]]
name = "tuned alike"
from = "trunk"
to = "free"
steps = 6
same = ["run.seed", "optimizer.lr"]
points = 3

[[line]]
name = "seeds"
from = "trunk"
to = "trunk"
steps = 6
same = ["optimizer.lr"]
points = 3
"""
COUNTS = {"along": 4, "down": 4, "across": 4, "tuned alike": 2, "seeds": 2}


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def test_a_plan_pairs_runs_by_branch_or_by_what_they_share(plan):
    lines = read_plan(plan).lines
    assert {name: sum(one.name == name for one in lines) for name in COUNTS} == COUNTS
    for one in lines:
        seeds = one.run.run.seed, one.other.run.seed
        if one.name == "along":
            assert one.run == one.other
        elif one.name == "down":
            assert one.other.start.run == one.run.id
        elif one.name == "seeds":
            assert seeds[0] < seeds[1] and one.run.optimizer.lr == one.other.optimizer.lr
        else:
            assert seeds[0] == seeds[1] and one.point[1] in ("x", "last")


def test_the_lines_of_a_plan_are_recorded_with_the_runs_that_they_join(plan, tmp_path):
    plan.write_text(PLAN.replace("[1e-2, 5e-3]", "1e-2"))
    lm.sweep(plan, tmp_path / "runs")
    table = pl.read_csv(lm.record(plan, tmp_path / "runs", tmp_path / "to"))
    rows = pl.read_csv(tmp_path / "to" / "plan.line.csv")
    assert len(rows) == 3 * (2 + 2 + 2 + 2 + 1)  # beyond = 0.25 of two intervals is none
    ends = {0.0: ("run", "step", "point"), 1.0: ("other", "other_step", "other_point")}
    for s, names in ends.items():
        for row in rows.filter(pl.col("s") == s).iter_rows(named=True):
            run, step, point = (row[name] for name in names)
            own = table.filter(pl.col("run") == run, pl.col("step") == step)
            assert row["loss"] == own.filter(pl.col("average") == point)["loss"][0]
    assert (rows["distance"] > 0).all() and set(rows["line"]) == set(COUNTS)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('to = "decay"', 'to = "decoy"', "did you mean 'decay'"),
        ("steps = [3, 6]", "steps = [4, 6]", "'down' of .* ends at step 4, .* take one of 3, 6"),
        ("steps = [3, 6]", "step = [3, 6]", "did you mean 'steps'"),
        ('steps = [3, "end"]', "", "has no 'steps'; write steps = ... into it"),
        ('"last", "x"', '"last", "uniform"', "no point for the line 'across', 'uniform'"),
        ('"run.seed", "optim', '"seed", "optim', "no section 'seed'"),
    ],
)
def test_a_planned_line_that_cannot_be_meant_is_one_sentence(plan, old, new, says):
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(InputError, match=says) as raised:
        read_plan(plan)
    assert "\n" not in str(raised.value)


def test_a_line_of_a_run_that_diverged_is_left_out(plan, tmp_path):
    shorter = PLAN.replace("[0, 1]", "0").replace("[1e-2, 5e-3]", "[1e-2, 1e30]")
    plan.write_text(shorter)
    lm.sweep(plan, tmp_path / "runs")
    lm.record(plan, tmp_path / "runs", tmp_path / "to")
    rows = pl.read_csv(tmp_path / "to" / "plan.line.csv")
    assert len(rows.filter(pl.col("line") == "along")) == 3  # of two trunks
