r"""What a run of any size needs, by arithmetic: bytes on a process, bytes between them, FLOPs.

With n parameters, W processes, A stored averages and s floats of optimizer state for a parameter,
a process holds, in float32,

    none, ddp   4 n (1 + 1 + s + A + 1): parameters, gradients, state, averages, evaluation;
                ddp has 4 n more, the buckets of its gradients
    fsdp        4 n (1 + 1 + s + A + 1 + 1) / W, the last a copy that the averages read, and for a
                while one block as it is computed, with its gradient, and embedding and head

where n is of the adapters alone with [lora], whose frozen weights are there once, besides
activations, which are counted in bfloat16 as eager torch keeps them:

    per token   L (40 d + 8 h + 12 H + 8) + 10 d + 4 V + 20    of the plain loss
                without 4 V, with 2 d, and once 2 V d, of the chunked one

where h is the hidden width of a gated MLP and H the number of heads.
"""

from __future__ import annotations

import math

from sftheory.core.errors import InputError
from sftheory.lm.averages import read_average
from sftheory.lm.config import Config
from sftheory.lm.loss import CHUNK, WORTH_CHUNKS
from sftheory.lm.sections import Model, Optimizer
from sftheory.lm.transformer import hidden_width

FLOAT = 4
GB = 1e9
BILLION: dict[str, dict[str, object]] = {
    "model": {"width": 2048, "layers": 18, "heads": 16, "context": 2048, "vocabulary": 50304},
    "averages": {"names": ["uniform", "poly:3", "ema:0.99", "ema:0.999", "lawa:2000:5"]},
    "run": {"batch": 512, "micro": 8, "dtype": "bfloat16"},
}
STATES = {  # floats of state for each parameter
    "adamc": 2,
    "adamw": 2,
    "gpa_adamw": 2,
    "polyak_schedule_free_sgd": 1,
    "schedule_free_adamw": 2,
    "schedule_free_plus": 3,
    "schedule_free_radam": 2,
    "schedule_free_sgd": 1,
}


def parameters(shape: Model) -> dict[str, int]:
    """How many there are in all "blocks" together, and in the "rest"; `vocabulary` must be said.

    Example:
        >>> sum(parameters(Model(width=768, layers=12, heads=12, vocabulary=50304)).values())
        123587328
    """
    if not shape.vocabulary:
        raise InputError("model.vocabulary=0 is that of the corpus; say the number for a plan.")
    d, h, L = shape.width, hidden_width(shape), shape.layers
    into = 2 * h if shape.mlp == "swiglu" else h
    weights = sum(a * b for a, b in _sides(shape).values())
    norms = 2 if shape.norm == "layer" and shape.bias else 1
    biases = 3 * d + d + into + d if shape.bias else 0
    rest = (1 if shape.tied else 2) * shape.vocabulary * d + norms * d
    rest += shape.context * d if shape.positions == "learned" else 0
    return {"blocks": L * (weights + biases + 2 * norms * d), "rest": rest}


def trained(config: Config) -> dict[str, int]:
    """The parameters that are trained: "matrices" of the blocks, which Muon takes, and "others".

    With [lora] they are the adapters, r (in + out) for each matrix that has them.
    """
    sides = _sides(config.model)
    if config.lora is not None:
        each = [config.lora.rank * sum(sides[name]) for name in config.lora.layers()]
        return {"matrices": config.model.layers * sum(each), "others": 0}
    matrices = config.model.layers * sum(a * b for a, b in sides.values())
    return {"matrices": matrices, "others": sum(parameters(config.model).values()) - matrices}


def _sides(shape: Model) -> dict[str, tuple[int, int]]:
    """In and out of the linear layers of a block."""
    d, h = shape.width, hidden_width(shape)
    into = 2 * h if shape.mlp == "swiglu" else h
    return {
        "attention.qkv": (d, 3 * d),
        "attention.out": (d, d),
        "mlp.into": (d, into),
        "mlp.out": (h, d),
    }


def state(section: Optimizer, matrices: int, others: int) -> int:
    """Floats that an optimizer keeps for so many parameters."""
    m = matrices + others
    if section.name == "sgd":
        return m if section.options.get("momentum") else 0
    if section.name == "muon":  # one for matrices in blocks, two for everything else
        return matrices + 2 * others
    if section.name == "schedule_free":
        name = section.options.get("base", "adamw")
        inside = section.options.get("base_options", {})
        return m + state(Optimizer(name=name, options=inside), matrices, others)
    return STATES[section.name] * m


def stored(config: Config) -> int:
    """A: how many vectors the averages keep; a window keeps its snapshots."""
    found = [read_average(name) for name in config.averages.names]
    return sum(max(1, average.snapshots) for average in found)


def memory(config: Config, processes: int = 1) -> dict[str, float]:
    """Bytes on one process, by what they are; the largest that are there at once."""
    shape, run, held = config.model, config.run, trained(config)
    found, m = parameters(shape), sum(held.values())
    frozen = 0 if config.lora is None else found["blocks"] + found["rest"]
    sharded = run.parallel == "fsdp"
    share = m / processes if sharded else m
    low = 2 if run.dtype == "bfloat16" else FLOAT
    block = found["blocks"] / shape.layers
    buffers = {
        "none": 0.0,
        "ddp": FLOAT * m,
        # two blocks and everything else gathered, a block's gradient, and the averages' copy
        "fsdp": low * (2 * block + found["rest"]) + FLOAT * (2 * block + share),
    }[run.parallel]
    return {
        "parameters": FLOAT * (share + frozen),
        "gradients": FLOAT * share,
        "optimizer": FLOAT * state(config.optimizer, **held) * share / m,
        "averages": FLOAT * stored(config) * share,
        "evaluation": FLOAT * share,
        "buffers": buffers,
        "activations": activations(shape, at_once(config, processes) * shape.context)
        + _merged(config),
    }


