"""Every sink gives back the rows that it was given."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from sftheory.core.errors import InputError
from sftheory.probes.sinks import JSONL, Memory, Parquet, TensorBoard, make_sink

KEYS = [("", "weight_norm"), ("a.b", "weight_norm"), ("", "angle")]
FIRST = np.array([[1.0, 2.0, np.nan], [4.0, np.inf, 6.0]])
SECOND = np.array([[7.0, -np.inf, 1e-300]])


def rows():
    values = [*FIRST.ravel().tolist(), *SECOND.ravel().tolist()]
    return [
        (step, *key, None if np.isnan(value) else value)
        for (step, key), value in zip(
            [(step, key) for step in (0, 10, 20) for key in KEYS], values, strict=True
        )
    ]


SINKS = {
    "memory": lambda folder: Memory(),
    "parquet": lambda folder: make_sink(folder / "deep" / "run.parquet"),
    "jsonl": lambda folder: make_sink(str(folder / "deep" / "run.jsonl")),
}


@pytest.mark.parametrize("name", SINKS)
def test_rows_come_back_as_they_went_in(name, tmp_path):
    sink = SINKS[name](tmp_path)
    assert sink.frame().rows() == []
    sink.write([0, 10], KEYS, FIRST)
    sink.write([20], KEYS, SECOND)
    sink.close()
    frame = sink.frame()
    assert frame.rows() == rows()
    assert dict(frame.schema) == {
        "step": pl.Int64,
        "module": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
    }


def test_parquet_parts_are_read_as_one_table_and_json_lines_are_json(tmp_path):
    parquet, lines = Parquet(tmp_path / "run.parquet"), JSONL(tmp_path / "run.jsonl")
    for sink in (parquet, lines):
        sink.write([0, 10], KEYS, FIRST)
        sink.write([20], KEYS, SECOND)
    assert pl.read_parquet(tmp_path / "run.parquet").rows() == rows()
    entries = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert entries[2] == {"step": 0, "module": "", "metric": "angle", "value": None}
    assert [e["value"] for e in entries[4:8:3]] == ["inf", "-inf"]


@pytest.mark.parametrize("kind", [Parquet, JSONL])
def test_an_older_run_is_not_mixed_in_unless_asked(kind, tmp_path):
    kind(tmp_path / "run").write([0, 10], KEYS, FIRST)
    with pytest.raises(InputError, match="exists already"):
        kind(tmp_path / "run")
    again = kind(tmp_path / "run", append=True)
    again.write([20], KEYS, SECOND)
    assert again.frame().rows() == rows()


def test_tensorboard_gets_every_value_that_exists(tmp_path):
    pytest.importorskip("tensorboard")
    # the reader imports what warns, so it runs elsewhere
    sink = TensorBoard(tmp_path)
    sink.write([0, 10], KEYS, FIRST)
    sink.close()
    with pytest.raises(InputError, match="keeps no table"):
        sink.frame()
    read = (
        "import sys\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "log = EventAccumulator(sys.argv[1]); log.Reload()\n"
        "print([(t, e.step, e.value) for t in sorted(log.Tags()['scalars'])"
        " for e in log.Scalars(t)])\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", read, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert eval(found, {"inf": np.inf}) == [
        ("angle/model", 10, 6.0),
        ("weight_norm/a.b", 0, 2.0),
        ("weight_norm/a.b", 10, np.inf),
        ("weight_norm/model", 0, 1.0),
        ("weight_norm/model", 10, 4.0),
    ]


def test_listing_the_metrics_imports_neither_torch_nor_polars():
    code = (
        "import sys; from sftheory.probes import METRICS; names = METRICS.names();"
        "assert 'angle' in names and len(names) == 17, names;"
        "assert all(METRICS.summaries().values());"
        "assert not {'torch', 'polars', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
