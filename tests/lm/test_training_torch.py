"""Training: rows, losses that are not finite, accumulation, clipping, sweeps and commands."""

import json
import math
import signal

import numpy as np
import polars as pl
import pytest
import torch
from small_runs import corpus, small

from sftheory import lm
from sftheory.cli import main
from sftheory.core.errors import InputError
from sftheory.lm import plans, sweeps
from sftheory.lm.session import Session
from sftheory.lm.tokens import prepare

COLUMNS = ["step", "tokens", "split", "average", "loss", "bits_per_byte", "lr"]


def test_rows_say_where_and_of_what_they_are(tmp_path):
    changes = {"averages.names": ["uniform"], "schedule.name": "linear", "run.seed": 3}
    run = lm.train(small(corpus(tmp_path), **changes), out=tmp_path)
    rows = run.frame()
    assert set(COLUMNS) <= set(rows.columns)
    assert rows["tokens"].to_list() == [64 * step for step in rows["step"]]
    val = rows.filter(pl.col("split") == "val")
    assert sorted(set(val["step"])) == [0, 1, 2, 4, 8, 12]
    assert set(val.filter(pl.col("step") == 0)["average"]) == {"last"}
    assert set(val.filter(pl.col("step") == 12)["average"]) == {"last", "uniform"}
    bits = np.array(rows["bits_per_byte"]) * math.log(2)
    np.testing.assert_allclose(bits, rows["loss"], rtol=1e-12)  # one byte a token
    lrs = rows.filter(pl.col("step") > 0).select("step", "lr").unique().sort("step")
    wanted = [1e-2 * (1 - (t - 1) / 12) for t in lrs["step"]]
    np.testing.assert_allclose(lrs["lr"], wanted, rtol=1e-15)
    lines = (run.directory / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {k: v for k, v in row.items() if k in json.loads(line)}
        for row, line in zip(rows.to_dicts(), lines, strict=True)
    ]


def test_the_training_loss_is_the_mean_of_the_losses_before_each_step(tmp_path):
    config = small(corpus(tmp_path))
    run = lm.train(config, out=tmp_path)
    session = Session(config, prepare(config.data))
    losses = []
    for _ in range(12):
        loss, norm = session.gradient()
        session.move(loss, norm)
        losses.append(float(loss))
    rows = run.frame().filter(pl.col("split") == "train")
    assert rows["step"].to_list() == [5, 10, 12]
    for loss, part in zip(rows["loss"], (losses[:5], losses[5:10], losses[10:]), strict=True):
        assert loss == pytest.approx(np.mean(part), rel=1e-12)


def test_a_model_learns_a_text_of_eleven_words(tmp_path):
    run = lm.train(small(corpus(tmp_path), **{"run.steps": 60, "optimizer.lr": 2e-2}), out=tmp_path)
    rows = run.frame().filter(pl.col("split") == "val")
    assert rows["loss"][0] == pytest.approx(math.log(256), abs=0.1)
    assert run.loss() < 2.7  # the entropy of single characters here is 2.9


@pytest.mark.parametrize("micro", [1, 2])
def test_accumulation_gives_the_gradient_of_the_whole_batch(micro, tmp_path):
    source = corpus(tmp_path)
    grads = []
    for changes in ({}, {"run.micro": micro}):
        config = small(source, **changes)
        session = Session(config, prepare(config.data))
        loss, norm = session.gradient()
        grads.append((loss, norm, session.flat.grad.clone()))
    for whole, parts in zip(*grads, strict=True):
        torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("clip", [0.0, 1e-3, 1e3])
def test_clipping_is_torchs(clip, tmp_path):
    config = small(corpus(tmp_path), **{"optimizer.clip": clip})
    session = Session(config, prepare(config.data))
    _, norm = session.gradient()
    before = [p.grad.clone() for p in session.model.parameters()]
    session.flat.clip(norm, clip)
    after = [p.grad.clone() for p in session.model.parameters()]
    for p, grad in zip(session.model.parameters(), before, strict=True):
        p.grad.copy_(grad)
    wanted = torch.nn.utils.clip_grad_norm_(session.model.parameters(), clip or math.inf)
    assert float(norm) == pytest.approx(float(wanted), rel=1e-6)
    for p, grad in zip(session.model.parameters(), after, strict=True):
        torch.testing.assert_close(p.grad, grad, rtol=1e-6, atol=0)


def poisoned(monkeypatch, step):
    """The loss of one step is NaN, and so is its gradient."""
    real = Session.gradient

    def gradient(self):
        loss, norm = real(self)
        if self.step == step:
            self.flat.grad.fill_(math.nan)
            return loss * math.nan, norm * math.nan
        return loss, norm

    monkeypatch.setattr(Session, "gradient", gradient)


