"""Small matrix products inside compiled loops, by the BLAS that torch has loaded."""
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sftheory.lm.team import compiled

_INTEGERS = types.UniTuple(types.int64, 8)  # two flags: transposed; m, n, k, three strides
_ADDRESSES = types.UniTuple(types.int64, 4)  # of sgemm and of A, B, C


@intrinsic
def _sgemm(context: Any, addresses: Any, integers: Any, alpha: Any, beta: Any) -> Any:
    """SGEMM(ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc), all by reference."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        byte = ir.IntType(8)

        def kept(value: Any) -> Any:  # 64 bits serve libraries of 32 and of 64 bits
            place = cgutils.alloca_once(builder, value.type)
            builder.store(value, place)
            return builder.bitcast(place, byte.as_pointer())

        places, whole = (
            [builder.extract_value(arguments[k], i) for i in range(count)]
            for k, count in ((0, 4), (1, 8))
        )
        letters = [
            kept(builder.select(builder.icmp_signed("!=", flag, flag.type(0)), byte(84), byte(78)))
            for flag in whole[:2]
        ]
        sizes = [kept(value) for value in whole[2:]]
        a, b, c = (builder.inttoptr(place, byte.as_pointer()) for place in places[1:])
        alpha, beta = (kept(arguments[k]) for k in (2, 3))
        passed = [*letters, *sizes[:3], alpha, a, sizes[3], b, sizes[4], beta, c, sizes[5]]
        kind = ir.FunctionType(ir.VoidType(), [byte.as_pointer()] * len(passed)).as_pointer()
        builder.call(builder.inttoptr(places[0], kind), passed)
        return context.get_dummy_value()

    return types.void(_ADDRESSES, _INTEGERS, types.float32, types.float32), generate


@compiled
def product(blas, sizes, a, b, c, alpha, beta):
    """C <- alpha op(A) op(B) + beta C, in rows, of arrays at addresses a, b and c.

    sizes: m, n, k; A's stride and whether A is transposed; the same of B; C's stride.
    """
    m, n, k, of_a, flip_a, of_b, flip_b, of_c = sizes
    _sgemm((blas, b, a, c), (flip_b, flip_a, n, m, k, of_b, of_a, of_c), alpha, beta)


@cache
def blas() -> int:
    """The address of torch's sgemm_; 0 where it is not to be found."""
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return ctypes.cast(library.sgemm_, ctypes.c_void_p).value or 0
    except (OSError, AttributeError):
        return 0
