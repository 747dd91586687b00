"""Logs for the law explorer, by name; `SIMPLE` are those that the static page reads too."""

import json

import numpy as np

RNG = np.random.default_rng(8)
T = np.arange(100, 10_001, 100)
LOSS = np.round(28 / np.sqrt(T + 60) + 3 + 0.004 * RNG.standard_normal(len(T)), 5)
RATE = np.round(np.where(T > 8000, 1e-3 * (10_100 - T) / 2100, 1e-3), 8)


def csv(columns, delimiter=",", quote="", end="\n"):
    names = delimiter.join(f"{quote}{name}{quote}" for name in columns)
    rows = (delimiter.join(map(str, row)) for row in zip(*columns.values(), strict=True))
    return end.join([names, *rows, ""])


def json_lines(columns):
    keys = list(columns)
    rows = zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True)
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)


def noisy(p, rho, sd=0.004, first=200, n=250):
    t = np.linspace(first, 50_000, n).round()
    e = RNG.standard_normal(n)
    for i in range(1, n):
        e[i] = rho * e[i - 1] + np.sqrt(1 - rho**2) * e[i]
    return {"step": t, "loss": 28.2 / (t + 60) ** p + 2.9766 + sd * e}


LONG = np.arange(1, 12_001)
SIMPLE = {
    "csv": csv({"step": T, "loss": LOSS}),
    "csv with a cooldown": csv({"step": T, "loss": LOSS, "lr": RATE}),
    "windows line ends": csv({"step": T, "loss": LOSS}, end="\r\n"),
    "semicolons": csv({"iteration": T, "nll": LOSS}, delimiter=";"),
    "tabs and other columns": csv(
        {"train/step": T, "train/loss": LOSS, "train/loss_scale": T, "grad_norm": LOSS}, "\t"
    ),
    "quoted names": csv({"Step": T, "run-1 - train/loss": LOSS}, quote='"'),
    "blanks without a header": "".join(f"{t} {y}\n" for t, y in zip(T, LOSS, strict=True)),
    "a comment that names": "# step,loss\n" + csv({"step": T, "loss": LOSS}).partition("\n")[2],
    "missing losses": csv({"step": T, "loss": [y if i % 3 else "" for i, y in enumerate(LOSS)]}),
    "a last line that is cut": csv({"step": T, "loss": LOSS})[:-4],
    "json lines": json_lines({"step": T, "loss": LOSS, "lr": RATE, "time": T / 7}),
    "json lines, cut": json_lines({"step": T, "loss": LOSS})[:-9],
    "rates in their own rows": "step,loss,lr\n0,,0.001\n9000,,0.001\n11000,,0.0001\n",
    "diverging": csv({"step": T, "loss": np.round(3 + T / 1e4 + 0.02 * np.cos(T), 5)}),
    "late warm-up": csv(
        {
            "step": LONG[::5],
            "loss": np.round(
                3
                + 20 / np.sqrt(LONG[::5])
                + 3 * np.exp(-LONG[::5] / 60)
                + 0.001 * RNG.standard_normal(2400),
                5,
            ),
        }
    ),
    "hidden cooldown": csv(
        {"step": T, "loss": LOSS - np.where(T > 8000, 1e-4 * (T - 8000), 0).round(6)}
    ),
    "more points than are fitted singly": csv(
        {
            "step": LONG,
            "loss": np.round(3 + 20 / np.sqrt(LONG + 90) + 0.1 * RNG.standard_normal(12_000), 5),
        }
    ),
    "flat": csv({"step": T, "loss": np.round(3 + 0.001 * RNG.standard_normal(len(T)), 6)}),
    **{
        f"p = {p}, rho = {rho}": csv(noisy(p, rho))
        for p in (0.3, 0.5, 0.8, 1.5)
        for rho in (0.0, 0.6, 0.95)
    },
}
SIMPLE["rates in their own rows"] += "".join(
    f"{t},{y},\n" for t, y in zip(T + 20, LOSS, strict=True) if t + 20 not in (9000, 11000)
)
SIMPLE["rates in their own rows"] = "\n".join(
    [
        "step,loss,lr",
        *sorted(
            SIMPLE["rates in their own rows"].split("\n")[1:-1],
            key=lambda row: float(row.split(",")[0]),
        ),
        "",
    ]
)

# what the page refuses with a sentence: Python repairs it, asks, or refuses too
OTHER = {
    "json document": json.dumps({"step": T.tolist(), "loss": LOSS.tolist()}),
    "json list": json.dumps([{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]),
    "text log": "".join(f"step:{t}/9 train_loss:{y}\n" for t, y in zip(T, LOSS, strict=True)),
    "records in records": json_lines({"step": T, "loss": LOSS})
    .replace('"loss": ', '"train": {"loss": ')
    .replace("}\n", "}}\n"),
    "steps that go back": csv({"step": np.r_[T[:50], T[40:]], "loss": np.r_[LOSS[:50], LOSS[40:]]}),
    "repeated losses": csv({"step": np.arange(300), "loss": np.repeat(LOSS, 3)}),
    "another unit": csv({"step": np.r_[T[:50], 1000 * T[50:]], "loss": LOSS}),
    "prose": "This is no log.\nIt has no numbers.\n",
    "blank": " \n\n",
    "a header alone": "step,loss\n",
    "not finite": csv({"step": T, "loss": [*LOSS[:-1], "nan"]}),
    "no plain number": csv({"step": T, "loss": [*LOSS[:-1], "3.1 nats"]}),
    "negative step": csv({"step": [-1, *T[1:]], "loss": LOSS}),
    "no loss": csv({"step": T, "accuracy": LOSS, "grad_norm": LOSS}),
    "two rows": "step,loss\n1,3\n2,2\n",
    "constant": csv({"step": T, "loss": 3 + 0 * LOSS}),
    "rising": csv({"step": T, "loss": 3 + T / 7.0}),
    "bytes": "\0\1\2\3",
}
SEVERAL = csv({"step": T, "train_loss": LOSS, "val_loss": LOSS + 0.1})


def damaged(count, seed=0):
    """Simple logs of which something is cut, doubled, moved or overwritten."""
    rng = np.random.default_rng(seed)
    heads = ("a,b", "loss,step", "step,loss,epoch", "tokens,loss", "x,y", "lr,loss", "Step,Value")
    lines = ("# a comment", "step,loss", "nan,nan", "5,nan", "inf,3", ",", ",3.0", "7,", "7")
    short = [text for text in SIMPLE.values() if len(text) < 12_000]
    for _ in range(count):
        text = short[rng.integers(len(short))]
        for kind in rng.integers(0, 8, rng.integers(1, 4)):
            i, rows = rng.integers(max(len(text), 1)), text.split("\n")
            j = rng.integers(len(rows))
            if kind == 0:
                text = text[:i] + rng.choice(list('0123456789.,;"\t\n#- exn{}:')) + text[i:]
            elif kind == 1:
                text = text[:i] + text[i + rng.integers(1, 4) :]
            elif kind == 2:
                text = text[:i]
            elif kind == 7:
                text = text.replace("\n", "\r\n")
            else:
                rows[j : j + 1] = {
                    3: [rows[j], rows[rng.integers(len(rows))]],
                    4: [],
                    5: [rows[j], str(rng.choice(lines))],
                    6: [str(rng.choice(heads))] if j < len(rows) / 4 else [""],
                }[int(kind)]
                text = "\n".join(rows)
        yield text
