"""Sources: every kind of file gives the same tokens, and bad ones are told in a sentence."""

import gzip
import lzma
import os

import numpy as np
import polars as pl
import pytest
from small_runs import text

from sftheory.core.errors import InputError
from sftheory.lm import tokens as module
from sftheory.lm.corpus import read_text, read_tokens, write_bin
from sftheory.lm.sections import Data
from sftheory.lm.tokens import cache_folder, prepare

TEXT = text(words=4000)
RAW = TEXT.encode()


def zst(path):
    pa = pytest.importorskip("pyarrow")
    with pa.output_stream(path, compression="zstd") as out:
        out.write(RAW)


WRITERS = {
    "a.txt": lambda p: p.write_bytes(RAW),
    "a.txt.xz": lambda p: p.write_bytes(lzma.compress(RAW)),
    "a.txt.gz": lambda p: p.write_bytes(gzip.compress(RAW)),
    "a.txt.zst": zst,
    "a.parquet": lambda p: pl.DataFrame({"text": TEXT.split("\n")}).write_parquet(p),
    "a.arrow": lambda p: pl.DataFrame({"text": TEXT.split("\n")}).write_ipc_stream(p),
    "a.jsonl": lambda p: pl.DataFrame({"text": TEXT.split("\n")}).write_ndjson(p),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("folder", [False, True])
def test_a_text_is_the_same_however_it_is_packed(name, folder, tmp_path):
    WRITERS[name](tmp_path / name)
    (tmp_path / ".hidden").write_text("not this")
    assert read_text(str(tmp_path if folder else tmp_path / name)) == RAW


def test_a_saved_dataset_is_its_tables_without_their_descriptions(tmp_path):
    WRITERS["a.arrow"](tmp_path / "data-00000-of-00001.arrow")
    (tmp_path / "state.json").write_text("{}")
    assert read_text(str(tmp_path)) == RAW


def test_files_of_a_folder_are_joined_in_the_order_of_their_hashed_names(tmp_path):
    for name in "abc":
        (tmp_path / name).write_text(name)
    joined = read_text(str(tmp_path))
    assert sorted(joined.split(b"\n")) == [b"a", b"b", b"c"]
    assert read_text(str(tmp_path)) == joined
    assert read_text(str(tmp_path), limit=3) == joined[:3]


def test_the_standard_library_is_always_there():
    one = read_text("stdlib", limit=200_000)
    assert len(one) == 200_000
    assert one.count(b"import ") > 20


def test_bytes_are_the_text_and_bits_per_byte_follow(tmp_path):
    (tmp_path / "a.txt").write_bytes(RAW)
    tokens = prepare(Data(source=str(tmp_path / "a.txt"), holdout=0.1))
    assert tokens.train.tobytes() + tokens.val.tobytes() == RAW
    assert len(tokens.val) == int(0.1 * len(RAW))
    assert tokens.bits_per_byte(np.log(2.0)) == 1.0


def test_a_validation_text_of_its_own_leaves_the_source_whole(tmp_path):
    (tmp_path / "a.txt").write_bytes(RAW)
    (tmp_path / "b.txt").write_text("other")
    data = Data(source=str(tmp_path / "a.txt"), validation=str(tmp_path / "b.txt"))
    tokens = prepare(data)
    assert (tokens.train.tobytes(), tokens.val.tobytes()) == (RAW, b"other")


NUMBERS = np.arange(1000, dtype=np.uint16) * 50


def test_bins_of_nanogpt_and_of_llm_c_hold_the_same_tokens(tmp_path):
    write_bin(tmp_path / "llmc.bin", NUMBERS)
    NUMBERS.tofile(tmp_path / "nanogpt.bin")
    header = np.fromfile(tmp_path / "llmc.bin", dtype=np.int32, count=256)
    assert header[:3].tolist() == [20240520, 1, 1000] and not header[3:].any()
    for name in ("llmc.bin", "nanogpt.bin"):
        assert np.array_equal(read_tokens(str(tmp_path / name))[0], NUMBERS)
        tokens = prepare(Data(source=str(tmp_path / name)))
        assert np.array_equal(np.concatenate([tokens.train, tokens.val]), NUMBERS)
        assert tokens.vocabulary == 49951
        assert tokens.bits_per_byte(1.0) is None


def test_a_folder_of_bins_has_its_own_validation(tmp_path):
    for name, part in (("train_000001", 0), ("train_000002", 1), ("val", 2)):
        write_bin(tmp_path / f"{name}.bin", NUMBERS + part)
    tokens = prepare(Data(source=str(tmp_path)))
    assert np.array_equal(tokens.train, np.concatenate([NUMBERS, NUMBERS + 1]))
    assert np.array_equal(tokens.val, NUMBERS + 2)


def test_bpe_is_learned_once_cached_by_content_and_decodes_to_the_text(tmp_path, monkeypatch):
    tokenizers = pytest.importorskip("tokenizers")
    (tmp_path / "a.txt").write_bytes(RAW)
    data = Data(source=str(tmp_path / "a.txt"), tokenizer="bpe:280")
    first = prepare(data)
    assert first.vocabulary == 280
    assert first.bytes_per_token is not None and first.bytes_per_token > 1.5
    (path,) = cache_folder().glob("bpe-280-*.json")
    tokenizer = tokenizers.Tokenizer.from_file(str(path))
    whole = [*first.train.tolist(), *first.val.tolist()]
    assert tokenizer.decode(whole).encode() == RAW
    with monkeypatch.context() as patch:
        patch.setattr(module, "_learned", None)
        patch.setattr(tokenizers.Tokenizer, "encode_batch_fast", None, raising=False)
        assert prepare(data).sha256 == first.sha256
        named = prepare(Data(source=str(tmp_path / "a.txt"), tokenizer=str(path)))
    assert named.sha256 == first.sha256
    (tmp_path / "a.txt").write_bytes(RAW + b" more")
    assert prepare(data).sha256 != first.sha256


@pytest.mark.skipif(
    "SFTHEORY_DATA" not in os.environ, reason="SFTHEORY_DATA names no folder with real data"
)
def test_the_books_can_be_read():
    folder = os.environ["SFTHEORY_DATA"]
    held = read_text(f"{folder}/text/books_val.txt")
    assert len(held) == os.path.getsize(f"{folder}/text/books_val.txt")


def broken_bin(path):
    write_bin(path, NUMBERS)
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("name", "make", "data", "says"),
    [
        ("none.txt", None, {}, "There is no corpus .*none.txt; give the path"),
        ("none.bin", None, {}, "There is no corpus"),
        ("a.txt", lambda p: p.write_text(" \n"), {}, "is empty; name a file"),
        ("a.bin", lambda p: p.write_bytes(b""), {}, "is empty; name a file"),
        ("a.txt", lambda p: p.write_bytes(b"\xff\xfe\xff"), {}, "is not UTF-8 text"),
        ("a.txt.xz", lambda p: p.write_bytes(lzma.compress(RAW)[:-30]), {}, "Cannot read the corp"),
        ("a.txt.gz", lambda p: p.write_bytes(b"no"), {}, "Cannot read the corpus"),
        ("a.parquet", lambda p: p.write_bytes(b"no"), {}, "Cannot read the table"),
        (
            "a.parquet",
            WRITERS["a.parquet"],
            {"column": "body"},
            "no column 'body'; set data.column",
        ),
        ("a.bin", broken_bin, {}, "says version 1 and 1000 tokens"),
        ("a.txt", WRITERS["a.txt"], {"tokenizer": "bpe:12"}, "needs a size from 257"),
        ("a.txt", WRITERS["a.txt"], {"tokenizer": "gpt2"}, "There is no tokenizer 'gpt2'"),
    ],
)
def test_a_corpus_that_cannot_be_used_is_told(name, make, data, says, tmp_path):
    if make:
        make(tmp_path / name)
    with pytest.raises(InputError, match=says):
        prepare(Data(source=str(tmp_path / name), **data))