@pytest.mark.parametrize("looks", [True, False])
def test_a_nan_raises_and_leaves_a_state_to_look_at(looks, tmp_path, monkeypatch):
    poisoned(monkeypatch, 6)
    config = small(corpus(tmp_path), **{"run.checkpoint_every": 4})
    if not looks:  # as on an accelerator, where losses are read when a row is written
        from sftheory.lm.loop import Loop

        real = Loop.__init__
        monkeypatch.setattr(
            Loop, "__init__", lambda self, *a: (real(self, *a), setattr(self, "_looks", False))[0]
        )
    with pytest.raises(FloatingPointError, match=r"step 7 is not finite; lower optimizer.lr"):
        lm.train(config, out=tmp_path)
    place = tmp_path / config.id / "diagnosis"
    from sftheory.lm import checkpoints

    (step,) = checkpoints.steps(place)
    state = checkpoints.read(place, step)
    assert (state["bad_step"], state["first_sample"]) == (7, 24)
    assert step == (6 if looks else 10)
    assert lm.load(tmp_path / config.id).checkpoints() == ([4] if looks else [4, 8])


def test_a_nan_may_end_a_run_as_diverged(tmp_path, monkeypatch):
    poisoned(monkeypatch, 6)
    config = small(corpus(tmp_path), **{"run.nonfinite": "stop"})
    run = lm.train(config, out=tmp_path)
    assert (run.status, run.frame()["step"].max()) == ("diverged", 5)
    assert lm.train(config, out=tmp_path).status == "diverged"


def test_a_nan_may_be_skipped_and_counted(tmp_path, monkeypatch):
    poisoned(monkeypatch, 6)
    run = lm.train(small(corpus(tmp_path), **{"run.nonfinite": "skip"}), out=tmp_path)
    assert (run.status, run.state()["skipped"]) == ("finished", 1)
    assert run.frame().filter(pl.col("split") == "train")["skipped"].to_list() == [0, 1, 1]
    assert math.isfinite(run.loss())


