"""One run written in every format that is read, by writers that share no code with the readers."""

import io
import json
import struct

import numpy as np
import polars as pl

STEPS = np.arange(100, 2100, 100)
LOSSES = np.round(2.9 + 28.2 / np.sqrt(STEPS + 60.0) + 0.003 * np.cos(STEPS), 4)
RATES = np.round(1e-3 * np.minimum(1, STEPS / 500), 6)


def crc32c(data):
    """CRC-32C bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def record(data):
    """A framed record of an event file."""

    def masked(part):
        crc = crc32c(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value):
    value &= (1 << 64) - 1
    octets = []
    while value > 127:
        octets.append(value & 127 | 128)
        value >>= 7
    return bytes([*octets, value])


def message(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(step, tag, scalar):
    """An event with one value; `scalar` holds the encoded fields of it."""
    value = message(1, tag.encode()) + scalar
    return record(
        b"\x09" + struct.pack("<d", 1.7e9) + b"\x10" + varint(step) + message(5, message(1, value))
    )


def simple(value):
    return b"\x15" + struct.pack("<f", value)


def tensor(value):
    """As a rank-0 float tensor with `tensor_content`."""
    return message(8, b"\x08\x01\x12\x00" + message(4, struct.pack("<f", value)))


def events(steps=STEPS, losses=LOSSES, encode=simple):
    version = record(b"\x09" + struct.pack("<d", 1.7e9) + message(3, b"brain.Event:2"))
    body = (event(int(t), "loss", encode(y)) for t, y in zip(steps, losses, strict=True))
    return version + b"".join(body)


def rows():
    return list(zip(STEPS.tolist(), LOSSES.tolist(), RATES.tolist(), strict=True))


def delimited(delimiter=",", header="step,lr,loss"):
    head = header.replace(",", delimiter) + "\n" if header else ""
    lines = (f"{t}{delimiter}{r:.6f}{delimiter}{y:.4f}\n" for t, y, r in rows())
    return (head + "".join(lines)).encode()


def lines(form):
    return "".join(form.format(t=t, y=y, r=r) + "\n" for t, y, r in rows()).encode()


def jsonl():
    return lines('{{"step": {t}, "loss": {y:.4f}, "lr": {r:.6f}}}')


def wandb():
    groups = {
        "val": {"iter": STEPS.tolist(), "val_loss": LOSSES.tolist(), "val_acc": [0.1]},
        "train": {"iter": STEPS.tolist(), "train_lr": RATES.tolist()},
        "ema": {"iter": [], "val_loss_ema": []},
    }
    return json.dumps({"name": "run", "config": {"lr": 1e-3}, "history": groups}).encode()


def trainer_state():
    history = [{"step": t, "loss": y, "learning_rate": r, "epoch": t / 1000} for t, y, r in rows()]
    history.append({"step": 2000, "train_loss": 4.0, "train_runtime": 9.0, "epoch": 2.0})
    return json.dumps({"best_metric": None, "log_history": history}, indent=2).encode()


def parquet():
    file = io.BytesIO()
    pl.DataFrame({"step": STEPS, "loss": LOSSES, "lr": RATES, "note": "x"}).write_parquet(file)
    return file.getvalue()


def algoperf():
    head = "accumulated_eval_time,global_step,score,test/num_examples,validation/loss\n"
    return (
        head + "".join(f"{t * 1.5},{t},{t * 0.5},3003,{y:.4f}\n" for t, y, _ in rows())
    ).encode()


def modded_nanogpt():
    code = """import torch
step:{step}/{args.num_iterations} val_loss:{val_loss:.4f} train_time:{t:.0f}ms
    print(f"step:{step+1}/{n} train_loss:{train_loss.item():.4f}")
for step in range(10): loss = 3.0
====
"""
    form = "step:{t}/5100 val_loss:{y:.4f} train_time:{t}ms step_avg:nanms"
    return code.encode() + lines(form)


# name: content, the y that read() needs, whether the rate is found
SAMPLES = {
    "csv": (delimited(), None, True),
    "tsv": (delimited("\t"), None, True),
    "semicolons": (delimited(";"), None, True),
    "savetxt": (delimited(" ", "# step,lr,loss"), None, True),
    "quoted": (b'"step","loss"\n' + lines('"{t}","{y:.4f}"'), None, False),
    "crlf": (b"\xef\xbb\xbf" + delimited().replace(b"\n", b"\r\n"), None, True),
    "comments": (b"# a run\n\n" + delimited().replace(b"\n500", b"\n\n# on\n500"), None, True),
    "no header": (lines("{t},{y:.4f}"), None, False),
    "jsonl": (jsonl(), None, True),
    "nested jsonl": (lines('{{"step": {t}, "train": {{"loss": {y:.4f}}}}}'), None, False),
    "wandb": (wandb(), None, True),
    "trainer state": (trainer_state(), "loss", True),
    "parquet": (parquet(), None, True),
    "events": (events(), None, False),
    "tensor events": (events(encode=tensor), None, False),
    "llm.c": (lines("s:{t} tel:{y:.4f}") + lines("s:{t} trl:3.5 lr:{r:.6f} norm:1.0"), "tel", True),
    "modded-nanogpt": (modded_nanogpt(), None, False),
    "nanoGPT": (lines("step {t}: train loss 3.5, val loss {y:.4f}"), "val_loss", False),
    "llm.c console": (
        lines("step {t}/18865 | loss {y:.4f} (+nanz)| lr {r:.2e} | 3 ms"),
        None,
        True,
    ),
    "algoperf": (algoperf(), None, False),
}
