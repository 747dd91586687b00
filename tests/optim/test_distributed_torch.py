"""Several processes against one: replicas (DDP) and shards (FSDP2), with gloo on processors."""

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
FEWER = ["adamw, refined", "polyak", "plus", "around adamw"]
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


def single(name, world):
    net = network()
    optimizer = CASES[name](list(net.parameters()))
    for t in range(STEPS):
        optimizer.zero_grad()
        loss = sum(loss_on(net, t, rank) for rank in range(world)) / world
        loss.backward()
        take(optimizer, loss.detach())
    return [p.detach() for p in net.parameters()], optimizer.averaged_state_dict(net)


def whole(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def start(rank, port, world):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)


def work(rank, port, world, sharded, expected):
    start(rank, port, world)
    try:
        for name in expected:
            check(name, rank, world, sharded, *expected[name])
    finally:
        dist.destroy_process_group()


def check(name, rank, world, sharded, points, average):
    net = network()
    if sharded:
        from torch.distributed.fsdp import fully_shard

        fully_shard(net, mesh=dist.init_device_mesh("cpu", (world,)))
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


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.slow
@pytest.mark.parametrize("sharded", [False, True], ids=["replicas", "shards"])
@pytest.mark.parametrize(("world", "names"), [(2, NAMES), (4, FEWER)], ids=["two", "four"])
def test_processes_train_as_one_does(world, names, sharded):
    # of four processes some hold an empty shard: layers have 6 and 3 rows
    expected = {name: single(name, world) for name in names}
    torch.multiprocessing.spawn(work, (free_port(), world, sharded, expected), nprocs=world)


def sharded_network(world):
    from torch.distributed.fsdp import fully_shard

    return fully_shard(network(), mesh=dist.init_device_mesh("cpu", (world,)))


def advance(net, optimizer, steps, rank):
    for t in steps:
        optimizer.zero_grad()
        loss = loss_on(net, t, rank)
        loss.backward()
        take(optimizer, loss.detach())


def save_and_resume(rank, port, world, names, folder):
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    start(rank, port, world)
    try:
        for name in names:
            net = sharded_network(world)
            optimizer = CASES[name](list(net.parameters()))
            advance(net, optimizer, range(2), rank)
            model_state, optimizer_state = get_state_dict(net, optimizer)
            dcp.save({"model": model_state, "optim": optimizer_state}, checkpoint_id=folder / name)
            advance(net, optimizer, range(2, 5), rank)

            again = sharded_network(world)
            resumed = CASES[name](list(again.parameters()))
            model_state, optimizer_state = get_state_dict(again, resumed)
            states = {"model": model_state, "optim": optimizer_state}
            dcp.load(states, checkpoint_id=folder / name)
            set_state_dict(
                again, resumed, model_state_dict=states["model"], optim_state_dict=states["optim"]
            )
            advance(again, resumed, range(2, 5), rank)
            for p, q in zip(net.parameters(), again.parameters(), strict=True):
                assert torch.equal(p.to_local(), q.to_local()), name
            for p, q in zip(optimizer.state.values(), resumed.state.values(), strict=True):
                assert p.keys() == q.keys(), name
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("world", [2, 4])
def test_a_distributed_checkpoint_resumes_bit_for_bit(world, tmp_path):
    names = ["adamw", "plus", "polyak", "around adamw", "around sgd"]
    torch.multiprocessing.spawn(
        save_and_resume, (free_port(), world, names, tmp_path), nprocs=world
    )


def mixed_modes(rank, port, world):
    start(rank, port, world)
    try:
        net = torch.nn.parallel.DistributedDataParallel(network())
        optimizer = CASES["adamw"](list(net.parameters()))
        advance(net, optimizer, range(1), rank)
        before = [p.detach().clone() for p in net.parameters()]
        if rank == 0:  # as trainers do that evaluate on the first process alone
            with optimizer.averaged(), torch.no_grad():
                loss_on(net.module, 9, 0)
        for p, q in zip(net.parameters(), before, strict=True):
            assert torch.equal(p, q)
        advance(net, optimizer, range(1, 3), rank)
        mine = torch.cat([p.detach().flatten() for p in net.parameters()])
        others = [torch.empty_like(mine) for _ in range(world)]
        dist.all_gather(others, mine)
        assert all(torch.equal(mine, other) for other in others)
        optimizer.eval()
        try:
            loss_on(net.module, 3, rank).backward()
        except RuntimeError as error:
            assert "while the parameters hold the average x" in str(error)
        else:
            raise AssertionError("a backward at x passed")
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_an_evaluation_on_one_process_leaves_all_replicas_equal():
    torch.multiprocessing.spawn(mixed_modes, (free_port(), 2), nprocs=2)
