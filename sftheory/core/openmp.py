"""The threads of torch's own operations, entered through the OpenMP runtime that torch has loaded.

A pool of our own would compete with them, for they keep spinning for a while after each operation.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

_Outlined = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@cache
def runtime() -> tuple[Any, int, int] | None:
    """GOMP_parallel, and the addresses of omp_get_thread_num and omp_get_num_threads, if found."""
    try:
        library = ctypes.CDLL(None)
        parallel, *asked = (
            getattr(library, name)
            for name in ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
        )
    except (OSError, TypeError, AttributeError):
        return None
    parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    parallel.restype = None
    number, count = (ctypes.cast(function, ctypes.c_void_p).value for function in asked)
    return (parallel, number, count) if number and count else None


def each(jobs: list[Any], do: Callable[[Any], None]) -> None:
    """do(job) for every job, one for each thread; what `do` runs should release the GIL.

    Raises:
        Exception: the first that a job raised, when all have ended.
    """
    found = runtime()
    if len(jobs) == 1:
        do(jobs[0])
    elif found is None:
        list(_pool(len(jobs)).map(do, jobs))
    else:
        _by_team(found, jobs, do)


def _by_team(found: tuple[Any, int, int], jobs: list[Any], do: Callable[[Any], None]) -> None:
    parallel, number, count = found
    asked = ctypes.CFUNCTYPE(ctypes.c_int)
    own, all_of_them = asked(number), asked(count)
    errors: list[BaseException] = []

    def share(_: Any) -> None:
        try:
            for job in jobs[own() :: all_of_them()]:  # a team may be smaller than asked
                do(job)
        except BaseException as error:  # would be printed and lost on its way through C
            errors.append(error)

    outlined = _Outlined(share)
    parallel(ctypes.cast(outlined, ctypes.c_void_p), None, len(jobs), 0)
    if errors:
        raise errors[0]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sftheory-step")
