"""The sections of a config, each a frozen dataclass that knows what its values may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sftheory.core.errors import InputError, count, nearest, real


@dataclass(frozen=True)
class Model:
    """[model]: a decoder; `size = "1M"` or `preset = "gpt2"` stand for several keys.

    Attributes:
        width, layers, heads: d, L and attention heads; d / heads is even.
        context: T, tokens per sequence.
        vocabulary: rows of the embedding; 0 takes the corpus's, rounded up to a multiple of 64.
        norm: "rms" or "layer".  positions: "rope" or "learned".  mlp: "swiglu" or "gelu".
        qk_norm: RMS norm of queries and keys.  bias: biases in linear layers and layer norms.
        tied: one matrix for embedding and head.
        z_loss: weight of (log Σ exp logits)².  softcap: s in s tanh(logits / s); 0 for none.
        loss: "plain", "chunked" (never holds all logits), "torch" (the one of torch >= 2.13), or
            "auto": chunked from 2^25 logits on, else plain.
    """

    width: int = 80
    layers: int = 4
    heads: int = 2
    context: int = 128
    vocabulary: int = 0
    norm: str = "rms"
    positions: str = "rope"
    mlp: str = "swiglu"
    qk_norm: bool = True
    bias: bool = False
    tied: bool = True
    z_loss: float = 0.0
    softcap: float = 0.0
    loss: str = "auto"

    def __post_init__(self) -> None:
        for name in ("width", "layers", "heads", "context"):
            count(f"model.{name}", getattr(self, name))
        count("model.vocabulary", self.vocabulary, least=0)
        if self.width % (2 * self.heads):
            raise InputError(
                f"model.width={self.width} must be an even multiple of model.heads={self.heads}; "
                f"change one of them."
            )
        _one_of("model.norm", self.norm, ("rms", "layer"))
        _one_of("model.positions", self.positions, ("rope", "learned"))
        _one_of("model.mlp", self.mlp, ("swiglu", "gelu"))
        _one_of("model.loss", self.loss, ("auto", "plain", "chunked", "torch"))
        real("model.z_loss", self.z_loss, 0)
        real("model.softcap", self.softcap, 0)


@dataclass(frozen=True)
class Data:
    """[data]: where text or tokens come from.

    Attributes:
        source: "stdlib" (the Python standard library's own source), or the path of a text file
            (also .xz, .gz, .zst), of a folder of them or of Parquet and Arrow files, or of .bin.
        validation: the path of the validation text; "" holds out the last part of the source.
        holdout: that part, a fraction.
        tokenizer: "bytes", "bpe:4096" (trained on the source), or the path of a tokenizer.json.
        column: of Parquet and Arrow files.
        limit: at most this many bytes of the source; 0 takes all.
        seed: of the order; -1 takes run.seed.
        eval_tokens: validation tokens in one evaluation.
    """

    source: str = "stdlib"
    validation: str = ""
    holdout: float = 0.05
    tokenizer: str = "bytes"
    column: str = "text"
    limit: int = 0
    seed: int = -1
    eval_tokens: int = 16384

    def __post_init__(self) -> None:
        real("data.holdout", self.holdout, 0.0, 0.5)
        count("data.limit", self.limit, least=0)
        count("data.seed", self.seed, least=-1)
        count("data.eval_tokens", self.eval_tokens)
        if not self.validation and self.holdout == 0:
            raise InputError("data.holdout=0 leaves nothing to evaluate on; set data.validation.")


@dataclass(frozen=True)
class Optimizer:
    """[optimizer]: a name, and the options of that optimizer.

    Attributes:
        name: "adamw", "sgd", "muon", or one of `sftheory.optim`, such as "schedule_free_adamw".
        lr: the peak step; the schedule multiplies it.
        weight_decay: of matrices; norms, biases and learned positions have none.
        clip: largest gradient norm; 0 for none.
        options: every other argument of the class, such as betas.
    """

    name: str = "adamw"
    lr: float = 3e-3
    weight_decay: float = 0.1
    clip: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        real("optimizer.lr", self.lr, 0)
        real("optimizer.weight_decay", self.weight_decay, 0)
        real("optimizer.clip", self.clip, 0)


@dataclass(frozen=True)
class Schedule:
    """[schedule]: a registered schedule over the run's own steps.

    Attributes:
        name: as `sftheory list schedules` says.
        warmup: whole steps (20), or a fraction of the run (0.05).
        options: arguments of the schedule; a schedule inside one is {name = "linear", ...}.
    """

    name: str = "constant"
    warmup: int | float = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.warmup, float) and not self.warmup.is_integer():
            real("schedule.warmup", self.warmup, 0, 1)
        else:
            real("schedule.warmup", self.warmup, 0)


@dataclass(frozen=True)
class Averages:
    """[averages]: what is averaged along the run.

    Attributes:
        names: such as "uniform", "poly:3", "lr2", "ema:0.99", "lawa:200:5", "tail:0.25".
        every: steps between updates of the averages.
        trajectory: steps between stored points of the path, bfloat16; 0 stores none.
    """

    names: tuple[str, ...] = ()
    every: int = 1
    trajectory: int = 0

    def __post_init__(self) -> None:
        count("averages.every", self.every)
        count("averages.trajectory", self.trajectory, least=0)
        if len(set(self.names)) < len(self.names):
            raise InputError(f"averages.names={list(self.names)} repeats a name; name each once.")


@dataclass(frozen=True)
class Run:
    """[run]: how long, in what portions, and on what.

    Attributes:
        steps: N, optimizer steps.  batch: sequences per step.
        micro: sequences at once, a divisor of batch; 0 takes all.
        seed: of the initial weights, and of the order unless data.seed is set.
        log_every: steps between rows of the training loss, which is the mean over them.
        eval_every: steps between evaluations; 0 leaves those on the grid.
        eval_grid: also at steps 0, N and the powers of this number; 0 leaves the powers out.
        checkpoint_every: steps between checkpoints; 0 writes only the last, and `checkpoints`.
        checkpoints: steps whose checkpoint is kept, besides 2^j checkpoint_every and the last.
        keep: how many of the others are kept.
        nonfinite: when the loss is NaN or inf: "raise", "stop" (the run ends as diverged), or
            "skip" (that step is left out).
        probe_every: steps between rows of the probe; 0 for none.  probe: its metrics.
        device: "auto", "cpu", "cuda".  dtype: of the computation, "auto", "float32", "bfloat16".
        compile: "auto" (on CUDA), "yes", "no".  threads: of torch on processors; 0 leaves them.
        deterministic: only deterministic kernels, for resuming bit-exactly on a GPU.
        parallel: "none", "ddp" (replicas) or "fsdp" (shards), started by torchrun; how many
            processes there are is not part of the config.
        tensorboard: losses also as event files.
    """

    steps: int = 200
    batch: int = 16
    micro: int = 0
    seed: int = 0
    log_every: int = 10
    eval_every: int = 0
    eval_grid: float = 2.0
    checkpoint_every: int = 0
    checkpoints: tuple[int, ...] = ()
    keep: int = 2
    nonfinite: str = "raise"
    probe_every: int = 0
    probe: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    compile: str = "auto"
    threads: int = 0
    deterministic: bool = False
    parallel: str = "none"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("batch", "log_every", "keep"):
            count(f"run.{name}", getattr(self, name))
        for name in ("steps", "micro", "seed", "eval_every", "checkpoint_every", "probe_every"):
            count(f"run.{name}", getattr(self, name), least=0)
        count("run.threads", self.threads, least=0)
        if self.micro and self.batch % self.micro:
            raise InputError(
                f"run.micro={self.micro} must divide run.batch={self.batch}; change one of them."
            )
        if self.eval_grid and self.eval_grid <= 1:
            raise InputError(f"run.eval_grid={self.eval_grid} must be above 1, or 0 for none.")
        _one_of("run.nonfinite", self.nonfinite, ("raise", "stop", "skip"))
        _one_of("run.dtype", self.dtype, ("auto", "float32", "bfloat16"))
        _one_of("run.compile", self.compile, ("auto", "yes", "no"))
        _one_of("run.parallel", self.parallel, ("none", "ddp", "fsdp"))
        if self.device.split(":")[0] not in ("auto", "cpu", "cuda"):
            raise nearest("run.device", self.device, ("auto", "cpu", "cuda"))


@dataclass(frozen=True)
class Start:
    """[start]: the checkpoint that a branch begins from; empty for a run of its own.

    Attributes:
        run: the id of the run.  step: of its checkpoint.
        point: the weights to begin with: "state" (parameters and optimizer as they were), "last",
            "x" (of a schedule-free run), or the name of an average; all but "state" begin with a
            fresh optimizer and fresh averages.
    """

    run: str = ""
    step: int = 0
    point: str = "state"

    def __post_init__(self) -> None:
        count("start.step", self.step, least=0)


def _one_of(key: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise nearest(key, value, known)
