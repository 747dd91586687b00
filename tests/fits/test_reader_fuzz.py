"""Damaged logs give a valid curve or one clean sentence, never another error."""

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from log_samples import SAMPLES

from sftheory.core.errors import InputError
from sftheory.fits import read, read_all

# what logs contain and what trips readers
WORDS = [b"\n", b"\r", b",", b";", b'"', b"'", b"#", b" ", b"\0", b"\xff", b"{", b"}", b"[", b"]"]
WORDS += [b":", b"-", b".", b"e", b"NaN", b"inf", b"1e999", b"null", b"true", b"9" * 400, b"PAR1"]
WORDS += [b"\xef\xbb\xbf", b"step", b"loss", b"lr", b"\n\n", b"1_0", b"\x80\x80\x80\x80\x80\x80"]
WORDS += [b"\x01", b"7", b",,,", b"-1", b"0" * 30, b'{"step": 3, "loss": 2}\n', b"1,2\n"]
KINDS = ["cut", "drop", "repeat", "flip", "insert", "insert", "replace"]
EACH = 25  # damaged logs for each seed that hypothesis draws, since drawing is slower than reading


def edited(content, edits):
    """`content` with parts cut, dropped, repeated, flipped, inserted and replaced."""
    for kind, where, word in edits:
        at, length = where * len(content) // 10_000, len(word) * (1 + where % 20)
        middle, rest = content[at : at + length], content[at + length :]
        content = (
            content[:at]
            + {
                "cut": b"",
                "drop": rest,
                "repeat": middle + middle + rest,
                "flip": bytes([(content[at] if middle else 0) ^ word[0]]) + content[at + 1 :],
                "insert": word + middle + rest,
                "replace": word + content[at + len(word) :],
            }[kind]
        )
    return content


def check(path, draw):
    """Reads one damaged log."""
    name = draw.choice(sorted(SAMPLES))
    content, y, _ = SAMPLES[name]
    kinds = [draw.choice(KINDS) for _ in range(draw.randint(1, 4))]
    edits = [(kind, draw.randrange(10_000), draw.choice(WORDS)) for kind in kinds]
    nonfinite, every = draw.choice(["raise", "drop"]), draw.random() < 0.5
    note(f"{name}, {edits}, {nonfinite=}, {every=}")
    path.write_bytes(edited(content, edits))
    try:
        curves = read_all(path, nonfinite) if every else [read(path, y=y, nonfinite=nonfinite)]
    except InputError as error:
        told = str(error)
        assert told.endswith((".", "?")) and "\n" not in told and "log" in told, told
        return
    for curve in curves:
        assert len(curve) > 0
        assert np.isfinite(curve.step).all() and (curve.step >= 0).all()
        assert (np.diff(curve.step) > 0).all() and np.isfinite(curve.loss).all()
        assert curve.lr is None or (np.isfinite(curve.lr) & (curve.lr >= 0)).all()
        assert isinstance(curve.meta["account"], str)


def fuzz(path, logs):
    @settings(max_examples=logs // EACH, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 2**32 - 1))
    def run(seed):
        draw = random.Random(seed)
        for _ in range(EACH):
            check(path, draw)

    run()


def test_thousands_of_damaged_logs_give_curves_or_clean_errors(tmp_path):
    fuzz(tmp_path / "log", 3000)


@pytest.mark.slow
def test_a_hundred_thousand_damaged_logs_give_curves_or_clean_errors(tmp_path):
    fuzz(tmp_path / "log", 100_000)


ONE_BYTE = """
import sys
from sftheory.core.errors import InputError
from sftheory.fits import read
path, flips = sys.argv[1], [int(word) for word in sys.argv[2:]]
content = open(path, "rb").read()
for flip in flips:
    for at in range(len(content)):
        with open(path, "wb") as file:
            file.write(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :])
        try:
            read(path, nonfinite="drop")
        except InputError as error:
            assert "\\n" not in str(error)
"""


def test_no_single_wrong_byte_of_a_parquet_file_ends_the_process(tmp_path):
    # a page header with 2^61 values makes Polars ask for that memory and abort
    path = tmp_path / "log"
    path.write_bytes(SAMPLES["parquet"][0])
    command = [sys.executable, "-c", ONE_BYTE, str(path), str(ord("-"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
