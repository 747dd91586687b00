"""Several processes share a run: replicas (DDP) and shards (FSDP2) against one process, on gloo."""

import json
import os
import signal
import socket
from datetime import timedelta

import polars as pl
import pytest
import torch
from processes import free_port, together, train_all
from small_runs import corpus, small

from sftheory import lm
from sftheory.cli import main
from sftheory.core.errors import InputError
from sftheory.lm import checkpoints, launch, loop, parallel, shard_files, training
from sftheory.lm.parallel import LostError, World
from sftheory.lm.session import Session
from sftheory.lm.store import read_rows
from sftheory.lm.tokens import prepare

KINDS = ("ddp", "fsdp")
AVERAGES = ["uniform", "poly:3", "ema:0.9", "lawa:6:3", "tail:0.5"]
OPTIONS = {
    "adamw": {},
    "muon": {},
    "schedule_free": {"optimizer.base": "muon"},
    "schedule_free_adamw": {},
    "schedule_free_plus": {"optimizer.lr": 1.0, "optimizer.polyak_beta": 0.5},
    "polyak_schedule_free_sgd": {"optimizer.lr": 0.1, "optimizer.weight_decay": 0.0},
    "gpa_adamw": {},
    "adamc": {},
    "sgd": {"optimizer.momentum": 0.9, "optimizer.lr": 0.1},
}
FEW = ["schedule_free_adamw", "polyak_schedule_free_sgd"]
METRICS = ["weight_norm", "grad_norm", "update_norm", "angle"]
QUICK = {"run.eval_grid": 0, "averages.names": ["uniform"]}


def shared(source, name="schedule_free_adamw", **changes):
    settings = {
        "optimizer.name": name,
        "optimizer.lr": 3e-3,
        **OPTIONS[name],
        "run.batch": 8,
        "averages.names": AVERAGES,
        "averages.trajectory": 4,
        "run.checkpoint_every": 3,
        "run.probe_every": 3,
        "run.probe": METRICS,
    }
    return small(source, **settings | changes)


def compared(run, one):
    """Rows to 1e-6, norms of the probe and points of averages to their rounding."""
    # Muon orthogonalises in bfloat16, where a rounding of a gradient may become 2^-9 of a step
    muon = run.config.optimizer.name in ("muon", "schedule_free")
    rows, wanted = run.frame(), one.frame()
    where = ["step", "tokens", "split", "average"]
    assert rows.select(where).equals(wanted.select(where))
    for column in ("loss", "grad_norm", "lr"):  # a Polyak rule makes its steps from the losses
        largest = (rows[column] - wanted[column]).abs().max()
        assert largest < (5e-4 if muon else 1e-6), (run.config.run.parallel, column)
    keys = ["step", "module", "metric"]
    both = run.frame("probe").join(one.frame("probe"), on=keys, how="full", suffix="_one")
    assert len(both) == len(one.frame("probe"))
    ratio = (both["value"] - both["value_one"]).abs() / both["value_one"].abs().clip(1e-3)
    assert ratio.max() < (2e-2 if muon else 1e-4)
    # An entry of Adam's step moves by the rounding of its gradient over that gradient's size,
    # times the rate; the Polyak rule of ScheduleFreePlus makes rates of .1, the others have .003
    plus = run.config.optimizer.name == "schedule_free_plus"
    atol = 1e-3 if muon else 4e-5 if plus else 2e-6
    for average in ["last", *AVERAGES]:
        own, other = (r.model(average).parameters() for r in (run, one))
        for p, q in zip(own, other, strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=atol)
            assert (p - q).norm() <= (2e-3 if muon else 5e-6) * q.norm()
    for (t, p, _), (u, q, _) in zip(run.trajectory(), one.trajectory(), strict=True):
        assert t == u
        p, q = p.float(), q.float()  # stored as bfloat16
        torch.testing.assert_close(p, q, rtol=2**-7, atol=max(atol, 1e-4))


@pytest.mark.parametrize(
    ("world", "names", "micro"),
    [
        (2, ["polyak_schedule_free_sgd"], 0),
        pytest.param(2, sorted(OPTIONS), 2, marks=pytest.mark.slow),
        pytest.param(4, sorted(OPTIONS), 0, marks=pytest.mark.slow),
    ],
    ids=["two", "two with micro-batches", "four"],
)
def test_processes_train_as_one_does(world, names, micro, tmp_path):
    source, runs, ones = corpus(tmp_path), [], {}
    for name in names:
        config = shared(source, name, **{"run.micro": micro})
        ones[name] = lm.train(config, out=tmp_path)
        runs += [config.replaced({"run.parallel": kind}) for kind in KINDS]
    together(world, train_all, [(config, tmp_path) for config in runs])
    for config in runs:
        compared(lm.load(tmp_path / config.id), ones[config.optimizer.name])


