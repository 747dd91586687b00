"""The arithmetic of large runs, against small runs that are measured."""

from pathlib import Path

import pytest
import torch
from processes import together
from small_runs import corpus, small
from torch.utils._python_dispatch import TorchDispatchMode

from sftheory import lm
from sftheory.core.errors import InputError
from sftheory.lm import parallel, scale
from sftheory.lm.optimizers import OPTIMIZERS
from sftheory.lm.sections import Model
from sftheory.lm.session import Session
from sftheory.lm.tokens import prepare
from sftheory.lm.transformer import Transformer, flops_per_token

SHAPES = [
    {},
    {"tied": False, "layers": 3},
    {"norm": "layer", "bias": True, "positions": "learned", "mlp": "gelu"},
    {"norm": "layer", "width": 48, "heads": 3},
]
AVERAGES = ["uniform", "ema:0.9", "lawa:6:3"]
DOC = Path(__file__).parents[2] / "docs" / "scale.md"


def shape(**changes):
    return Model(
        **({"width": 32, "layers": 2, "heads": 2, "context": 16, "vocabulary": 256} | changes)
    )


@pytest.mark.parametrize("changes", SHAPES, ids=str)
def test_parameters_and_flops_are_those_of_the_model(changes):
    model = Transformer(shape(**changes), 256)
    count = sum(p.numel() for p in model.parameters())
    assert sum(scale.parameters(shape(**changes)).values()) == count
    blocks = sum(p.numel() for p in model.blocks.parameters())
    assert scale.parameters(shape(**changes))["blocks"] == blocks
    config = lm.Config(model=shape(**changes))
    assert scale.flops(config) == 16 * 16 * flops_per_token(model)


def bytes_of(session):
    """What a process holds between steps, by what it is."""
    own = session.flat
    local = lambda t: t.to_local() if hasattr(t, "to_local") else t  # noqa: E731
    parts = [local(p.detach()) for p in session.model.parameters()]
    entries = session.optimizer.state_dict()["state"].values()
    states = [local(t) for e in entries for t in e.values() if torch.is_tensor(t) and t.ndim]
    kept = [entry["value"] for entry in session.bank.state().values()]
    scratch = [local(p.detach()) for p in session.evaluator.model.parameters()]
    size = lambda tensors: sum(t.numel() * t.element_size() for t in tensors)  # noqa: E731
    found = {"parameters": parts, "optimizer": states, "averages": kept, "evaluation": scratch}
    grads = [local(p.grad) for p in session.model.parameters()]
    assert own.theta.numel() * 4 == size(parts)
    return {name: size(tensors) for name, tensors in {**found, "gradients": grads}.items()}


OPTIONS = {"sgd": [{}, {"optimizer.momentum": 0.9}]}
OPTIONS["schedule_free"] = [{"optimizer.base": name} for name in ("adamw", "sgd", "muon")]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_memory_of_one_process_is_what_it_holds(name, tmp_path):
    for options in OPTIONS.get(name, [{}]):
        changes = {"optimizer.name": name, "optimizer.weight_decay": 0.0, **options}
        changes |= {"averages.names": AVERAGES, "model.vocabulary": 256}
        config = small(corpus(tmp_path), **changes)
        session = Session(config, prepare(config.data))
        session.move(*session.gradient())
        session.evaluate("last")
        planned = scale.memory(config)
        for what, held in bytes_of(session).items():
            assert planned[what] == held, (options, what)


