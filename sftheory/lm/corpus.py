"""Text and tokens from what is there: files, folders, archives, and Python's own source.

A source is a list of documents (a file, or a row of a table). They are joined in an order given by
the hash of their names, so that a held-out end is like the rest.
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import re
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError

MAGIC, VERSION, HEADER = 20240520, 1, 256  # of .bin files: int32 numbers before the tokens
_OPEN: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress}
_TABLES = (".parquet", ".arrow", ".jsonl")


def read_text(source: str, column: str = "text", limit: int = 0) -> bytes:
    """All text of a source, UTF-8 and at most `limit` bytes; 0 is all.

    Raises:
        InputError: there is nothing there, it is empty, or its kind is not known.
    """
    parts, size = [], 0
    for part in _documents(source, column):
        parts.append(part)
        size += len(part) + 1
        if limit and size >= limit:
            break
    text = b"\n".join(parts)
    text = text[:limit] if limit else text
    if not text.strip():
        raise InputError(f"The corpus {source} is empty; name a file or folder with text in it.")
    return text


def is_tokens(source: str) -> bool:
    """Whether the source holds token numbers rather than text."""
    path = place(source)
    return path.suffix == ".bin" or (path.is_dir() and any(path.glob("*.bin")))


def read_tokens(source: str) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """Training and validation tokens: one .bin, or a folder of train*.bin and val*.bin.

    llm.c's header is recognised; a file without it is nanoGPT's, plain uint16. Files are mapped
    into memory, several are joined.

    Raises:
        InputError: no such file, no tokens, or a header that says another length.
    """
    path = place(source)
    if not path.is_dir():
        return _bin(path), None
    train = sorted(p for p in path.glob("*.bin") if "val" not in p.name)
    val = sorted(p for p in path.glob("*.bin") if "val" in p.name)
    if not train:
        raise InputError(f"{source} has no training tokens; name one of its files train.bin.")
    return _joined(train), _joined(val) if val else None


def place(source: str) -> Path:
    """The path of a source, in which $NAME stands for the environment variable.

    A config keeps the name, so that the id of a run does not depend on the machine.

    Raises:
        InputError: the variable is not set.
    """

    def value(found: re.Match[str]) -> str:
        name = found["name"] or found["braced"]
        if name not in os.environ:
            raise InputError(
                f"The corpus {source} needs the environment variable {name}, which is not set; "
                f"set it to the folder that is meant, or give another path."
            )
        return os.environ[name]

    return Path(re.sub(r"\$(?:(?P<name>[A-Za-z_]\w*)|\{(?P<braced>\w+)\})", value, source))


def write_bin(path: Path, tokens: NDArray[np.uint16]) -> None:
    """Tokens in the format of llm.c."""
    header = np.zeros(HEADER, dtype=np.int32)
    header[:3] = MAGIC, VERSION, len(tokens)
    with path.open("wb") as file:
        file.write(header.tobytes())
        file.write(tokens.astype(np.uint16).tobytes())


def _joined(paths: list[Path]) -> NDArray[np.uint16]:
    parts = [_bin(path) for path in paths]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _bin(path: Path) -> NDArray[np.uint16]:
    if not path.is_file():
        raise InputError(f"There is no corpus {path}; give the path of a .bin file.")
    size = path.stat().st_size
    if size < 4:
        raise InputError(f"The corpus {path} is empty; name a file with tokens in it.")
    header = np.fromfile(path, dtype=np.int32, count=min(HEADER, size // 4))
    if header[0] != MAGIC:
        return np.memmap(path, dtype=np.uint16, mode="r")
    count = int(header[2]) if len(header) == HEADER else -1
    if header[1] != VERSION or size != 4 * HEADER + 2 * count or not count:
        raise InputError(
            f"{path} says version {header[1]} and {count} tokens of 2 bytes, but has {size} bytes; "
            f"write it again."
        )
    return np.memmap(path, dtype=np.uint16, mode="r", offset=4 * HEADER)


def _documents(source: str, column: str) -> Iterator[bytes]:
    if source == "stdlib":
        root = Path(sysconfig.get_paths()["stdlib"])
        files = [p for p in root.rglob("*.py") if _is_library(p.relative_to(root))]
        return _of_files(root, files, column)
    path = place(source)
    if path.is_dir():
        return _of_files(path, [p for p in path.rglob("*") if p.is_file()], column)
    if not path.exists():
        raise InputError(
            f"There is no corpus {source}; give the path of a text file or a folder, or 'stdlib'."
        )
    return _of_file(path, column)


def _is_library(path: Path) -> bool:
    return not {"site-packages", "dist-packages", "test", "tests", "idlelib"} & set(path.parts)


def _of_files(root: Path, files: list[Path], column: str) -> Iterator[bytes]:
    def order(path: Path) -> bytes:
        return hashlib.sha256(path.relative_to(root).as_posix().encode()).digest()

    tables = [p for p in files if p.suffix in _TABLES]
    # a folder of a saved dataset has tables, besides JSON files that describe them
    for path in sorted(tables or files, key=order):
        if not path.name.startswith("."):
            yield from _of_file(path, column)


def _of_file(path: Path, column: str) -> Iterator[bytes]:
    try:
        if path.suffix in _TABLES:
            yield from _of_table(path, column)
            return
        raw = path.read_bytes()
        if path.suffix in _OPEN:
            raw = _OPEN[path.suffix](raw)
        elif path.suffix in (".zst", ".zstd"):
            raw = _unpack_zst(path, raw)
        raw.decode("utf-8")
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise InputError(f"Cannot read the corpus {path}: {error}; give another file.") from None
    except UnicodeDecodeError:
        if path.parent.name == "encodings" or path.suffix == ".py":
            return  # source in another encoding
        raise InputError(f"{path} is not UTF-8 text; convert it, or move it away.") from None
    yield raw


def _of_table(path: Path, column: str) -> Iterator[bytes]:
    import polars as pl

    read = {
        ".parquet": pl.read_parquet,
        ".arrow": pl.read_ipc_stream,  # what `save_to_disk` writes
        ".jsonl": pl.read_ndjson,
    }[path.suffix]
    try:
        table = read(path)
    except Exception as error:
        raise InputError(f"Cannot read the table {path}: {error}; give another file.") from None
    if column not in table.columns:
        raise InputError(
            f"{path} has no column {column!r}; set data.column to one of {table.columns}."
        )
    for text in table[column].cast(pl.String):
        if text:
            yield text.encode()


def _unpack_zst(path: Path, raw: bytes) -> bytes:
    try:
        from compression import zstd  # pyright: ignore[reportMissingImports]  # Python 3.14

        return zstd.decompress(raw)
    except ImportError:
        pass
    try:
        import zstandard  # pyright: ignore[reportMissingImports]

        return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    except ImportError:
        pass
    try:
        import pyarrow as pa

        return pa.input_stream(path, compression="zstd").read()
    except ImportError:
        raise InputError(
            f"{path} needs a Zstandard reader; pip install zstandard, or unpack it first."
        ) from None
