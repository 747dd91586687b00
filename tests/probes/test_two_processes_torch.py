"""Logged by two processes, a run looks as it does in one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from networks import batch, loss_of, network, table
from two_processes import KINDS, RUNS, STEPS

from sftheory.probes import probe

HERE = Path(__file__).parent


def one_process(make, passes):
    model = network()
    optimizer = make(model.parameters())
    with probe(optimizer, model, every=2) as log:
        for t in range(STEPS):
            optimizer.zero_grad()
            for i in range(passes):
                (loss_of(model, batch(t * passes + i, n=8)) / passes).backward()
            optimizer.step()
    return table(log)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """What each rank logged, and which files were written."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, str(HERE / "two_processes.py"), str(folder)]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True, env=one_thread)
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=200)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    (first, files), (second, _) = (
        json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)
    )
    return first, second, files


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_log_what_one_does(kind, name, logged):
    make, passes = RUNS[name]
    expected = one_process(make, passes)
    for rows in (logged[0][kind][name], logged[1][kind][name]):
        found = {(step, module, metric): value for step, module, metric, value in rows}
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            if key[2] == "noise_scale":
                continue  # its batches are smaller here
            # the halves of a batch are added in another order
            close = value if value is None else pytest.approx(value, rel=1e-8, abs=1e-12)
            assert found[key] == close, key


def test_only_the_first_process_writes_to_a_sink(logged):
    assert logged[2] == sorted(f"{kind} {name}.jsonl" for kind in KINDS for name in RUNS)
