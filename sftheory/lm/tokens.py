"""From text to the token numbers of a run: bytes, or byte-pair encoding, cached by content."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.lm.corpus import is_tokens, read_text, read_tokens, write_bin
from sftheory.lm.sections import Data

_PIECE = 20_000  # characters encoded at once; one long text is several times slower

Encode = Callable[[bytes], NDArray[Any]]


@dataclass(frozen=True)
class Tokens:
    """What a run reads.

    Attributes:
        train, val: (n,) token numbers.  vocabulary: one more than the largest possible.
        bytes_per_token: of the validation text; None where only tokens are known.
        sha256: of the training and validation tokens.
    """

    train: NDArray[Any]
    val: NDArray[Any]
    vocabulary: int
    bytes_per_token: float | None
    sha256: str

    def bits_per_byte(self, loss: float) -> float | None:
        """(nats / ln 2) / (bytes per token); None where the bytes are not known."""
        return None if self.bytes_per_token is None else loss / math.log(2) / self.bytes_per_token


def prepare(data: Data) -> Tokens:
    """The tokens that [data] names.

    Raises:
        InputError: a missing, empty or unreadable source, or a tokenizer that is not known.
    """
    if is_tokens(data.source):
        train, val = read_tokens(data.source)
        val = read_tokens(data.validation)[0] if data.validation else val
        if val is None:
            train, val = _split(train, data.holdout)
        largest = max(int(train.max()), int(val.max()))
        return Tokens(train, val, largest + 1, None, _sha256(train, val))
    text = read_text(data.source, data.column, data.limit)
    if data.validation:
        held = read_text(data.validation, data.column)
    else:
        both = np.frombuffer(text, dtype=np.uint8)
        text, held = (part.tobytes() for part in _split(both, data.holdout))
    encode, vocabulary = _encoder(data.tokenizer, text)
    train, val = encode(text), encode(held)
    return Tokens(train, val, vocabulary, len(held) / max(1, len(val)), _sha256(train, val))


def cache_folder() -> Path:
    """Where tokenizers and encoded texts are kept: $SFTHEORY_CACHE, or ~/.cache/sftheory."""
    return Path(os.environ.get("SFTHEORY_CACHE") or Path.home() / ".cache" / "sftheory")


def _split(values: NDArray[Any], holdout: float) -> tuple[NDArray[Any], NDArray[Any]]:
    cut = len(values) - int(holdout * len(values))
    return values[:cut], values[cut:]


def _sha256(*parts: NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(b"|")
    return digest.hexdigest()


def _encoder(name: str, text: bytes) -> tuple[Encode, int]:
    if name == "bytes":
        return lambda raw: np.frombuffer(raw, dtype=np.uint8), 256
    tokenizer, key = _bpe(name, text)
    size = tokenizer.get_vocab_size()
    if size > 2**16:
        raise InputError(f"Tokenizer {name!r} has {size} tokens; at most 65536 are supported.")

    def encode(raw: bytes) -> NDArray[np.uint16]:
        path = cache_folder() / f"{key[:16]}-{hashlib.sha256(raw).hexdigest()[:32]}.bin"
        if not path.exists():
            written = raw.decode("utf-8", errors="replace")
            pieces = [written[i : i + _PIECE] for i in range(0, len(written), _PIECE)]
            ids = [np.array(e.ids, dtype=np.uint16) for e in tokenizer.encode_batch_fast(pieces)]
            _atomically(path, lambda own: write_bin(own, np.concatenate(ids)))
        return read_tokens(str(path))[0]

    return encode, size


def _bpe(name: str, text: bytes) -> tuple[Any, str]:
    """The tokenizer and a hash of its definition."""
    try:
        import tokenizers
    except ImportError:
        raise InputError(
            f"Tokenizer {name!r} needs tokenizers; pip install 'sftheory[lm]', or use 'bytes'."
        ) from None
    kind, _, size = name.partition(":")
    if kind == "bpe":
        if not size.isdecimal() or not 257 <= int(size) <= 2**16:
            raise InputError(f"{name!r} needs a size from 257 to 65536; write 'bpe:4096'.")
        made_of = hashlib.sha256(text).hexdigest()[:32]
        path = cache_folder() / f"bpe-{size}-{made_of}.json"
        if not path.exists():
            tokenizer = _learned(text, int(size))
            _atomically(path, lambda own: tokenizer.save(str(own)))
    else:
        path = Path(name)
        if not path.is_file():
            raise InputError(
                f"There is no tokenizer {name!r}; use 'bytes', 'bpe:4096' or a tokenizer.json."
            )
    key = hashlib.sha256(path.read_bytes()).hexdigest()
    return tokenizers.Tokenizer.from_file(str(path)), key


def _learned(text: bytes, size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    pre: Any = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    written = text[:20_000_000].decode("utf-8", errors="replace")
    pieces = (written[i : i + _PIECE] for i in range(0, len(written), _PIECE))
    tokenizer.train_from_iterator(pieces, trainer)
    return tokenizer


def _atomically(path: Path, write: Callable[[Path], Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    write(unfinished)
    unfinished.rename(path)