@pytest.mark.parametrize("targets", [["qkv", "mlp"], ["attention.out"]], ids=str)
@pytest.mark.parametrize("name", ["adamw", "muon", "schedule_free_adamw"])
def test_memory_of_adapters_is_what_a_process_holds(name, targets, tmp_path):
    settings = {"optimizer.name": name, "averages.names": AVERAGES, "model.layers": 2}
    base = lm.train(small(corpus(tmp_path), **settings), out=tmp_path)
    run = lm.branch(base, steps=2, lora={"rank": 3, "targets": targets})
    config = run.config.replaced({"model.vocabulary": base.model().embedding.shape[0]})
    session = Session(run.config, prepare(run.config.data))
    session.move(*session.gradient())
    session.evaluate("last")
    held, planned = bytes_of(session), scale.memory(config)
    lent = {t.data_ptr() for t in session.evaluator.model.state_dict().values()}
    names = {k for k, _ in session.model.named_parameters()}
    frozen = {k: t for k, t in session.model.state_dict().items() if k not in names}
    assert all(t.data_ptr() in lent for t in frozen.values())
    held["parameters"] += sum(t.numel() * t.element_size() for t in frozen.values())
    assert {what: planned[what] for what in held} == held
    assert scale.collectives(config.replaced({"run.parallel": "ddp"}), 2)["all_reduce"] == sum(
        p.numel() * p.element_size() for p in session.model.parameters()
    )


WHOLE = {  # the argument that is the whole vector
    "c10d::allreduce_": ("all_reduce", 0),
    "c10d::_allgather_base_": ("all_gather", 0),
    "c10d::_reduce_scatter_base_": ("reduce_scatter", 1),
}


class Collectives(TorchDispatchMode):
    """Bytes of the whole vectors of each kind of collective, larger than a few numbers."""

    def __init__(self):
        super().__init__()
        self.found = dict.fromkeys(("all_reduce", "all_gather", "reduce_scatter"), 0)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name
        if name in WHOLE:
            kind, place = WHOLE[name]
            given = args[place] if isinstance(args[place], (list, tuple)) else [args[place]]
            size = sum(t.numel() * t.element_size() for t in given)
            self.found[kind] += size if size > 64 else 0
        return func(*args, **(kwargs or {}))


def measured(configs):
    for config in configs:
        with parallel.joined(config.run) as world:
            session = Session(config, prepare(config.data), world)
            session.move(*session.gradient())
            session.evaluate("last")
            with Collectives() as seen:
                session.move(*session.gradient())
            planned = scale.collectives(config, world.size)
            for kind, size in seen.found.items():  # rows are padded to the number of processes
                assert planned[kind] == pytest.approx(size, rel=0.02), (config.run, kind)
            held, memory = bytes_of(session), scale.memory(config, world.size)
            for what, size in held.items():
                assert sum(world.gathered(size)) == world.size * memory[what], what


def test_memory_and_collectives_of_two_processes_are_what_is_measured(tmp_path):
    source = corpus(tmp_path)
    runs = [("ddp", 0), ("fsdp", 0), ("fsdp", 2)]
    configs = [
        small(
            source,
            **{"run.parallel": kind, "run.batch": 8, "run.micro": micro, "model.width": 32},
            **{"averages.names": AVERAGES, "model.vocabulary": 256, "model.layers": 2},
        )
        for kind, micro in runs
    ]
    together(2, measured, configs)


def kept_for_backward(shape, batch):
    """Bytes of the tensors that autograd saves, without the weights and their casts."""
    model = Transformer(shape, 256, torch.bfloat16)
    buffers = [*model.parameters(), model.cos, model.sin]
    own = {t.untyped_storage().data_ptr() for t in buffers}
    seen, keep = {}, []

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        keep.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model.loss(torch.zeros(batch, shape.context + 1, dtype=torch.int64))
    return sum(seen.values())


@pytest.mark.parametrize(
    "changes",
    [{}, {"width": 64}, {"layers": 5}, {"heads": 4}, {"vocabulary": 512}, {"loss": "chunked"}],
    ids=str,
)
def test_activations_are_what_autograd_keeps(changes):
    one = shape(**changes)
    grown = kept_for_backward(one, 6) - kept_for_backward(one, 2)  # so that casts cancel
    planned = scale.activations(one, 6 * 16) - scale.activations(one, 2 * 16)
    assert grown == pytest.approx(planned, rel=0.02)


def test_the_plan_in_the_documentation_is_the_arithmetic():
    assert scale.plan() in DOC.read_text(encoding="utf-8")


def test_a_plan_without_a_vocabulary_is_refused():
    with pytest.raises(InputError, match=r"model\.vocabulary=0"):
        scale.parameters(Model())