def test_gpu_asked_for_where_there_is_none_is_told(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(InputError, match="torch sees no GPU; set it to 'cpu'"):
        lm.train(small(corpus(tmp_path), **{"run.device": "cuda"}), out=tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch's compiler uses what torch has deprecated
def test_a_compiled_run_is_the_eager_one_up_to_rounding(tmp_path):
    source = corpus(tmp_path)
    eager = lm.train(small(source), out=tmp_path)
    compiled = lm.train(small(source, **{"run.compile": "yes", "run.micro": 2}), out=tmp_path)
    assert compiled.loss() == pytest.approx(eager.loss(), abs=1e-4)


SWEEP = """
[experiment]
runs = 5
tokens = 3072

[model]
width = 16
layers = 1
heads = 2
context = 16
[data]
source = "{source}"
eval_tokens = 256
[run]
steps = 12
batch = 4
[[sweep]]
"optimizer.lr" = [1e-3, 2e-3]
"run.seed" = [0, 1]
[[sweep]]
optimizer.name = "sgd"
optimizer.lr = [1e-3]
run.steps = 0
[[sweep]]
"optimizer.lr" = [1e-3]
"run.seed" = [0]
"""


@pytest.fixture
def sweep_file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP.format(source=corpus(tmp_path)))
    return path


def test_a_sweep_is_the_union_of_products_each_run_once(sweep_file):
    cases = plans.read_sweep(sweep_file)
    assert [case.settings for case in cases] == [
        {"optimizer.lr": 1e-3, "run.seed": 0},
        {"optimizer.lr": 1e-3, "run.seed": 1},
        {"optimizer.lr": 2e-3, "run.seed": 0},
        {"optimizer.lr": 2e-3, "run.seed": 1},
        {"optimizer.name": "sgd", "optimizer.lr": 1e-3, "run.steps": 0},
    ]
    assert plans.budget(cases) == {"runs": 5, "tokens": 4 * 12 * 4 * 16}


def test_a_sweep_repeated_does_what_is_left(sweep_file, tmp_path, monkeypatch):
    real, calls = sweeps.train, []

    def counted(config, **kwargs):
        calls.append(config.id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(config, **kwargs)

    monkeypatch.setattr(sweeps, "train", counted)
    with pytest.raises(KeyboardInterrupt):
        lm.sweep(sweep_file, tmp_path / "runs")
    runs = lm.sweep(sweep_file, tmp_path / "runs")
    assert [run.status for run in runs] == ["finished"] * 5
    assert len(calls) == 6 and len(set(calls)) == 5  # the third was begun twice


def test_a_plan_that_the_blocks_do_not_keep_is_told(sweep_file):
    sweep_file.write_text(sweep_file.read_text().replace("runs = 5", "runs = 6"))
    with pytest.raises(InputError, match="plans 6 runs but its blocks ask for 5"):
        plans.read_sweep(sweep_file)


def test_paired_runs_share_their_start_and_their_order(tmp_path):
    source = corpus(tmp_path)
    a, b = (
        Session(c, prepare(c.data))
        for c in (small(source), small(source, **{"optimizer.name": "schedule_free_sgd"}))
    )
    assert torch.equal(a.flat.theta, b.flat.theta)
    assert torch.equal(a.batches(0, 9), b.batches(0, 9))


@pytest.mark.slow
def test_processes_give_the_runs_that_one_gives(sweep_file, tmp_path):
    pytest.importorskip("submitit")
    one = lm.sweep(sweep_file, tmp_path / "one")
    two = lm.sweep(sweep_file, tmp_path / "two", cluster="local", jobs=2)
    assert [r.state_hash for r in one] == [r.state_hash for r in two]


def test_train_and_its_branch_from_the_command_line(tmp_path, capsys):
    config = small(corpus(tmp_path), **{"run.checkpoints": [8]})
    path, out = tmp_path / "c.toml", str(tmp_path / "runs")
    path.write_text(config.to_toml())
    assert main(["train", str(path), "--set", "run.seed=2", "--out", out, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["step"]) == ("finished", 12)
    run = lm.load(facts["run"])
    assert run.config == config.replaced({"run.seed": 2})
    assert facts["losses"][0]["loss"] == run.loss()
    (tmp_path / "cooldown.toml").write_text('[schedule]\nname = "linear"\n[run]\nsteps = 6\n')
    words = ["train", str(tmp_path / "cooldown.toml"), "--from", run.id, "--at", "8"]
    assert main([*words, "--out", out, "--json"]) == 0
    branch = lm.load(json.loads(capsys.readouterr().out)["run"])
    assert branch.step == 14
    same = lm.branch(run, at=8, steps=6, schedule="linear")
    assert (same.id, same.state_hash) == (branch.id, branch.state_hash)
    assert main(["train", str(path), "--out", out]) == 0
    assert "nats/token" in capsys.readouterr().out


def test_a_signal_ends_the_command_with_status_75(tmp_path, monkeypatch, capsys):
    path = tmp_path / "c.toml"
    path.write_text(small(corpus(tmp_path)).to_toml())
    real = Session.gradient

    def signalled(self):
        if self.step == 4:
            signal.raise_signal(signal.SIGTERM)
        return real(self)

    words = ["train", str(path), "--out", str(tmp_path / "runs"), "--json"]
    with monkeypatch.context() as patch:
        patch.setattr(Session, "gradient", signalled)
        assert main(words) == 75
    facts = json.loads(capsys.readouterr().out)
    assert (facts["status"], facts["step"]) == ("unfinished", 5)
    assert main(words) == 0


def test_a_sweep_from_the_command_line(sweep_file, tmp_path, capsys):
    words = ["sweep", str(sweep_file), "--out", str(tmp_path / "runs"), "--set", "run.steps=2"]
    assert main([*words, "--json"]) == 0
    assert [f["status"] for f in json.loads(capsys.readouterr().out)] == ["finished"] * 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "none.toml"], "Cannot read the config none.toml"),
        (["train", "{c}", "--set", "run.setps=3"], "did you mean 'run.steps'"),
        (["train", "{c}", "--set", "optimizer.betaz=3"], "did you mean 'betas'"),
        (["train", "{c}", "--set", "schedule.name=cosin"], "did you mean 'cosine'"),
        (["train", "{c}", "--set", "averages.names=['mean']"], "There is no average 'mean'"),
        (["train", "{c}", "--set", "averages.names=['last']"], "'last' is always measured"),
        (["train", "{c}", "--set", "run.probe=['nrm']", "--set", "run.probe_every=1"], "metric"),
        (["train", "{c}", "--at", "3"], "give --from too"),
        (["train", "{c}", "--from", "abc"], "is no run"),
        (["sweep", "{c}", "--cluster", "cloud"], "There is no cluster 'cloud'"),
    ],
)
def test_bad_words_are_one_sentence_and_status_2(words, says, tmp_path, capsys):
    path = tmp_path / "c.toml"
    path.write_text(small(corpus(tmp_path)).to_toml())
    words = [word.format(c=path) for word in words]
    assert main([*words, "--out", str(tmp_path / "runs")]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
