"""Resume: a run cut anywhere ends with the same bits, and with the same rows."""

import json
import signal

import pytest
import torch
from small_runs import corpus, small

from sftheory import lm
from sftheory.core.errors import InputError
from sftheory.lm import checkpoints, loop
from sftheory.lm.optimizers import OPTIMIZERS
from sftheory.lm.store import read_rows

NAMES = ["uniform", "poly:3", "lr2", "ema:0.9", "lawa:6:3", "tail:0.5"]
OPTIONS = {
    "schedule_free": {"optimizer.base": "muon"},
    "schedule_free_plus": {"optimizer.lr": 1.0, "optimizer.polyak_beta": 0.5},
    "polyak_schedule_free_sgd": {"optimizer.lr": 0.1, "optimizer.weight_decay": 0.0},
    "sgd": {"optimizer.momentum": 0.9},
}


class CutError(Exception):
    """A stop at a moment that the run does not foresee."""


def cut_at(monkeypatch, step):
    """The process dies after this step, before anything of it is written."""
    real = loop.Loop._after_step

    def dying(self):
        if self.session.step == step:
            raise CutError
        real(self)

    monkeypatch.setattr(loop.Loop, "_after_step", dying)


def rows_of(run, log="metrics"):
    return list(read_rows(run.directory / f"{log}.jsonl"))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_run_that_was_cut_ends_with_the_same_bits_and_rows(name, tmp_path, monkeypatch):
    changes = {
        "optimizer.name": name,
        "optimizer.lr": 3e-3,
        **OPTIONS.get(name, {}),
        "averages.names": NAMES,
        "averages.every": 2,
        "averages.trajectory": 4,
        "run.checkpoint_every": 3,
        "run.probe_every": 2,
        "run.probe": ["weight_norm", "grad_norm", "update_norm"],
        "schedule.name": "cosine",
        "schedule.warmup": 3,
    }
    config = small(corpus(tmp_path), **changes)
    whole = lm.train(config, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_at(patch, 8)
        with pytest.raises(CutError):
            lm.train(config, out=tmp_path / "cut")
    cut = lm.load(tmp_path / "cut" / config.id)
    assert (cut.status, cut.step) == ("unfinished", 6)
    cut = lm.train(config, out=tmp_path / "cut")
    assert cut.state_hash == whole.state_hash
    assert rows_of(cut) == rows_of(whole)
    assert rows_of(cut, "probe") == rows_of(whole, "probe")
    for (a, x, lr_a), (b, y, lr_b) in zip(cut.trajectory(), whole.trajectory(), strict=True):
        assert (a, lr_a) == (b, lr_b)
        assert torch.equal(x, y)


def test_a_finished_run_is_not_run_again(tmp_path, monkeypatch):
    config = small(corpus(tmp_path))
    first = lm.train(config, out=tmp_path)
    monkeypatch.setattr(loop.Loop, "_step", None)
    assert lm.train(config, out=tmp_path).state_hash == first.state_hash


def test_without_resume_a_run_begins_anew(tmp_path):
    config = small(corpus(tmp_path))
    first = lm.train(config, out=tmp_path)
    (first.directory / "stray").write_text("old")
    again = lm.train(config, resume=False, out=tmp_path)
    assert again.state_hash == first.state_hash
    assert not (first.directory / "stray").exists()


@pytest.mark.parametrize("damage", ["truncated", "empty state", "other bits"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(
    damage, tmp_path, monkeypatch, capsys
):
    config = small(corpus(tmp_path), **{"run.checkpoint_every": 3})
    whole = lm.train(config, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        cut_at(patch, 8)
        with pytest.raises(CutError):
            lm.train(config, out=tmp_path)
    last = tmp_path / config.id / "checkpoints" / "step-00000006"
    tensors = last / checkpoints.TENSORS
    if damage == "truncated":
        tensors.write_bytes(tensors.read_bytes()[:-100])
    elif damage == "other bits":
        raw = bytearray(tensors.read_bytes())
        raw[-5] ^= 1
        tensors.write_bytes(raw)
    else:
        (last / checkpoints.STATE).write_text("")
    again = lm.train(config, out=tmp_path)
    said = capsys.readouterr().err
    assert "step-00000006 is damaged" in said and "Going on from step 3" in said
    assert again.state_hash == whole.state_hash
    assert rows_of(again) == rows_of(whole)
    assert again.checkpoints() == whole.checkpoints()


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_the_same_call_goes_on(which, tmp_path, monkeypatch, capsys):
    config = small(corpus(tmp_path))
    whole = lm.train(config, out=tmp_path / "whole")
    real = loop.Loop._after_step

    def signalled(self):
        real(self)
        if self.session.step == 7:
            signal.raise_signal(which)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "_after_step", signalled)
        stopped = lm.train(config, out=tmp_path)
    assert (stopped.status, stopped.step) == ("unfinished", 7)
    assert "step 7 is saved" in capsys.readouterr().err
    assert signal.getsignal(which) in (signal.SIG_DFL, signal.default_int_handler)
    assert lm.train(config, out=tmp_path).state_hash == whole.state_hash


def test_only_the_wanted_checkpoints_are_kept(tmp_path):
    changes = {"run.steps": 17, "run.checkpoint_every": 2, "run.checkpoints": [6], "run.keep": 1}
    run = lm.train(small(corpus(tmp_path), **changes), out=tmp_path)
    assert run.checkpoints() == [2, 4, 6, 8, 14, 16, 17]  # powers of two, 6, one loose, the last


def test_a_config_changed_in_place_names_branch(tmp_path):
    run = lm.train(small(corpus(tmp_path)), out=tmp_path)
    path = run.directory / "config.json"
    changed = json.loads(path.read_text())
    changed["optimizer"]["lr"] = 0.5
    path.write_text(json.dumps(changed))
    with pytest.raises(InputError, match="branch"):
        lm.load(run.directory)
    with pytest.raises(InputError, match="branch"):
        lm.train(small(corpus(tmp_path)), out=run.directory)


def test_another_config_into_the_folder_of_a_run_names_what_differs_and_branch(tmp_path):
    run = lm.train(small(corpus(tmp_path)), out=tmp_path)
    with pytest.raises(InputError, match=r"run.seed was 0 and is now 1\); use lm.branch"):
        lm.train(small(corpus(tmp_path), **{"run.seed": 1}), out=run.directory)


def test_a_corpus_that_changed_since_the_run_began_is_refused(tmp_path, monkeypatch):
    source = corpus(tmp_path)
    config = small(source, **{"run.checkpoint_every": 3})
    with monkeypatch.context() as patch:
        cut_at(patch, 8)
        with pytest.raises(CutError):
            lm.train(config, out=tmp_path)
    with open(source, "a") as file:
        file.write("more")
    with pytest.raises(InputError, match=r"corpus of the run .* has changed"):
        lm.train(config, out=tmp_path)


def test_a_full_disk_is_said_and_leaves_the_checkpoints_before_it(tmp_path, monkeypatch):
    config = small(corpus(tmp_path), **{"run.checkpoint_every": 3})
    real = checkpoints._sync
    calls = []

    def full(path):
        calls.append(path)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        real(path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_sync", full)
        with pytest.raises(InputError, match="No space left on device; make room"):
            lm.train(config, out=tmp_path)
    folder = tmp_path / config.id / "checkpoints"
    assert [p.name for p in folder.iterdir()] == ["step-00000003"]
    assert lm.train(config, out=tmp_path).status == "finished"


def test_two_processes_cannot_hold_one_run(tmp_path):
    config = small(corpus(tmp_path))
    folder = loop.RunFolder(tmp_path / config.id, config)
    with folder.opened(True), pytest.raises(InputError, match="Another process"):
        lm.train(config, out=tmp_path)
