"""Every format gives the numbers that were written, and says what was left out."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from log_samples import LOSSES, RATES, SAMPLES, STEPS, delimited, event, events, simple

from sftheory.core.errors import InputError
from sftheory.fits import formats_text, read, read_all, tables


@pytest.fixture
def write(tmp_path):
    def written(content, name="log"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.mark.parametrize("name", SAMPLES)
def test_every_format_gives_the_steps_losses_and_rates_that_were_written(write, name):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    content, y, rate = SAMPLES[name]
    curve = read(write(content), y=y)  # the file's name says nothing
    np.testing.assert_array_equal(curve.step, STEPS)
    exact = 0 if "events" not in name else 2e-7  # event files hold single precision
    np.testing.assert_allclose(curve.loss, LOSSES, rtol=exact, atol=0)
    assert (curve.lr is not None) == rate
    if rate:
        np.testing.assert_allclose(curve.lr, RATES, rtol=1e-2 if "console" in name else 1e-15)
    assert curve.meta["rows"] == len(STEPS)
    assert curve.meta["partial"] == curve.meta["merged"] == curve.meta["nonfinite"] == 0


@pytest.mark.parametrize("name", ["csv", "jsonl", "savetxt", "llm.c", "quoted", "comments"])
def test_blocks_of_any_size_give_the_same_curve(write, monkeypatch, name):
    content, y, _ = SAMPLES[name]
    whole = read(write(content), y=y)
    for size in (10, 64, 257):
        monkeypatch.setattr(tables, "CHUNK", size)
        parts = read(write(content), y=y)
        np.testing.assert_array_equal(parts.loss, whole.loss)
        assert parts.meta == whole.meta


@pytest.mark.parametrize("size", [16, 1 << 25])
@pytest.mark.parametrize(
    "name", ["csv", "quoted", "comments", "savetxt", "jsonl", "nested jsonl", "llm.c"]
)
def test_a_loss_that_is_nan_is_found_on_its_line_or_dropped(write, monkeypatch, name, size):
    content, y, _ = SAMPLES[name]
    bad = content.replace(f"{LOSSES[12]:.4f}".encode(), b"NaN", 1)
    line = content[: content.index(f"{LOSSES[12]:.4f}".encode())].count(b"\n") + 1
    monkeypatch.setattr(tables, "CHUNK", size)
    with pytest.raises(InputError, match=rf"log, line {line}: .* is nan.*nonfinite='drop'"):
        read(write(bad), y=y)
    curve = read(write(bad), y=y, nonfinite="drop")
    np.testing.assert_array_equal(curve.loss, np.delete(LOSSES, 12))
    assert curve.meta["nonfinite"] == 1 and "1 not finite" in curve.meta["account"]


@pytest.mark.parametrize("name", ["csv", "tsv", "crlf", "no header", "jsonl", "llm.c", "events"])
def test_a_log_cut_anywhere_gives_its_first_rows_and_never_another_number(write, name):
    content, y, _ = SAMPLES[name]
    rows = 0
    for stop in range(0, len(content), 1 if len(content) < 600 else 3):
        try:
            curve = read(write(content[:stop]), y=y)
        except InputError:
            assert rows == 0, stop  # only while there is no whole row
            continue
        assert len(curve) >= rows
        rows = len(curve)
        np.testing.assert_array_equal(curve.step, STEPS[:rows])
        np.testing.assert_allclose(curve.loss, LOSSES[:rows], rtol=2e-7)
    assert rows in (len(STEPS), len(STEPS) - 1)


def test_every_bit_of_a_number_survives(write):
    rng = np.random.default_rng(0)
    loss = 3 + rng.normal(size=1000) * 10.0 ** rng.integers(-12, 0, size=1000)
    step = np.sort(rng.uniform(0, 1e9, size=1000))
    pairs = list(zip(step.tolist(), loss.tolist(), strict=True))
    for content in (
        "step,loss\n" + "".join(f"{t!r},{y!r}\n" for t, y in pairs),
        "# slowly\nstep,loss\n" + "".join(f"{t!r},{y!r}\n# slowly\n" for t, y in pairs),
        "".join(json.dumps({"step": t, "loss": y}) + "\n" for t, y in pairs),
        json.dumps([{"step": t, "loss": y} for t, y in pairs]),
        "".join(f"step:{i} loss:{y!r}\n" for i, (_, y) in enumerate(pairs)),
    ):
        np.testing.assert_array_equal(read(write(content)).loss, loss)


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("step,lr,loss", ("step", "loss", "lr")),
        ("iter,val_loss", ("iter", "val_loss", None)),
        ("_step,train/step,train/loss,train/lr", ("train/step", "train/loss", "train/lr")),
        ("epoch,global_step,eval_loss,eval_ppl", ("global_step", "eval_loss", None)),
        ("tokens,loss,tokens_per_sec", ("tokens", "loss", None)),
        ("step,tokens,trainLoss,grad_norm", ("step", "trainLoss", None)),
        ("consumed_samples,lm loss,loss scale", ("consumed_samples", "lm loss", None)),
        ("step,ctc_loss,loss_scale,learning_rate", ("step", "ctc_loss", "learning_rate")),
        ("Step,run - train/loss,run - train/loss__MIN,run - train/loss__MAX",
         ("Step", "run - train/loss", None)),
        ("Wall time,Step,Value", ("Step", "Value", None)),
        ("t,nll", ("t", "nll", None)),
        ("step,loss,lr/0,lr/1", ("step", "loss", None)),
        ("loss", ("row number", "loss", None)),
    ],
)  # fmt: skip
def test_columns_are_found_by_their_names_and_accounted_for(write, header, chosen):
    width = header.count(",") + 1
    content = header + "\n" + "".join(",".join([f"{t}"] * width) + "\n" for t in (1, 2, 3))
    curve = read(write(content))
    assert (curve.meta["x"], curve.meta["y"], curve.meta["lr"]) == chosen
    assert curve.step.tolist() == curve.loss.tolist() == [1, 2, 3]
    for name in chosen[1:]:
        assert name is None or repr(name) in curve.meta["account"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("step,train/loss,validation/loss\n1,3,3\n", ["train/loss", "validation/loss"]),
        ("s:1 trl:3.0\ns:1 tel:3.1\n", ["trl", "tel"]),
        ("step 0: train loss 4.2, val loss 4.3\n", ["train_loss", "val_loss"]),
        (json.dumps([{"step": 1, "loss": 3}, {"step": 1, "eval_loss": 3}]), ["loss", "eval_loss"]),
        (json.dumps({"a": {"iter": [1], "loss": [3]}, "b": {"iter": [1], "loss": [3]}}),
         ["a/loss", "b/loss"]),
        ('{"step": 1, "loss": 3}\n' * 2500 + '{"step": 9, "val_loss": 3}\n', ["loss", "val_loss"]),
        ('{"step": 1, "loss1": 3}\n{"step": 2, "loss1": 3}\n{"step": 1, "loss2": 3}\n',
         ["loss1", "loss2"]),
        (event(1, "train/loss", simple(3.0)) + event(1, "val/loss", simple(3.0)),
         ["train/loss", "val/loss"]),
    ],
    ids=["csv", "llm.c", "nanoGPT", "rows", "groups", "late", "digits", "events"],
)  # fmt: skip
def test_of_several_losses_none_is_guessed_and_each_can_be_chosen(write, content, names):
    path = write(content)
    with pytest.raises(InputError, match="several losses; choose with y= one of") as caught:
        read(path)
    assert all(repr(name) in str(caught.value) for name in names)
    curves = read_all(path)
    assert [curve.meta["y"] for curve in curves] == names
    for curve in curves:
        chosen = read(path, y=curve.meta["y"])
        np.testing.assert_array_equal(chosen.loss, curve.loss)


def test_a_column_that_comes_late_can_be_chosen(write):
    late = '{"step": 9, "nested": {"score": 7.5}}\n'
    assert read(write('{"step": 1, "loss": 3}\n' * 5000 + late), y="score").loss.tolist() == [7.5]


def test_columns_without_values_are_no_candidates(write):
    assert read(write("step,loss,val_loss\n1,3,\n2,2,\n")).meta["y"] == "loss"


def test_rows_are_sorted_merged_and_counted(write):
    curve = read(write("step,loss,acc\n1,9,\n2,8,\n3,,0.5\n,7,\n4,6,\n2,7.5,\n4,6,\n3,7,\n"))
    assert curve.step.tolist() == [1, 2, 3, 4] and curve.loss.tolist() == [9, 7.5, 7, 6]
    counts = {"rows": 8, "dropped": 1, "no_step": 1, "merged": 2, "conflicts": 1}
    assert counts.items() <= curve.meta.items()
    for told in ("8 rows", "1 without a loss", "1 without a step", "2 merged", "1 of these"):
        assert told in curve.meta["account"]


def test_the_rate_is_matched_by_step_where_it_has_rows_of_its_own(write):
    history = {"val": {"iter": [10, 20, 30], "val_loss": [3, 2, 1]},
               "train": {"iter": [5, 15, 25], "lr": [0.1, 0.2, 0.4]}}  # fmt: skip
    curve = read(write(json.dumps(history)))
    np.testing.assert_allclose(curve.lr, [0.15, 0.3, 0.4], rtol=1e-15)
    assert "interpolated" in curve.meta["account"]
    mixed = '{"step":1,"lr":0.1}\n{"step":2,"loss":3}\n{"step":3,"lr":0.3}\n{"step":4,"loss":2}\n'
    np.testing.assert_allclose(read(write(mixed)).lr, [0.2, 0.3], rtol=1e-15)
    assert read(write(delimited()), lr="lr", x="step", y="loss").meta["lr"] == "lr"


def test_the_average_in_the_last_row_of_a_trainer_state_is_no_loss(write):
    content, *_ = SAMPLES["trainer state"]
    assert [curve.meta["y"] for curve in read_all(write(content))] == ["loss"]


def test_a_loss_logged_more_often_than_it_is_measured_keeps_one_row_each(write):
    step = np.arange(600, 30_000, 200)
    loss = 3 + 1 / np.sqrt(500 * (step // 500))
    pairs = zip(step, loss, strict=True)
    curve = read(write("step,loss\n" + "".join(f"{t},{y}\n" for t, y in pairs)))
    np.testing.assert_array_equal(curve.step, np.arange(500, 30_000, 500))
    np.testing.assert_allclose(curve.loss, 3 + 1 / np.sqrt(curve.step), rtol=1e-15)
    assert curve.meta["stale"] == len(step) - 59 and "every 500" in curve.meta["account"]


@pytest.mark.parametrize(
    "loss",
    [np.round(3 + 1 / np.arange(1.0, 301), 2), np.full(300, 3.0), np.repeat([4.0, 3.0], 150)],
    ids=["rounded to two decimals", "constant", "one drop"],
)
def test_losses_that_merely_repeat_are_left_alone(write, loss):
    curve = read(write("step,loss\n" + "".join(f"{t},{y}\n" for t, y in enumerate(loss))))
    np.testing.assert_array_equal(curve.loss, loss)
    assert curve.meta["stale"] == 0


@pytest.mark.parametrize(
    "steps",
    [
        [1, 2309, 4618, 6926, 9234, 11543],
        [1, 10, 100, 1000, 10_000, 100_000],
        [*range(11), *range(1000, 9000, 1000)],
        [0, *range(100_000, 900_000, 100_000)],
        [*range(10, 100, 10), *range(100, 1000, 100), *range(1000, 9000, 1000)],
        [1, 2, 3, 5000],
    ],
)
def test_rare_logging_is_no_change_of_unit(write, steps):
    content = "step,loss\n" + "".join(f"{t},{3 + 1 / (t + 1)}\n" for t in steps)
    assert read(write(content)).step.tolist() == steps


def test_event_files_of_a_folder_are_one_run_and_resumed_rows_win(tmp_path):
    (tmp_path / "events.out.tfevents.1").write_bytes(events([1, 2, 3], [4, 3, 2.5])[:-5])
    (tmp_path / "events.out.tfevents.2").write_bytes(events([2, 3, 4], [3.5, 2.75, 2.0]))
    (tmp_path / "hparams.yaml").write_text("lr: 1")
    curve = read(tmp_path)
    assert curve.step.tolist() == [1, 2, 3, 4] and curve.loss.tolist() == [4, 3.5, 2.75, 2]
    assert (curve.meta["partial"], curve.meta["merged"]) == (1, 1)


def test_the_own_reader_of_event_files_agrees_with_tensorboard(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(tmp_path))
    rng = np.random.default_rng(1)
    kinds = {
        "plain/loss": lambda y: {"simple_value": y},
        "float_val/loss": lambda y: {"tensor": tensor_pb2.TensorProto(dtype=1, float_val=[y])},
        "double/loss": lambda y: {"tensor": tensor_pb2.TensorProto(dtype=2, double_val=[y])},
        "half/loss": lambda y: {
            "tensor": tensor_pb2.TensorProto(dtype=19, tensor_content=np.float16(y).tobytes())
        },
        "vector": lambda y: {"tensor": tensor_pb2.TensorProto(dtype=1, float_val=[y, y])},
        "text": lambda y: {"tensor": tensor_pb2.TensorProto(dtype=7, string_val=[b"loss"])},
    }
    written = {tag: [] for tag in kinds}
    for step in range(0, 300, 3):
        values = []
        for tag, kind in kinds.items():
            written[tag].append(rng.uniform(1, 9))
            values.append(summary_pb2.Summary.Value(tag=tag, **kind(written[tag][-1])))
        summary = summary_pb2.Summary(value=values)
        writer.add_event(event_pb2.Event(wall_time=1.0, step=step, summary=summary))
    big = summary_pb2.Summary.Value(tag="image", image={"encoded_image_string": b"\0" * 70_000})
    writer.add_event(event_pb2.Event(step=300, summary=summary_pb2.Summary(value=[big])))
    writer.close()
    curves = {curve.meta["y"]: curve for curve in read_all(tmp_path)}
    assert set(curves) == {tag for tag in kinds if tag.endswith("loss")}
    for tag, curve in curves.items():
        tolerance = {"half/loss": 1e-3, "double/loss": 1e-15}.get(tag, 1e-7)  # of the type
        np.testing.assert_allclose(curve.loss, written[tag], rtol=tolerance)
        assert curve.step.tolist() == list(range(0, 300, 3))
    other = accumulator.EventAccumulator(str(tmp_path), {"scalars": 0, "tensors": 0}).Reload()
    scalars = other.Scalars("plain/loss")
    assert [s.value for s in scalars] == curves["plain/loss"].loss.tolist()


def test_damaged_parquet_files_and_a_missing_pyarrow_are_said(write, monkeypatch):
    content, *_ = SAMPLES["parquet"]
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(InputError, match=r"pip install 'sftheory\[logs\]'"):
            read(write(content))
    pytest.importorskip("pyarrow")
    for damaged in (b"PAR1" + bytes(60), content[:-30], content[:200] + content[220:]):
        with pytest.raises(InputError, match="is a damaged Parquet file"):
            read(write(damaged))


WORDS = ["step 5", "s:17", "iter=300/9", " step:1", ": ", " ", ", ", " | ", "loss", "train loss 3"]
WORDS += [
    "loss=2.5e-3",
    "loss 31",
    "val_loss:0.125",
    "loss nan",
    "loss:-inf",
    "(+1.2z)",
    "\tloss 7,",
]


def test_numbers_cut_from_all_lines_of_a_shape_are_those_of_each_line_alone():
    rng = np.random.default_rng(0)
    ends = ["".join(rng.choice(WORDS, size=rng.integers(1, 7))) for _ in range(12_000)]
    lines = [rng.choice(WORDS[:4]) + end for end in ends]
    lines += [line.translate(str.maketrans("357", "918")) for line in lines]
    for name in ("loss", "train_loss", "val_loss"):
        pattern = formats_text._pattern(name)
        at, step, value = formats_text._cells("\n".join(lines).encode(), pattern)
        found = [(i, pattern.match(line.encode())) for i, line in enumerate(lines)]
        expected = [(i, float(m[1]), float(m[2])) for i, m in found if m]
        np.testing.assert_array_equal(np.transpose([at, step, value]), expected)
        assert len(expected) > 100


@pytest.mark.parametrize(
    "late",
    [
        '{"step": 9, "loss": 1.5, "val_loss": 2.5}',
        '{"step": 9, "val_loss": 2.5}',
        '{"step": 9, "inner": {"loss": 2.5}}',
        '{"step": 9, "loss": 1.5, "l\\u006fss2": 2.5}',
    ],
)
def test_a_loss_that_appears_late_in_json_lines_is_seen(write, late):
    early = "".join(f'{{"step": {t}, "loss": {5 - t / 10}}}\n' for t in range(9))
    with pytest.raises(InputError, match="several losses"):
        read(write(f"{early}{late}\n"))


def test_words_that_appear_late_in_json_lines_are_an_error_of_their_line(write):
    early = "".join(f'{{"step": {t}, "loss": {5 - t / 10}}}\n' for t in range(9))
    with pytest.raises(InputError, match="line 10: 'loss' holds 'none yet'"):
        read(write(early + '{"step": 9, "loss": "none yet"}\n'))


HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"log is empty \(0 bytes\)"),
        (b" \n \n", "holds nothing but blanks"),
        (b"\0\1\2" * 40, "is binary and no log"),
        (bytes(range(128, 256)) * 9, "is binary and no log"),
        (b"\x1f\x8b\x08" + bytes(40), "is packed with gzip; unpack it first"),
        ("step,loss\n1,2\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("Dear all,\nhere is no log.\n", "is no log that is known"),
        ("step,loss\n", "has a header but no row"),
        ("step,loss\n1,3", "no row with both a step"),
        ("step,loss\n1,3\n2,nats\n", "line 3: 'loss' holds 'nats', which is no plain number"),
        ("step,loss\n1k,3\n2k,2\n", "line 2: 'step' holds '1k'.* in one unit"),
        ("step,loss\n1,3.5 nats\n2,2\n", "line 2: 'loss' holds '3.5 nats'"),
        ("step,loss\n1,3\n2,1_000\n", "line 3: 'loss' holds '1_000'"),
        ("step;loss\n1;3,5\n2;3,2\n", "line 2: 'loss' holds '3,5'"),
        ("step,loss\n1,3\n2,2,1\n", "line 3: 3 cells stand where 2 columns are expected"),
        ("step,loss\n1,3\n-2,2\n", "line 3: 'step' is -2; a step must be a finite number >= 0"),
        ("step,loss\n1,3\ninf,2\n", "line 3: 'step' is inf"),
        ("step,lr,loss\n1,-0.1,3\n", "line 2: 'lr' is -0.1; a rate must be >= 0"),
        ("step,loss\n1,3\n2,-inf\n", "line 3: 'loss' is -inf"),
        ("step,note,loss\n1,\"a\nb\",3\n2,c,nan\n", "line 4: 'loss' is nan"),
        ("step,note,loss\n1,\"a\n,3\n2,c,2\n", "line .*: unexpected end of data"),
        ("step,tokens,loss\n1,,3\n,5000,2\n", "line 3: 'tokens' is 5000 but 'step' is missing"),
        ("step,loss\n1,5\n2,4\n3,3\n4000,2\n5000,2\n6000,2\n", "line 5: .* goes from 3 to 4000"),
        ("a,b,c\n1,2,3\n", "no column that looks like a loss; .* one of 'a', 'b', 'c'"),
        ("loss,a,b\n3,2,1\n", "no column that looks like a step; .* one of 'a', 'b'"),
        ("s:1 trl:3.0\ns:2 trl:nan\n", "line 2: 'trl' is nan"),
        ('{"step":1,"loss":3}\n{"step":2,"lo\n{"step":3,"loss":2}\n', "line 2: is no whole JSON"),
        ('{"step":1,"loss":3}\n[2, 3]\n', "line 2: is no JSON object"),
        ('{"step":1,"loss":3}\n{"step":2,"loss":"low"}\n', "line 2: 'loss' holds 'low'"),
        ('{"step":1,"loss":3}\n{"step":2,"loss":true}\n', "line 2: 'loss' holds 'true'"),
        ('{"step":1,"loss":3}\n{"step":2,"loss":' + HUGE + "}\n", "line 2: 'loss' holds '1000"),
        ('[{"step":1,"loss":3},\n{"step":2', "line 2: the JSON document ends in the middle"),
        ('{"history": [1, 2,\n 3}', "line 2: is not JSON"),
        ('{"a": "b"}', "holds no rows of numbers"),
        ("[" * 5000, "is no log in JSON|ends in the middle"),
        (b'{"step": 1,\n"note": "\xff", "loss": 2}', "line 2: is not UTF-8"),
        (SAMPLES["events"][0][:30], "holds no scalars"),
        (SAMPLES["events"][0][:80] + b"\0" + SAMPLES["events"][0][81:], "record .*checksum"),
        (events([1, 2], [3.0, np.nan]), "record 3: 'loss' is nan"),
        (events([1, -2], [3.0, 2.0]), "record 3: 'step' is -2"),
    ],
)  # fmt: skip
def test_bad_files_are_one_sentence_with_file_and_line(write, content, reason):
    with pytest.raises(InputError, match=reason) as caught:
        read(write(content))
    told = str(caught.value)
    assert "log" in told and told.endswith(".") and "\n" not in told


@pytest.mark.parametrize(
    "content",
    [
        "step,split,loss\n" + "".join(f"{t},train,3\n{t},val,4\n" for t in range(9)),
        "step,metric,value\n" + "".join(f"{t},loss,3\n{t},acc,0.5\n" for t in range(9)),
        "".join(f'{{"step":{t},"split":"{s}","loss":{n}}}\n' for t in range(9)
                for n, s in enumerate(("train", "val"))),
        json.dumps([{"step": t, "split": s, "loss": len(s)} for t in (1, 2) for s in ("a", "bc")]),
    ],
    ids=["csv", "long table", "jsonl", "json"],
)  # fmt: skip
def test_rows_of_several_series_in_one_column_are_not_mixed(write, content):
    with pytest.raises(
        InputError, match=r"several losses at one step and a column '(split|metric)'"
    ):
        read(write(content))


def test_a_parquet_log_of_several_series_is_not_mixed_either(tmp_path):
    pytest.importorskip("pyarrow")
    steps = [t for t in range(40) for _ in range(3)]
    rows = {"step": steps, "split": ["train", "val", "val"] * 40, "loss": [1.0, 2.0, 3.0] * 40}
    rows["average"] = [None, "x", "last"] * 40
    rows["note"] = [f"row {i}" for i in range(120)]
    pl.DataFrame(rows).write_parquet(tmp_path / "log.parquet")
    wanted = "a column 'split' with 'train', 'val' and a column 'average' with 'last', 'x'; filter"
    with pytest.raises(InputError, match=wanted):
        read(tmp_path / "log.parquet")
    one = pl.DataFrame(rows).filter(pl.col("average") == "x")
    one.write_parquet(tmp_path / "one.parquet")
    assert read(tmp_path / "one.parquet").loss.tolist() == [2.0] * 40


def test_a_column_of_words_that_sorts_no_losses_does_not_matter(write):
    content = "step,phase,loss\n1,warmup,4\n2,warmup,3\n3,stable,2\n3,stable,2\n"
    assert read(write(content)).loss.tolist() == [4, 3, 2]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"y": "vall_loss"}, "log: There is no column 'vall_loss'; did you mean 'val_loss'?"),
        ({"x": "stp"}, "There is no column 'stp'; did you mean 'step'?"),
        ({"lr": "rate"}, "There is no column 'rate'"),
        ({"x": "val_loss"}, "cannot be both x and y"),
        ({"lr": "step"}, "'step' cannot be the rate and x or y too"),
        ({"nonfinite": "keep"}, "nonfinite must be 'raise' or 'drop', but got 'keep'"),
    ],
)
def test_names_that_a_log_does_not_have_are_refused_with_the_nearest(write, arguments, reason):
    with pytest.raises(InputError, match=reason):
        read(write("step,val_loss,acc\n1,3,0.5\n2,2,0.5\n"), **{"y": "val_loss"} | arguments)


def test_paths_that_hold_no_log_are_refused(tmp_path):
    (tmp_path / "events.out.tfevents.1").write_bytes(b"\x18\0\0")
    for path, reason in (
        (tmp_path / "none.csv", "none.csv: No such file"),
        (tmp_path, "folder without event files"),
        (tmp_path / "events.out.tfevents.1", "first record is cut or damaged"),
        (7, "pass a path"),
    ):
        with pytest.raises(InputError, match=reason):
            read(path)


def test_columns_of_another_length_are_not_matched_by_position(write):
    content, *_ = SAMPLES["wandb"]
    for name in ("val_acc", "val/val_acc"):
        with pytest.raises(InputError, match="'val_acc' has 1 entries where 'iter' has 20"):
            read(write(content), y=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_ten_million_rows_are_read_within_a_gigabyte(tmp_path, kind):
    n = 10_000_000
    path = tmp_path / "log"
    make = (
        "import sys, numpy as np, polars as pl; t = np.arange(int(sys.argv[2])); "
        "frame = pl.DataFrame({'step': t, 'lr': 3e-4 + 0 * t, 'loss': 3 + 28 / np.sqrt(t + 60)}); "
        "(frame.write_csv if sys.argv[3] == 'csv' else frame.write_ndjson)(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", make, str(path), str(n), kind], check=True)
    use = (
        "import sys, resource; from sftheory.fits import read; curve = read(sys.argv[1]); "
        "print(len(curve), curve.loss[-1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", use, str(path)], check=True, capture_output=True, text=True
    )
    length, last, kibibytes = done.stdout.split()
    assert int(length) == n and float(last) == 3 + 28 / np.sqrt(n - 1 + 60)
    assert int(kibibytes) * 1024 < 1e9
