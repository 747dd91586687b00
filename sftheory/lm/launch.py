"""One command as several processes of this machine, started as torchrun does."""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from typing import Any

GOES_ON = "what was saved is there, and the same command goes on from it."
REQUEUE = 75  # EX_TEMPFAIL: stopped by a signal, the same command goes on


def launched(words: Sequence[str], processes: int, *, quiet: bool = False) -> int:
    """Run `sftheory WORDS` in each of some processes; returns the exit status of all.

    It is 0; REQUEUE where a signal came or a process was killed, so that the same command goes on;
    or that of the process that failed first. SIGTERM, SIGUSR1 and SIGUSR2 are passed on as SIGTERM.
    With `quiet` what they report is dropped, what they complain of is not.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",  # any free port
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(redirects=Std.OUT if quiet else Std.NONE),
    )
    heard = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = {s: signal.getsignal(s) for s in heard}
    for which in heard[1:]:
        signal.signal(which, _pass_on)
    try:
        elastic_launch(config, sys.executable)("-m", "sftheory", *words)
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        own = [code for code in codes if code not in (REQUEUE, -signal.SIGTERM)]
        if own and own[0] > 0:
            return own[0]
        if own:
            name = signal.Signals(-own[0]).name
            sys.stderr.write(f"A process of the run was killed by {name}; {GOES_ON}\n")
        return REQUEUE
    except SignalException:
        return REQUEUE
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
    return 0


def _pass_on(*_: Any) -> None:
    signal.raise_signal(signal.SIGTERM)