@pytest.mark.parametrize("kind", KINDS)
def test_one_process_that_shares_with_nobody_is_right_too(kind, tmp_path):
    config = shared(corpus(tmp_path))
    one = lm.train(config, out=tmp_path)
    run = lm.train(config.replaced({"run.parallel": kind}), out=tmp_path)
    compared(run, one)
    assert checkpoints.state_hash(run.state()) == run.state_hash


@pytest.mark.parametrize("world", [1, 2, 4])
def test_each_sample_is_taken_by_one_process_and_in_one_order(world, tmp_path):
    config = small(corpus(tmp_path), **{"run.batch": 8})
    tokens = prepare(config.data)
    seen = []
    for rank in range(world):
        session = Session(config, tokens, World(rank, world))
        session.world = World()  # nobody answers here
        taken = []
        real = session._loss

        def loss(tokens, *, last, real=real, taken=taken):
            taken.append(tokens)
            return real(tokens, last=last)

        session._loss = loss
        session.samples = 24
        session.world = World(rank)
        session.gradient()
        seen.append(torch.cat(taken))
    assert torch.equal(torch.cat(seen), session.batches(24, 8))


def evaluate_on_every_rank(config, out):
    with parallel.joined(config.run) as world:
        session = Session(config, prepare(config.data), world)
        for _ in range(3):
            session.move(*session.gradient())
        before = session.flat.theta.clone()
        losses = {point: session.evaluate(point) for point in session.points()}
        again = session.evaluate("x")
        assert torch.equal(session.flat.theta, before)  # parameters are y, on every rank
        assert world.gathered(losses) == [losses] * world.size
        assert again == losses["x"] != losses["last"]
        if world.first:
            (out / f"{config.run.parallel}.json").write_text(json.dumps(losses))


def evaluate_all(configs, out):
    for config in configs:
        evaluate_on_every_rank(config, out)


def test_every_process_evaluates_x_and_all_get_the_same_loss(tmp_path):
    # 16 windows in parts of 3: of five parts one process has three and the other two
    changes = {"run.batch": 6, "run.micro": 3, "optimizer.lr": 3e-3}
    config = shared(corpus(tmp_path), **changes)
    evaluate_on_every_rank(config, tmp_path)
    one = json.loads((tmp_path / "none.json").read_text())
    together(2, evaluate_all, [config.replaced({"run.parallel": k}) for k in KINDS], tmp_path)
    for kind in KINDS:
        losses = json.loads((tmp_path / f"{kind}.json").read_text())
        assert losses == pytest.approx(one, abs=1e-6)


class CutError(Exception):
    """A stop that the run does not foresee."""


def train_cut(runs, step):
    """As a crash of all processes after this step, before anything of it is written."""
    real = loop.Loop._after_step

    def dying(self):
        if self.session.step == step:
            raise CutError
        real(self)

    loop.Loop._after_step = dying
    for config, out in runs:
        try:
            lm.train(config, out=out)
        except CutError:
            continue
        raise AssertionError("the run was not cut")


def rows_of(run, log="metrics"):
    return list(read_rows(run.directory / f"{log}.jsonl"))


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_bit_for_bit_with_as_many_processes(tmp_path):
    source = corpus(tmp_path)
    configs = [shared(source, n, **{"run.parallel": k}) for n in FEW for k in KINDS]
    together(2, train_all, [(c, tmp_path / "whole") for c in configs])
    together(2, train_cut, [(c, tmp_path / "cut") for c in configs], 8)
    assert [lm.load(tmp_path / "cut" / c.id).step for c in configs] == [6] * len(configs)
    together(2, train_all, [(c, tmp_path / "cut") for c in configs])
    for config in configs:
        cut, whole = (lm.load(tmp_path / place / config.id) for place in ("cut", "whole"))
        assert cut.state_hash == whole.state_hash
        assert [rows_of(cut, log) for log in ("metrics", "probe")] == [
            rows_of(whole, log) for log in ("metrics", "probe")
        ]


