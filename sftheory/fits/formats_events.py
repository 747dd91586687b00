"""TensorBoard event files, read without TensorFlow: framed records of protocol buffers.

A record is its length n (uint64), the masked CRC-32C of these 8 bytes, n bytes of data, and the
masked CRC-32C of the data, all little-endian. The data are an `Event`: field 2 its step, field 5 a
summary of values, each with a tag (1) and a scalar, either plain (2) or as a tensor (8).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.fits.tables import Block, Log, Table, rows

LONGEST = 1 << 16  # bytes of a record with scalars; longer ones hold images or histograms
POLYNOMIAL = 0x82F63B78  # CRC-32C, bits reversed


class _Scalar(NamedTuple):
    step: float
    value: float
    place: str


def is_events(head: bytes) -> bool:
    """Whether `head` begins an event file: the first length has its checksum."""
    data = np.frombuffer(head[:12], np.uint8)
    return len(data) == 12 and int(_masked(data, np.array([0]), np.array([8]))[0]) == _crc(head, 8)


def events(paths: Sequence[str]) -> Log:
    """The scalars of the event files of one run, each tag a table of its own.

    Raises:
        InputError: a record is damaged, or there is no scalar.
    """
    series: dict[str, list[_Scalar]] = {}
    cut = 0
    for path in paths:
        data = Path(path).read_bytes()
        spans, whole = _records(path, data)
        cut += not whole
        for i, (start, stop) in enumerate(spans, start=1):
            if stop - start > LONGEST:
                continue
            place = f"record {i}" + (f" of {os.path.basename(path)}" if len(paths) > 1 else "")
            try:
                for tag, step, value in _scalars(data, start, stop):
                    series.setdefault(tag, []).append(_Scalar(step, value, place))
            except (ValueError, IndexError, struct.error):
                raise InputError(f"{path}, {place}: is no event; write the log again.") from None
    if not series:
        raise InputError(f"{paths[0]} holds no scalars; log a loss with add_scalar.")
    return Log("TensorBoard events", [_table(tag, found) for tag, found in series.items()], cut)


def _table(tag: str, scalars: list[_Scalar]) -> Table:
    name = tag if tag != "step" else "step (value)"

    def blocks(columns: Sequence[str]) -> Iterator[Block]:
        cells: dict[str, list[float | None]] = {
            "step": [scalar.step for scalar in scalars],
            name: [scalar.value for scalar in scalars],
        }
        yield rows(columns, cells, lambda row: scalars[row].place)

    return Table(("step", name), blocks)


def _records(path: str, data: bytes) -> tuple[list[tuple[int, int]], bool]:
    """Where the data of each whole record lie, and whether the file ends with one.

    Raises:
        InputError: a checksum does not fit.
    """
    spans: list[tuple[int, int]] = []
    at = 0
    while at + 12 <= len(data):
        stop = at + 12 + int.from_bytes(data[at : at + 8], "little")
        if stop + 4 > len(data):
            break
        spans.append((at + 12, stop))
        at = stop + 4
    octets = np.frombuffer(data, np.uint8)
    heads = [start - 12 for start, _ in spans] + [at] * (at + 12 <= len(data))
    short = [(start, stop - start) for start, stop in spans if stop - start <= LONGEST]
    checked = np.array([(head, 8) for head in heads] + short).reshape(-1, 2)
    wrong = [
        int(start)
        for (start, length), crc in zip(
            checked.tolist(), _masked(octets, *checked.T).tolist(), strict=True
        )
        if crc != _crc(data, start + length)
    ]
    if wrong:
        i = sum(start - 12 < min(wrong) for start, _ in spans)
        raise InputError(
            f"{path}, record {max(i, 1)}: its checksum does not fit, so the file is damaged; "
            f"copy it again."
        )
    return spans, at == len(data)


def _crc(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


@cache
def _crc_table() -> NDArray[np.uint32]:
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(POLYNOMIAL), crc >> 1)
    return crc


def _masked(
    data: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint32]:
    """The masked CRC-32C of many pieces of `data`, one byte of all of them at a time."""
    table = _crc_table()
    order = np.argsort(-lengths, kind="stable")
    first, length = starts[order], lengths[order]
    crc = np.full(len(first), 0xFFFFFFFF, dtype=np.uint32)
    for i in range(int(length[0]) if len(length) else 0):
        n = int(np.searchsorted(-length, -i, side="left"))  # pieces that are longer than i
        crc[:n] = table[(crc[:n] ^ data[first[:n] + i]) & 0xFF] ^ (crc[:n] >> np.uint32(8))
    crc = ~crc
    masked = np.empty_like(crc)
    masked[order] = ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + np.uint32(0xA282EAD8)
    return masked


def _scalars(data: bytes, start: int, stop: int) -> Iterator[tuple[str, float, float]]:
    """(tag, step, value) of each scalar of an event."""
    step, summaries = 0, []
    for number, value in _fields(data, start, stop):
        if number == 2 and isinstance(value, int):
            step = value - (value >> 63 << 64)  # two's complement
        elif number == 5 and isinstance(value, tuple):
            summaries.append(value)
    for summary in summaries:
        for number, inner in _fields(data, *summary):
            if number == 1 and isinstance(inner, tuple):
                tag, found = _value(data, *inner)
                if found is not None:
                    yield tag, float(step), found


def _value(data: bytes, start: int, stop: int) -> tuple[str, float | None]:
    tag, found = "", None
    for number, value in _fields(data, start, stop):
        if number == 1 and isinstance(value, tuple):
            tag = data[slice(*value)].decode("utf-8", "replace")
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            found = struct.unpack("<f", value)[0]
        elif number == 8 and isinstance(value, tuple):
            found = _tensor(data, *value)
    return tag, found


# dtype of a tensor: how its content is packed
CONTENT = {1: "<f", 2: "<d", 3: "<i", 9: "<q", 19: "<e"}
# field of a tensor with typed values: how they are packed
TYPED = {5: "<f", 6: "<d"}


def _tensor(data: bytes, start: int, stop: int) -> float | None:
    """The only number of a tensor, None if it holds none or several."""
    dtype, content, values = 0, b"", []
    for number, value in _fields(data, start, stop):
        if number == 1 and isinstance(value, int):
            dtype = value
        elif number == 4 and isinstance(value, tuple):
            content = data[slice(*value)]
        elif number in TYPED and not isinstance(value, int):
            packed = value if isinstance(value, bytes) else data[slice(*value)]
            values += [one for (one,) in struct.iter_unpack(TYPED[number], packed)]
    if content and dtype in CONTENT and len(content) == struct.calcsize(CONTENT[dtype]):
        return float(struct.unpack(CONTENT[dtype], content)[0])
    return float(values[0]) if len(values) == 1 else None


def _fields(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int | bytes | tuple[int, int]]]:
    """(number, value) of each field: an int, the bytes of a fixed one, or where a message lies."""
    while at < stop:
        key, at = _varint(data, at, stop)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at, stop)
        elif wire == 2:
            size, at = _varint(data, at, stop)
            value, at = (at, at + size), at + size
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        else:
            raise ValueError(f"wire type {wire}")
        if at > stop:
            raise ValueError("a field is longer than its message")
        yield number, value


def _varint(data: bytes, at: int, stop: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if at >= stop or shift > 63:
            raise ValueError("a number is cut")
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & (1 << 64) - 1, at
        shift += 7