def _merged(config: Config) -> int:
    """Bytes of W + s B A where there are adapters, which backward needs, and of one gradient."""
    if config.lora is None:
        return 0
    sides = _sides(config.model)
    sizes = [math.prod(sides[name]) for name in config.lora.layers()]
    return FLOAT * (config.model.layers * sum(sizes) + max(sizes))


def at_once(config: Config, processes: int) -> int:
    """Sequences that one process computes together."""
    share = config.run.batch // processes
    return min(config.run.micro or share, share)


def activations(shape: Model, tokens: int) -> float:
    """Bytes that backward needs of the forward pass, in bfloat16 and without compilation."""
    d, h, L, V = shape.width, hidden_width(shape), shape.layers, shape.vocabulary
    each = L * (40 * d + 8 * h + 12 * shape.heads + 8) + 10 * d + 20
    chunked = shape.loss == "chunked" or (shape.loss == "auto" and tokens * V >= WORTH_CHUNKS)
    if chunked:
        return tokens * (each + 2 * d) + 2 * V * d + 4 * FLOAT * CHUNK
    return tokens * (each + 4 * V)


def collectives(config: Config, processes: int) -> dict[str, float]:
    """Bytes of the whole vectors that a step's collectives are about; 0 for one process.

    The averages need none. An evaluation of a sharded run gathers all parameters for each batch.
    """
    found, kind = parameters(config.model), config.run.parallel
    n = sum(trained(config).values())
    if processes == 1 or kind == "none":
        return {"all_reduce": 0.0, "all_gather": 0.0, "reduce_scatter": 0.0}
    if kind == "ddp":
        return {"all_reduce": FLOAT * n, "all_gather": 0.0, "reduce_scatter": 0.0}
    low = 2 if config.run.dtype == "bfloat16" else FLOAT
    parts = config.run.batch // processes / at_once(config, processes)
    gathered = 2 * found["blocks"] + found["rest"]  # blocks again for backward
    return {
        "all_reduce": 0.0,
        "all_gather": parts * low * gathered,
        "reduce_scatter": parts * FLOAT * n,
    }


def sent(config: Config, processes: int) -> float:
    """Bytes that each process sends in a step, around a ring."""
    about = collectives(config, processes)
    once = (processes - 1) / processes
    return once * (2 * about["all_reduce"] + about["all_gather"] + about["reduce_scatter"])


def flops(config: Config) -> float:
    """Of one step: 6 N + 12 L d T for each token, N without embedding lookup and positions.

    Adapters of rank r add 6 r for each entry of their matrices and each micro-batch.
    """
    shape, size = config.model, {name: a * b for name, (a, b) in _sides(config.model).items()}
    d, L, run, lora = shape.width, shape.layers, config.run, config.lora
    N = L * sum(size.values()) + shape.vocabulary * d
    about = run.batch * shape.context * (6 * N + 12 * L * d * shape.context)
    if lora is None:
        return about
    parts = run.batch // (run.micro or run.batch)
    return about + parts * 6 * lora.rank * L * sum(size[name] for name in lora.layers())


def plan() -> str:
    """The tables of docs/scale.md: a model of 1B parameters, per optimizer, average and process."""
    base = Config.of(BILLION)
    n = sum(parameters(base.model).values())
    tokens = base.run.batch * base.model.context
    lines = [
        f"{n / GB:.3f}e9 parameters, {tokens / 1e6:.2f}e6 tokens and {flops(base) / 1e15:.2f}e15 "
        "FLOPs a step.",
        "",
        "| GB without activations | one | ddp | fsdp, 8 | fsdp, 64 | one average more |",
        "|---|---|---|---|---|---|",
    ]
    cases = [("none", 1), ("ddp", 8), ("fsdp", 8), ("fsdp", 64)]
    for name in ["sgd", "muon", *STATES, "schedule_free"]:
        row = []
        for kind, W in cases:
            settings = {"optimizer.name": name, "run.parallel": kind, "averages.names": []}
            held = memory(base.replaced(settings), W)
            row.append(sum(v for k, v in held.items() if k != "activations") / GB)
        more = " / ".join(f"{FLOAT * n / W / GB:.2f}" for W in (1, 8, 64))
        lines.append(f"| {name} | {' | '.join(f'{v:.1f}' for v in row)} | {more} |")
    lines += [
        "",
        "| schedule_free_adamw with all averages | none, 1 | ddp, 8 | fsdp, 8 | fsdp, 64 |",
    ]
    lines += ["|---|---|---|---|---|"]
    made = [
        (base.replaced({"optimizer.name": "schedule_free_adamw", "run.parallel": kind}), W)
        for kind, W in cases
    ]
    tables = [memory(config, W) for config, W in made]
    for what in tables[0]:
        lines.append(f"| {what}, GB | {' | '.join(f'{t[what] / GB:.2f}' for t in tables)} |")
    lines.append(f"| together, GB | {' | '.join(f'{sum(t.values()) / GB:.1f}' for t in tables)} |")
    moved = " | ".join(f"{sent(config, W) / GB:.2f}" for config, W in made)
    return "\n".join([*lines, f"| sent in a step, GB | {moved} |"])
