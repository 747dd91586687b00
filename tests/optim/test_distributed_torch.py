"""Two processes against one: replicas (DDP) and shards (FSDP2), with gloo on processors."""

import os
import socket

import pytest
import torch
import torch.distributed as dist
from optimizer_cases import CASES, take

NAMES = [
    "sgd",
    "adamw",
    "adamw, refined",
    "radam",
    "gpa",
    "adamc",
    "polyak",
    "plus",
    "around adamw",
]
STEPS = 3


def network():
    generator = torch.Generator().manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / 2)
    return net.double()


def loss_on(net, t, rank):
    """The loss of a rank's own batch."""
    inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(10 * t + rank)).double()
    return (net(inputs) - inputs[:, :3]).square().mean()


def single(name):
    net = network()
    optimizer = CASES[name](list(net.parameters()))
    for t in range(STEPS):
        optimizer.zero_grad()
        loss = (loss_on(net, t, 0) + loss_on(net, t, 1)) / 2
        loss.backward()
        take(optimizer, loss.detach())
    return [p.detach() for p in net.parameters()], optimizer.averaged_state_dict(net)


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def work(rank, port, sharded, expected):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=2)
    try:
        for name in expected:
            check(name, rank, sharded, *expected[name])
    finally:
        dist.destroy_process_group()


def check(name, rank, sharded, points, average):
    net = network()
    if sharded:
        from torch.distributed.fsdp import fully_shard

        fully_shard(net, mesh=dist.init_device_mesh("cpu", (2,)))
        trained = net
    else:
        trained = torch.nn.parallel.DistributedDataParallel(net)
    optimizer = CASES[name](list(net.parameters()), nonfinite="raise")
    for t in range(STEPS):
        optimizer.zero_grad()
        loss = loss_on(trained, t, rank)
        loss.backward()
        take(optimizer, loss.detach())
    for p, q in zip(net.parameters(), points, strict=True):
        torch.testing.assert_close(whole(p.detach()), q, rtol=1e-10, atol=1e-12, msg=name)
    exported = optimizer.averaged_state_dict(net)
    y = [p.detach().clone() for p in net.parameters()]
    with optimizer.averaged():
        for (key, q), p in zip(average.items(), net.parameters(), strict=True):
            for x in (p.detach(), exported[key]):
                torch.testing.assert_close(whole(x), q, rtol=1e-10, atol=1e-12, msg=name)
    for p, kept in zip(net.parameters(), y, strict=True):
        assert torch.equal(whole(p.detach()), whole(kept)), name
    if sharded:
        for p in net.parameters():
            for key, t in optimizer.state[p].items():
                if torch.is_tensor(t):
                    assert t.to_local().shape == p.to_local().shape, (name, key)
    again = CASES[name](list(net.parameters()), nonfinite="raise")
    again.load_state_dict(optimizer.state_dict())
    again.zero_grad()
    loss_on(trained, STEPS, rank).backward()
    take(again, torch.tensor(0.5))


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True], ids=["replicas", "shards"])
def test_two_processes_train_as_one_does(sharded):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    expected = {name: single(name) for name in NAMES}
    torch.multiprocessing.spawn(work, (port, sharded, expected), nprocs=2)
