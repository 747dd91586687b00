"""kill -9 at random moments: nothing that was saved is lost, and the end is the same to the bit."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
from small_runs import corpus, small

from sftheory import lm
from sftheory.lm import checkpoints
from sftheory.lm.store import read_rows

KILLS = 20
CHANGES = {
    "optimizer.name": "schedule_free_adamw",
    "averages.names": ["uniform", "ema:0.9", "lawa:20:4"],
    "averages.trajectory": 50,
    "run.steps": 600,
    "run.checkpoint_every": 5,
    "run.eval_every": 100,
    "run.probe_every": 50,
    "run.probe": ["weight_norm"],
}
PROGRAM = """
import sys, torch
from sftheory import lm
torch.set_num_threads(1)
print("ready", flush=True)
run = lm.train(lm.Config.read(sys.argv[1]), out=sys.argv[2])
"""


def begun(path, out):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(out)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_twenty_kills_at_random_moments_end_hash_equal(tmp_path):
    config = small(corpus(tmp_path), **CHANGES)
    path, out = tmp_path / "c.toml", tmp_path / "killed"
    path.write_text(config.to_toml())
    whole = lm.train(config, out=tmp_path / "whole")
    folder = out / config.id / "checkpoints"
    dice, killed, reached = random.Random(0), 0, 0
    while killed < KILLS:
        process = begun(path, out)
        with process.stdout as words:
            assert words.readline() == b"ready\n"
        before = set(checkpoints.steps(folder))
        limit = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < limit:
            if set(checkpoints.steps(folder)) - before:  # it works; the moment is chance from here
                break
            time.sleep(0.01)
        time.sleep(dice.random() * 0.1)
        assert process.poll() is None, "the run ended before it was killed often enough"
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        found = checkpoints.latest(folder)
        assert found is not None
        step, _, complaints = found
        assert complaints == []  # no checkpoint that has its name is broken
        assert step >= reached
        reached = step
    last = lm.train(config, out=out)
    assert last.state_hash == whole.state_hash
    for log in ("metrics", "probe"):
        rows = [list(read_rows(run.directory / f"{log}.jsonl")) for run in (last, whole)]
        assert rows[0] == rows[1]
    names = [sorted(p.name for p in run.directory.rglob("*.safetensors")) for run in (last, whole)]
    assert names[0] == names[1]