@pytest.mark.slow
def test_a_run_of_four_processes_goes_on_with_two_and_ends_with_one(tmp_path):
    source = corpus(tmp_path)
    ones = {name: lm.train(shared(source, name), out=tmp_path) for name in FEW}
    configs = [shared(source, n, **{"run.parallel": k}) for n in FEW for k in KINDS]
    together(4, train_cut, [(c, tmp_path) for c in configs], 5)
    together(2, train_cut, [(c, tmp_path) for c in configs], 10)
    for config in configs:
        assert lm.load(tmp_path / config.id).checkpoints() == [3, 6, 9]
        run = lm.train(config, out=tmp_path)
        compared(run, ones[config.optimizer.name])


def test_a_branch_begins_at_shards_and_shards_begin_at_a_whole(tmp_path):
    config = shared(corpus(tmp_path), **{"run.checkpoints": [9]})
    whole = lm.train(config, out=tmp_path)
    shards = lm.train(config.replaced({"run.parallel": "fsdp"}), out=tmp_path)
    for trunk, kind in ((whole, "fsdp"), (shards, "none")):
        settings = {"run.parallel": kind}
        branch = lm.branch(trunk, at=9, steps=3, settings=settings)
        # what a constant rate goes on with is the longer trunk
        assert branch.loss("x") == pytest.approx(trunk.loss("x"), abs=1e-6)
        assert branch.loss("uniform") == pytest.approx(trunk.loss("uniform"), abs=1e-6)
        other = lm.branch(trunk, at=9, steps=1, optimizer="adamw", settings=settings)
        start = other.frame().filter(pl.col("step") == 9)["loss"][0]
        model = trunk.model("x", step=9)
        weights = Session(other.config.replaced({"run.parallel": "none"}), prepare(config.data))
        weights.load_weights(dict(model.state_dict()))
        assert start == pytest.approx(weights.evaluate("last"), abs=1e-6)


