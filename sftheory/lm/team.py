"""Compiled loops over rows, shared by the threads that torch's own operations use.

A loop is entered through the OpenMP runtime of `sftheory.core.openmp`. Where that cannot be found
one thread does all rows. Each thread takes the same rows every time, so that results do not depend
on chance.
"""
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numba import types
from numba.extending import intrinsic
from torch import Tensor

from sftheory.core.openmp import runtime

WORTH_SHARING = 2**15  # entries
_HEAD, _LENGTH = 4, 24  # rows, two functions of OpenMP, threads; then what the loop is given

compiled = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@intrinsic
def _pointer(context: Any, address: Any) -> Any:
    """A whole number as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@intrinsic
def _asked(context: Any, address: Any) -> Any:
    """What the C function int f(void) at an address says."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        function = ir.FunctionType(ir.IntType(32), []).as_pointer()
        return builder.call(builder.inttoptr(arguments[0], function), [])

    return types.int32(types.int64), generate


@compiled
def floats(table, at, shape):
    """The float32 array whose address is the table's entry `at`."""
    return numba.carray(_pointer(table[_HEAD + at]), shape, np.float32)


@compiled
def given(table, at):
    """The whole number that is the table's entry `at`."""
    return table[_HEAD + at]


def loop(body: Callable[..., None]) -> Callable[..., None]:
    """Makes body(table, share, first, last) a function of (rows, entries, *tensors and sizes).

    The body reads them with `floats(table, k, shape)` and `given(table, k)`; tensors are contiguous
    and float32. `shares_of(entries)` is the number of shares.
    """
    inner = compiled(body)

    @numba.cfunc("void(voidptr)", cache=True)
    def share(pointer):
        table = numba.carray(pointer, (_LENGTH,), np.int64)
        rows, n, i = table[0], np.int64(1), np.int64(0)
        if table[3] > 1:
            i, n = np.int64(_asked(table[1])), np.int64(_asked(table[2]))
        inner(table, i, rows * i // n, rows * (i + 1) // n)

    def call(rows: int, entries: int, *arguments: Tensor | int) -> None:
        table = np.zeros(_LENGTH, dtype=np.int64)
        threads = shares_of(entries)
        table[0], table[3] = rows, threads
        passed = [a.data_ptr() if isinstance(a, Tensor) else a for a in arguments]
        table[_HEAD : _HEAD + len(passed)] = passed
        openmp = runtime()
        if threads == 1 or openmp is None:
            share.ctypes(table.ctypes.data)
            return
        parallel, table[1], table[2] = openmp
        parallel(share.address, table.ctypes.data, threads, 0)

    call.__name__, call.__doc__ = body.__name__, body.__doc__
    return call


def shares_of(entries: int) -> int:
    """In how many shares the rows of so many entries are cut."""
    return torch.get_num_threads() if entries >= WORTH_SHARING and runtime() is not None else 1
