"""The processes that share a run: how they find each other, agree, and tell what went wrong.

torchrun starts them and says in the environment who they are. Process r of W takes the r-th part of
every batch, so that the order of the data does not depend on W. The first process, r = 0, writes
the files and speaks. A decision is taken on numbers that all processes share, so that all of them
take the same one at the same step.
"""

from __future__ import annotations

import atexit
import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from sftheory.core.errors import InputError
from sftheory.lm.launch import GOES_ON
from sftheory.lm.sections import Run

PATIENCE = timedelta(minutes=10)  # until a process that does not answer counts as lost
_LOST = ("gloo", "peer", "Broken pipe", "Timed out", "NCCL", "TCPStore", "Connection")


class LostError(RuntimeError):
    """Another process of the run is gone; what was saved is there, the same command goes on."""


class MeetingError(InputError):
    """The processes of a run did not meet, so that each of them has to say it."""


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Attributes:
        rank: r, of this one.
        size: W.
        local: the number of this process on its machine, which is that of its GPU.
        kind: run.parallel.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    kind: str = "none"

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def device(self, wanted: torch.device) -> torch.device:
        """The device of this process.

        Raises:
            InputError: there are more processes on this machine than GPUs.
        """
        if self.kind == "none" or wanted.type != "cuda":
            return wanted
        if wanted.index is not None:
            raise InputError(
                f"run.device={str(wanted)!r} names one GPU, but run.parallel={self.kind!r} gives "
                f"each process its own; write 'cuda'."
            )
        if self.local >= torch.cuda.device_count():
            raise InputError(
                f"Process {self.local + 1} of this machine has no GPU of its own, torch sees "
                f"{torch.cuda.device_count()}; start as many processes as there are GPUs."
            )
        torch.cuda.set_device(self.local)
        return torch.device("cuda", self.local)

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def mean(self, value: Tensor) -> Tensor:
        """The mean over all processes."""
        return self.sum(value) / self.size if self.size > 1 else value

    def largest(self, value: int) -> int:
        """The largest of a whole number on the host, over all processes."""
        if self.size == 1:
            return value
        shared = torch.tensor(value)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return int(shared)

    def told(self, make: Callable[[], Any]) -> Any:
        """What the first process makes, on all of them; its InputError is raised by all."""
        if self.size == 1:
            return make()
        box: list[Any] = [None, None]
        if self.first:
            try:
                box[0] = make()
            except InputError as error:
                box[1] = str(error)
        dist.broadcast_object_list(box)
        if box[1] is not None:
            raise InputError(box[1])
        return box[0]

    def alone(self, act: Callable[[], Any]) -> None:
        """The first process acts while the others wait; its InputError is raised by all."""

        def quietly() -> None:
            act()

        self.told(quietly)

    def agreed(self, make: Callable[[], Any]) -> Any:
        """What each process makes for itself; an InputError of one is raised by all."""
        if self.size == 1:
            return make()
        made, complaint = None, None
        try:
            made = make()
        except InputError as error:
            complaint = str(error)
        complaints = [c for c in self.gathered(complaint) if c is not None]
        if complaints:
            raise InputError(complaints[0])
        return made

    def gathered(self, value: Any) -> list[Any]:
        """A small value of every process, in their order."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


@contextlib.contextmanager
def joined(run: Run) -> Iterator[World]:
    """A context in which the processes of a run know each other; without torchrun there is one.

    Several stay together until they end: a second meeting would find the addresses of the first.

    Raises:
        InputError: run.parallel and the number of processes do not fit, or they do not meet.
        LostError: one of them ended before the others.
    """
    rank, size, local = (_number(name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    size = max(1, size)
    if run.parallel == "none":
        if size > 1:
            raise InputError(
                f"run.parallel='none' but {size} processes were started; set it to 'ddp' or "
                f"'fsdp', or start one."
            )
        yield World()
        return
    if run.batch % size:
        raise InputError(
            f"run.batch={run.batch} cannot be shared by {size} processes; start a number that "
            f"divides it, or change run.batch."
        )
    if size == 1 or not dist.is_initialized():
        _meet(run, rank, size)
    try:
        yield World(rank, size, local, run.parallel)
    except RuntimeError as error:
        if size > 1 and any(word in str(error) for word in _LOST):
            raise LostError(
                f"Another process of this run is gone ({_short(error)}); {GOES_ON}"
            ) from None
        raise
    finally:
        if size == 1:
            dist.destroy_process_group()


def _meet(run: Run, rank: int, size: int) -> None:
    cuda = run.device.startswith("cuda") or (run.device == "auto" and torch.cuda.is_available())
    backend = "cpu:gloo,cuda:nccl" if cuda and torch.cuda.is_available() else "gloo"
    try:
        if size == 1:
            store: Any = dist.HashStore()  # pyright: ignore[reportPrivateImportUsage]
            dist.init_process_group(backend, store=store, rank=0, world_size=1)
            return
        for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
            if name not in os.environ:
                raise MeetingError(
                    f"WORLD_SIZE={size} is set but {name} is not; start by torchrun."
                )
        dist.init_process_group(backend, timeout=PATIENCE)
        atexit.register(dist.destroy_process_group)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}" if size > 1 else ""
        if "EADDRINUSE" in str(error) or "already in use" in str(error):
            raise MeetingError(
                f"The port of {place} is in use; start torchrun with --standalone, or with another "
                f"--master-port."
            ) from None
        raise MeetingError(
            f"Process {rank} of {size} did not meet the others at {place} within "
            f"{PATIENCE.total_seconds():g} s; see that all were started and that they reach that "
            f"machine ({_short(error)})."
        ) from None


def _number(name: str) -> int:
    text = os.environ.get(name, "0")
    if not text.isdecimal():
        raise InputError(f"{name}={text!r} must be a whole number; start by torchrun.")
    return int(text)


def _short(error: Exception) -> str:
    """The first sentence of an error of torch's, without its traceback."""
    lines = str(error).strip().splitlines()
    return lines[0][:120].rstrip(".") if lines else type(error).__name__
