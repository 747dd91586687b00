"""Real logs of four projects, read a second time by a few lines that know their formats."""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.fits import read, read_all

pytestmark = pytest.mark.skipif(
    not os.environ.get("SFTHEORY_DATA"), reason="SFTHEORY_DATA does not point at the real curves"
)
CURVES = Path(os.environ.get("SFTHEORY_DATA", "")) / "curves"
SELF_TUNED = "algoperf/self_tuning/schedule_free_adamw/study_0"


def one(pattern):
    (path,) = CURVES.glob(pattern)
    return path


@pytest.mark.parametrize("model", ["csv_25", "csv_100", "csv_400"])
def test_every_multi_power_law_file_gives_its_three_columns(model):
    for path in (CURVES / "multipowerlaw" / model).glob("*.csv"):
        curve = read(path)
        with open(path) as file:
            rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
        np.testing.assert_array_equal(np.transpose([curve.step, curve.lr, curve.loss]), rows)


@pytest.mark.parametrize(
    ("folder", "loss", "rows"),
    [("wmt_pytorch", "loss", 42), ("librispeech_deepspeech_pytorch", "ctc_loss", 30)],
)
def test_event_files_agree_with_the_csv_of_the_same_run(folder, loss, rows):
    table = one(f"{SELF_TUNED}/{folder}/*/eval_measurements.csv")
    names = {f"{part}/{loss}" for part in ("train", "validation", "test")}
    assert {curve.meta["y"] for curve in read_all(table)} == names
    for name in names:
        of_csv, of_events = read(table, y=name), read(table.parent, y=name)
        np.testing.assert_array_equal(of_csv.step, of_events.step)
        assert len(of_csv) == rows
        np.testing.assert_allclose(of_csv.loss, of_events.loss, rtol=3e-7)  # single precision


@pytest.mark.parametrize(
    ("pattern", "group", "y", "points", "merged"),
    [
        ("stable*lr0.0005*", "val", "val_loss", 250, 0),
        ("stable*lr0.001*", "train", "train_loss", 1000, 0),
        ("sl_slim*", "val", "val_loss", 148, 0),
        ("openweb*", "val", "val_loss", 148, 7),
        ("openweb*", "train", "train_loss", 600, 2),
    ],
)
def test_resumed_wandb_histories_are_sorted_and_merged(pattern, group, y, points, merged):
    path = one(f"schaipp_lr_scheduling/{pattern}")
    table = json.loads(path.read_text())["history"][group]
    last = dict(zip(table["iter"], table[y], strict=True))
    curve = read(path, y=y)
    assert len(curve) == points and curve.meta["merged"] == merged
    np.testing.assert_array_equal(curve.step, sorted(last))
    np.testing.assert_array_equal(curve.loss, [last[t] for t in sorted(last)])
    rate = float(re.search(r"_lr([\d.]+)_", path.name)[1])
    constant = (curve.step >= 300) & (curve.step < curve.step[-1])
    np.testing.assert_allclose(curve.lr[constant], rate, rtol=1e-12)


@pytest.mark.parametrize("pattern", ["sl_slim*", "openweb*"])
def test_stale_losses_of_a_weight_average_keep_one_row_each(pattern):
    curve = read(one(f"schaipp_lr_scheduling/{pattern}"), y="val_loss_wa")
    np.testing.assert_array_equal(curve.step, np.arange(500, 30_000, 500))
    assert (np.diff(curve.loss[1:]) < 0.02).all()


def test_lists_of_unequal_length_are_refused():
    path = one("schaipp_lr_scheduling/openweb*")
    with pytest.raises(InputError, match="'val_acc' has 149 entries where 'iter' has 155"):
        read(path, y="val_acc")


@pytest.mark.parametrize(
    ("pattern", "y", "points", "form"),
    [
        ("*adam_95*", "train_loss", 5100, r"^step:(\d+)/5100 train_loss:(\S+) "),
        ("*adam_95*", "val_loss", 42, r"^step:(\d+)/5100 val_loss:(\S+) "),
        ("*AdamW*", "trl", 9536, r"^s:(\d+) trl:(\S+)$"),
        ("*AdamW*", "tel", 76, r"^s:(\d+) tel:(\S+)$"),
    ],
)
def test_text_logs_give_the_lines_of_one_series(pattern, y, points, form):
    path = one(f"modded_nanogpt/{pattern}")
    found = [(float(t), float(v)) for t, v in re.findall(form, path.read_text(), re.M)]
    curve = read(path, y=y)
    assert len(curve) == len(found) == points
    np.testing.assert_array_equal(np.transpose([curve.step, curve.loss]), found)
    with pytest.raises(InputError, match="several losses"):
        read(path)
