"""Branches: a cooldown, another corpus or another optimizer from a checkpoint of a trunk."""

import pytest
import torch
from small_runs import corpus, small

from sftheory import lm
from sftheory.core.errors import InputError
from sftheory.lm.checkpoints import state_hash
from sftheory.lm.starting import weights_at
from sftheory.schedules import Linear

OPTIMIZERS = ["adamw", "schedule_free_adamw", "muon", "schedule_free"]


@pytest.fixture
def trunk(tmp_path):
    changes = {
        "run.checkpoint_every": 4,
        "run.checkpoints": [8],
        "averages.names": ["uniform", "ema:0.9", "lawa:4:2"],
        "optimizer.name": "schedule_free_adamw",
    }
    return lm.train(small(corpus(tmp_path), **changes), out=tmp_path)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("at", [8, "end"])
def test_a_branch_of_no_steps_is_the_trunk_bit_for_bit(name, at, tmp_path):
    changes = {
        "optimizer.name": name,
        "run.checkpoints": [8],
        "averages.names": ["uniform", "lawa:4:2"],
        "schedule.warmup": 3,
    }
    trunk = lm.train(small(corpus(tmp_path), **changes), out=tmp_path)
    branch = lm.branch(trunk, at=at, steps=0)
    assert branch.state_hash == state_hash(trunk.state(at))
    if at == "end":
        assert branch.state_hash == trunk.state_hash
        assert branch.loss("uniform") == trunk.loss("uniform")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_branch_without_cooldown_is_the_longer_trunk_bit_for_bit(name, tmp_path):
    source = corpus(tmp_path)
    changes = {"optimizer.name": name, "run.checkpoints": [8], "averages.names": ["uniform"]}
    short, long = (
        lm.train(small(source, **changes, **{"run.steps": n}), out=tmp_path) for n in (8, 20)
    )
    branch = lm.branch(short, at="end", steps=12)
    for part in ("model", "averages", "samples", "step"):
        assert state_hash({"": branch.state()[part]}) == state_hash({"": long.state()[part]})
    assert branch.loss() == long.loss()
    assert branch.frame()["step"].min() == 8


def test_a_cooldown_plays_its_schedule_over_its_own_steps(trunk):
    branch = lm.branch(trunk, at=8, steps=10, schedule="linear", settings={"run.log_every": 1})
    rows = branch.frame().filter(branch.frame()["split"] == "train").sort("step")
    assert rows["step"].to_list() == list(range(9, 19))
    assert rows["lr"].to_list() == (1e-2 * Linear()(10)).tolist()
    assert rows["tokens"].to_list() == [t * 4 * 16 for t in range(9, 19)]


@pytest.mark.parametrize(
    "schedule",
    [{"name": "wsd", "cooldown": 0.5, "warmup": 2}, Linear(), [0.5] * 6, "cosine"],
    ids=["mapping", "schedule", "values", "name"],
)
def test_a_schedule_may_be_said_in_four_ways(trunk, schedule):
    branch = lm.branch(trunk, at=8, steps=6, schedule=schedule)
    assert (branch.status, branch.step) == ("finished", 14)


def test_another_corpus_continues_the_weights_on_other_text(trunk, tmp_path):
    other = corpus(tmp_path, seed=5)
    branch = lm.branch(trunk, at=8, steps=4, data=other)
    same = lm.branch(trunk, at=8, steps=4)
    assert branch.config.data.source == other
    assert branch.state_hash != same.state_hash
    start = branch.state(8)["model"]
    assert all(torch.equal(v, start[k]) for k, v in trunk.state(8)["model"].items())


def test_another_optimizer_begins_at_what_the_trunk_reports(trunk):
    branch = lm.branch(trunk, at=8, steps=4, optimizer={"name": "adamw", "lr": 1e-3})
    assert branch.config.start.point == "x"
    wanted = weights_at(trunk.config, trunk.state(8), "x")
    for name, value in branch.state(8)["model"].items():
        assert torch.equal(value, wanted[name])
    assert not torch.equal(wanted["embedding"], trunk.state(8)["model"]["embedding"])


@pytest.mark.parametrize("point", ["last", "uniform", "ema:0.9", "lawa:4:2"])
def test_a_branch_may_begin_at_any_average(trunk, point):
    branch = lm.branch(trunk, at=8, steps=2, point=point)
    begun = branch.state(8)
    for name, value in weights_at(trunk.config, trunk.state(8), point).items():
        assert torch.equal(begun["model"][name], value)
    assert all(not part["count"] for part in begun["averages"].values())


def test_options_of_the_same_optimizer_change_in_a_branch(trunk):
    branch = lm.branch(trunk, at=8, steps=2, optimizer={"betas": [0.95, 0.99], "weight_decay": 0})
    (group, _) = branch.state()["optimizer"]["param_groups"]
    assert (group["betas"], group["weight_decay"]) == ((0.95, 0.99), 0)
    (kept, _) = trunk.state(8)["optimizer"]["param_groups"]
    assert group["averaged_steps"] == kept["averaged_steps"] + 2


def test_a_branch_can_be_branched_and_resumed(trunk):
    first = lm.branch(trunk, at=8, steps=4)
    second = lm.branch(first, steps=4, schedule="linear")
    again = lm.branch(first, steps=4, schedule="linear")
    assert (second.step, again.state_hash) == (16, second.state_hash)


def test_the_end_of_a_run_that_has_not_ended_is_no_place_to_begin(tmp_path):
    trunk = lm.train(small(corpus(tmp_path), **{"run.checkpoints": [4]}), out=tmp_path)
    (trunk.directory / "done.json").unlink()  # as after a kill
    with pytest.raises(InputError, match=r"has not ended; finish it, or .* with at=12"):
        lm.branch(trunk, steps=2)
    assert lm.branch(trunk, at=4, steps=2).step == 6


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"at": 5}, "no checkpoint of step 5; there are 4, 8, 12"),
        ({"steps": -1}, "steps must be a whole number"),
        ({"schedule": "consine", "steps": 2}, "did you mean 'cosine'"),
        ({"optimizer": "adam", "steps": 2}, "did you mean 'adamw'"),
        ({"point": "mean", "steps": 2}, "no average in this state 'mean'"),
        ({"optimizer": "adamw", "point": "state", "steps": 2}, "cannot continue with adamw"),
        ({"settings": {"model.width": 32}, "steps": 2}, "model of another shape"),
    ],
)
def test_a_branch_that_cannot_be_is_told(trunk, kwargs, says):
    with pytest.raises(InputError, match=says):
        lm.branch(trunk, **kwargs)