def test_a_damaged_shard_falls_back_to_the_checkpoint_before_and_says_so(
    tmp_path, monkeypatch, capsys
):
    config = shared(corpus(tmp_path), **{"run.parallel": "fsdp"})
    whole = lm.train(config, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_after_step", loop.Loop._after_step)  # put back afterwards
        train_cut([(config, tmp_path)], 8)
    last = tmp_path / config.id / "checkpoints" / "step-00000006"
    (part,) = last.glob("*.distcp")
    raw = bytearray(part.read_bytes())
    raw[len(raw) // 2] ^= 1
    part.write_bytes(raw)
    with pytest.raises(InputError, match=r"step-00000006 is damaged \(the checksum of"):
        lm.load(tmp_path / config.id).state(6)
    again = lm.train(config, out=tmp_path)
    said = capsys.readouterr().err
    assert "step-00000006 is damaged" in said and "Going on from step 3" in said
    assert again.state_hash == whole.state_hash
    assert rows_of(again) == rows_of(whole)


def test_a_disk_that_is_full_of_shards_is_said_and_leaves_what_was_before(tmp_path, monkeypatch):
    config = shared(corpus(tmp_path), **{"run.parallel": "fsdp"})
    real, calls = shard_files.save, []

    def full(*given):
        calls.append(given)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(shard_files, "save", full)
        with pytest.raises(InputError, match="No space left on device; make room"):
            lm.train(config, out=tmp_path)
    folder = tmp_path / config.id / "checkpoints"
    assert [p.name for p in folder.iterdir()] == ["step-00000003"]
    assert lm.train(config, out=tmp_path).status == "finished"


def train_signalled(config, out):
    """One process alone gets the signal, in its seventh step."""
    real = Session.gradient

    def gradient(self):
        if self.step == 6 and self.world.rank == 1:
            signal.raise_signal(signal.SIGTERM)
        return real(self)

    Session.gradient = gradient
    lm.train(config, out=out)
    Session.gradient = real


def signalled_and_resumed(configs, out):
    for config in configs:
        train_signalled(config, out / "cut")
        assert lm.load(out / "cut" / config.id).step == 7
        lm.train(config, out=out / "cut")
        lm.train(config, out=out / "whole")


def test_a_signal_to_one_process_stops_all_at_the_same_step(tmp_path):
    source = corpus(tmp_path)
    configs = [shared(source, **QUICK, **{"run.parallel": kind}) for kind in KINDS]
    together(2, signalled_and_resumed, configs, tmp_path)
    for config in configs:
        cut, whole = (lm.load(tmp_path / place / config.id) for place in ("cut", "whole"))
        assert cut.state_hash == whole.state_hash
        assert rows_of(cut) == rows_of(whole)


def train_lost(config, out):
    """The second process ends in its seventh step, without a word."""
    real = Session.gradient

    def gradient(self):
        if self.step == 6 and self.world.rank == 1:
            os._exit(0)
        return real(self)

    Session.gradient = gradient
    try:
        lm.train(config, out=out)
    except LostError as error:
        (out / "said").write_text(str(error))


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_is_lost_is_one_sentence_and_the_run_goes_on(kind, tmp_path):
    config = shared(corpus(tmp_path), **QUICK, **{"run.parallel": kind})
    together(2, train_lost, config, tmp_path)
    said = (tmp_path / "said").read_text()
    assert said.startswith("Another process of this run is gone (") and "\n" not in said
    run = lm.load(tmp_path / config.id)
    assert (run.status, run.step) == ("unfinished", 6)
    assert lm.train(config, out=tmp_path).status == "finished"


def train_apart(config, out):
    """The second machine has another corpus; then it has none."""
    real = training.prepare
    for changed, says in (
        ({"data.limit": 20000}, "read different texts"),
        ({"data.source": "none.txt"}, "There is no corpus none.txt"),
    ):
        other = config.replaced(changed).data if os.environ["RANK"] == "1" else config.data
        training.prepare = lambda _, other=other: real(other)
        with pytest.raises(InputError, match=says):
            lm.train(config, out=out)


def test_processes_that_read_other_texts_are_told_on_every_rank(tmp_path):
    together(2, train_apart, shared(corpus(tmp_path), **{"run.parallel": "ddp"}), tmp_path)
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


@pytest.mark.parametrize(
    ("environment", "parallel_", "says"),
    [
        ({"WORLD_SIZE": "2"}, "none", "run.parallel='none' but 2 processes were started"),
        ({"WORLD_SIZE": "3"}, "ddp", "run.batch=8 cannot be shared by 3 processes"),
        ({"WORLD_SIZE": "two"}, "ddp", "WORLD_SIZE='two' must be a whole number"),
        ({"WORLD_SIZE": "2"}, "ddp", "WORLD_SIZE=2 is set but RANK is not"),
        ({"WORLD_SIZE": "2", "RANK": "0"}, "fsdp", "Process 0 of 2 did not meet the others"),
        ({"WORLD_SIZE": "2", "RANK": "1"}, "fsdp", "Process 1 of 2 did not meet the others"),
    ],
)
def test_processes_that_do_not_fit_or_meet_are_told(
    environment, parallel_, says, tmp_path, monkeypatch
):
    monkeypatch.setattr(parallel, "PATIENCE", timedelta(seconds=1))
    if "RANK" in environment:
        environment = environment | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = shared(corpus(tmp_path), **{"run.parallel": parallel_})
    with pytest.raises(InputError) as error:
        lm.train(config, out=tmp_path / "runs")
    assert says in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_a_port_in_use_is_told(tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        names = {"RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": taken.getsockname()[1]}
        for name, value in (names | {"MASTER_ADDR": "127.0.0.1"}).items():
            monkeypatch.setenv(name, str(value))
        config = shared(corpus(tmp_path), **{"run.parallel": "ddp"})
        with pytest.raises(InputError, match=r"The port of 127.0.0.1:\d+ is in use; start"):
            lm.train(config, out=tmp_path / "runs")


@pytest.mark.slow
def test_the_command_starts_processes_and_ends_as_they_do(tmp_path, capfd):
    path, out = tmp_path / "c.toml", tmp_path / "runs"
    config = shared(corpus(tmp_path), **{"run.parallel": "fsdp"})
    path.write_text(config.to_toml())
    words = ["train", str(path), "--out", str(out), "--json", "--processes"]
    assert main([*words, "3"]) == 2
    assert capfd.readouterr().err.strip().startswith("sftheory: run.batch=8 cannot be shared by 3")
    assert main([*words, "2"]) == 0
    facts = json.loads(capfd.readouterr().out)
    assert (facts["status"], facts["run"]) == ("finished", str(out / config.id))
    assert launch.launched(["train", str(path), "--out", str(out), "--json"], 2) == 0  # again
