"""Real loss curves: which file, which loss, and which steps are fitted.

Kinds: "lm" language models at a constant rate, validation type; "train" their noisy training
losses; "sf" schedule-free runs after 5% of the run; "diverging"; "decaying" without a rate column.
"""

from __future__ import annotations

from pathlib import Path

from sftheory.fits import Curve, read

SCHAIPP, MPL, NANO = "schaipp_lr_scheduling", "multipowerlaw", "modded_nanogpt"
SELF = "algoperf/self_tuning/schedule_free_adamw"
TUNED = "algoperf/external_tuning/schedule_free_adamw/study_0/wmt_pytorch"
BASE = "algoperf/self_tuning/baseline/study_0/wmt_jax"

# name: kind, pattern of the file, loss, first step (a share of the run where < 1), last step
CURVES = {
    "124M 5e-4 val": ("lm", f"{SCHAIPP}/stable*lr0.0005*", "val_loss", 1000, 49_900),
    "124M 5e-4 train": ("train", f"{SCHAIPP}/stable*lr0.0005*", "train_loss", 1000, 49_900),
    "124M 1e-3 val": ("lm", f"{SCHAIPP}/stable*lr0.001*", "val_loss", 1000, 49_900),
    "124M 1e-3 train": ("train", f"{SCHAIPP}/stable*lr0.001*", "train_loss", 1000, 49_900),
    "124M 30k val": ("lm", f"{SCHAIPP}/sl_slim*", "val_loss", 1000, 29_900),
    "124M 30k average": ("lm", f"{SCHAIPP}/sl_slim*", "val_loss_wa", 1000, 29_900),
    "OpenWebText2 val": ("lm", f"{SCHAIPP}/openweb*", "val_loss", 1000, 29_900),
    "OpenWebText2 average": ("lm", f"{SCHAIPP}/openweb*", "val_loss_wa", 1000, 29_900),
    "MPL 25M": ("lm", f"{MPL}/csv_25/constant_24000.csv", "loss", 0, 23_999),
    "MPL 100M 72k": ("lm", f"{MPL}/csv_100/constant_72000.csv", "loss", 0, 71_999),
    "MPL 100M 24k": ("lm", f"{MPL}/csv_100/constant_24000.csv", "loss", 0, 23_999),
    "MPL 400M": ("lm", f"{MPL}/csv_400/constant_24000.csv", "loss", 0, 23_999),
    "MPL 100M wsd": ("lm", f"{MPL}/csv_100/wsd_20000_24000.csv", "loss", 0, 20_000),
    "Adam val": ("lm", f"{NANO}/*adam_95*", "val_loss", 500, 3_500),
    "Adam train": ("train", f"{NANO}/*adam_95*", "train_loss", 500, 3_600),
    "AdamW val": ("lm", f"{NANO}/*AdamW*", "tel", 500, 7_450),
    "AdamW all": ("decaying", f"{NANO}/*AdamW*", "tel", 500, 9_500),
    "SF WMT valid": ("sf", f"{SELF}/study_0/wmt_pytorch/*/*.csv", "validation/loss", 0.05, None),
    "SF WMT train": ("sf", f"{SELF}/study_0/wmt_pytorch/*/*.csv", "train/loss", 0.05, None),
    "SF speech valid": ("sf", f"{SELF}/*/*deepspeech*/*/*.csv", "validation/ctc_loss", 0.05, None),
    "SF speech train": ("sf", f"{SELF}/*/*deepspeech*/*/*.csv", "train/ctc_loss", 0.05, None),
    "SF WMT tuned": ("sf", f"{TUNED}/*/*.csv", "validation/loss", 0.05, None),
    "ResNet": ("diverging", f"{SELF}/*/*resnet*/*/*.csv", "validation/loss", 0.05, None),
    "WMT baseline": ("decaying", f"{BASE}/*/*.csv", "validation/loss", 0.05, None),
}


def visible_curves(root: Path) -> dict[str, tuple[str, Curve]]:
    """Name -> kind and curve; `root` is the folder `curves`. Rates are left out on purpose."""
    found = {}
    for name, (kind, pattern, column, start, stop) in CURVES.items():
        (path,) = root.glob(pattern)
        whole = read(path, y=column)
        start = start if start >= 1 or start == 0 else start * whole.step[-1]
        part = whole.cut(start, stop)
        found[name] = (kind, Curve(part.step, part.loss))
    return found
