"""Two gloo processes train one network, each on half of the batch; rank 0 prints what was logged.

Usage: python two_processes.py FOLDER RANK
"""

import contextlib
import json
import sys
from datetime import timedelta
from pathlib import Path

import torch
from networks import batch, loss_of, network
from torch import distributed

from sftheory.optim import ScheduleFreeAdamW
from sftheory.probes import probe

STEPS, RANKS = 4, 2
RUNS = {  # an optimizer, and how many backward passes each of its steps has
    "adamw": (lambda p: torch.optim.AdamW(p, lr=0.02), 2),
    "schedule-free": (lambda p: ScheduleFreeAdamW(p, lr=0.02, weight_decay=0.1), 1),
}


def wrap(model, kind):
    if kind == "ddp":
        return torch.nn.parallel.DistributedDataParallel(model)
    from torch.distributed.fsdp import fully_shard

    # "mixed" leaves the last layer whole on every rank
    if kind == "fsdp":
        model[2][1].gain = torch.nn.Parameter(model[2][1].gain.detach().reshape(1))
    else:
        whole = set(model[2].parameters())
        fully_shard(model[0])
        return fully_shard(model, ignored_params=whole)
    fully_shard(model[0])
    fully_shard(model[2])
    return fully_shard(model)


def train(model, optimizer, rank, kind, passes):
    for t in range(STEPS):
        optimizer.zero_grad()
        for i in range(passes):
            last = i == passes - 1
            quiet = model.no_sync() if kind == "ddp" and not last else contextlib.nullcontext()
            share = batch(t * passes + i, n=8)
            if kind != "mixed":  # there nobody reduces what is whole, so all see the same batch
                share = share[4 * rank : 4 * rank + 4]
            with quiet:
                (loss_of(model, share) / passes).backward()
        optimizer.step()


KINDS = ("ddp", "fsdp", "mixed")


def main(folder, rank):
    store = distributed.FileStore(str(folder / "store"), RANKS)
    distributed.init_process_group(
        "gloo", store=store, rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    answers = {kind: logged(kind, folder, rank) for kind in KINDS}
    distributed.barrier()
    files = sorted(path.name for path in folder.glob("*.jsonl"))
    distributed.barrier()
    distributed.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps([answers, files]))


def logged(kind, folder, rank):
    """The rows of every run; without the probe the shards are equal, bit for bit."""
    answers = {}
    for name, (make, passes) in RUNS.items():
        final = []
        for attach in (True, False):
            model = wrap(network(), kind)
            optimizer = make(model.parameters())
            if attach:
                sink = folder / f"{kind} {name}.jsonl"
                with probe(optimizer, model, every=2, sink=sink) as log:
                    train(model, optimizer, rank, kind, passes)
                answers[name] = log.frame().rows()
            else:
                train(model, optimizer, rank, kind, passes)
            final.append([p.detach() for p in model.parameters()])
        shards = [[getattr(p, "to_local", lambda p=p: p)() for p in run] for run in final]
        assert all(torch.equal(p, q) for p, q in zip(*shards, strict=True))
    return answers


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
