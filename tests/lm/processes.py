"""Runs a function in several processes that know each other as torchrun's do."""

import multiprocessing
import os
import socket

import torch

from sftheory import lm

# one process imports everything and is forked for each rank, which else would import for seconds
PRELOADED = ["torch.distributed.fsdp", "torch.distributed.checkpoint", "sftheory.lm.training"]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _work(rank, world, port, function, args):
    torch.set_num_threads(1)
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ |= {k: str(v) for k, v in names.items()} | {"MASTER_ADDR": "127.0.0.1"}
    function(*args)


def together(world, function, *args):
    """Calls a function that can be imported in `world` processes; raises what one of them does."""
    multiprocessing.set_forkserver_preload(PRELOADED)
    torch.multiprocessing.start_processes(
        _work, (world, free_port(), function, args), nprocs=world, start_method="forkserver"
    )


def train_all(runs):
    """Trains each of (config, out) in turn."""
    for config, out in runs:
        lm.train(config, out=out)
