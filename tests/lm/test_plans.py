"""Plans: blocks that branch from the runs of others, what is recorded, and the shipped plans."""

import json
from pathlib import Path

import polars as pl
import pytest

from sftheory import lm
from sftheory.cli import main
from sftheory.core.errors import InputError
from sftheory.lm import sweeps
from sftheory.lm.plans import budget, read_sweep
from sftheory.lm.signals import Signals

ROOT = Path(__file__).parents[2]
PLANS = sorted((ROOT / "experiments").glob("g*.toml"))
GPU_PLANS = sorted((ROOT / "experiments" / "gpu").glob("g*.toml"))
RECORDED = ROOT / "paper_figures" / "recorded"
PLAN = """
[model]
width = 16
layers = 1
heads = 1
context = 8
[data]
limit = 20_000
eval_tokens = 64
[optimizer]
lr = 1e-2
[schedule]
warmup = 2
[run]
steps = 6
batch = 2
threads = 1
eval_grid = 0.0

[[sweep]]
name = "trunk"
"run.seed" = [0, 1]
"run.checkpoints" = [[4]]

[[sweep]]
name = "decay"
from = "trunk"
at = [4, 6]
"run.steps" = 3
"schedule.name" = "linear"
"optimizer.lr" = [1e-2, 5e-3]
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def test_a_block_branches_from_every_run_of_another(plan):
    trunks, branches = read_sweep(plan)[:2], read_sweep(plan)[2:]
    assert len(branches) == 2 * 2 * 2
    assert {c.config.start.run for c in branches} == {c.config.id for c in trunks}
    for case in branches:
        assert case.config.start.step == case.settings["at"]
        assert case.config.schedule.name == "linear" and case.config.schedule.warmup == 0
        assert case.config.optimizer.lr == case.settings["optimizer.lr"]
        assert case.config.run.seed == case.settings["run.seed"]
        assert (case.settings["block"], case.settings["from"]) == ("decay", "trunk")


def test_a_planned_branch_is_the_branch_that_a_call_makes(plan, tmp_path):
    runs = lm.sweep(plan, tmp_path / "runs")
    trunk, planned = runs[0], runs[2]
    changes = {"optimizer": {"lr": 1e-2}, "settings": {"run.nonfinite": "stop"}}
    called = lm.branch(trunk, at=4, steps=3, schedule="linear", **changes)
    assert called.id == planned.id and planned.status == "finished"


def test_what_a_plan_found_is_recorded_with_its_settings(plan, tmp_path):
    runs = lm.sweep(plan, tmp_path / "runs")
    path = lm.record(plan, tmp_path / "runs", tmp_path / "results")
    rows = pl.read_csv(path)
    assert set(rows["run"]) == {run.id for run in runs}
    for run in runs:
        own = rows.filter((pl.col("run") == run.id) & (pl.col("average") == "last"))
        assert own.sort("step")["loss"][-1] == pytest.approx(run.loss(), abs=1e-6)
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["runs"] == 10 and facts["tokens"] == (2 * 6 + 8 * 3) * 2 * 8


def test_the_command_records_and_a_signal_stops_the_sweep(plan, tmp_path, monkeypatch, capsys):
    real, begun = sweeps.train, []

    def stopped(config, **kwargs):  # the second run gets a signal before its first step
        begun.append(config.id)
        if len(begun) == 2:
            monkeypatch.setattr(Signals, "arrived", 15, raising=False)
            monkeypatch.setattr(Signals, "__init__", lambda self: setattr(self, "_before", {}))
        return real(config, **kwargs)

    words = ["sweep", str(plan), "--out", str(tmp_path / "runs"), "--record", str(tmp_path / "to")]
    with monkeypatch.context() as patched:
        patched.setattr(sweeps, "train", stopped)
        assert main(words) == 75
    assert len(begun) == 2 and not (tmp_path / "to").exists()
    monkeypatch.undo()
    assert main(words) == 0
    assert "Recorded in" in capsys.readouterr().out
    assert (tmp_path / "to" / "plan.csv").exists()


def test_results_of_an_unfinished_plan_are_refused(plan, tmp_path):
    with pytest.raises(InputError, match=r"has not ended; `sftheory sweep .* does what is left"):
        lm.record(plan, tmp_path / "runs", tmp_path / "results")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('from = "trunk"', 'from = "trnk"', r"no block before has that name; write name = 'trnk'"),
        ("at = [4, 6]", "at = 5", r"branches at step 5, which its trunk does not keep"),
        ('"run.seed" = [0, 1]', '"run.sed" = 0', r"run\.sed"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_one_sentence(plan, old, new, sentence):
    plan.write_text(PLAN.replace(old, new))
    with pytest.raises(InputError, match=sentence) as raised:
        read_sweep(plan)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("path", [*PLANS, *GPU_PLANS], ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_shipped_plan_asks_for_the_budget_that_it_names(path):
    cases = read_sweep(path)  # refuses another budget
    largest = max(c.config.run.steps * c.config.run.batch * c.config.model.context for c in cases)
    if path in GPU_PLANS:
        assert budget(cases)["tokens"] <= 2.5e9  # 20 minutes at 2 million tokens a second
    else:
        assert largest <= 2e6


def test_both_sizes_of_a_plan_have_the_same_runs():
    assert [p.name for p in PLANS] == [p.name for p in GPU_PLANS]
    for small, large in zip(PLANS, GPU_PLANS, strict=True):
        a, b = read_sweep(small), read_sweep(large)
        assert [c.settings.get("block") for c in a] == [c.settings.get("block") for c in b]


@pytest.mark.parametrize("path", PLANS, ids=lambda p: p.stem)
def test_recorded_results_are_those_of_the_plan(path):
    facts = json.loads((RECORDED / f"{path.stem}.json").read_text())
    cases = read_sweep(path)
    assert {name: facts[name] for name in ("runs", "tokens")} == budget(cases)
    rows = pl.read_csv(RECORDED / f"{path.stem}.csv", infer_schema_length=None)
    assert rows["run"].n_unique() == len(cases)
    assert set(rows["status"]) <= {"finished", "diverged"}  # a divergence is a result
    for case in cases:  # by settings: ids change with every new key of a config
        told = {k: v for k, v in case.settings.items() if isinstance(v, int | float | str)}
        own = rows.filter(*(pl.col(k) == v for k, v in told.items()))
        ended = own.filter(pl.col("status") == "finished")
        last = case.config.start.step + case.config.run.steps
        assert len(own) and (ended.is_empty() or last in ended["step"])
