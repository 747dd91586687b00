r"""The loss along the straight line through two checkpoints: a valley, a slope or a barrier.

    θ(s) = (1 - s) θ_a + s θ_b        s = 0 and s = 1 are the ends, other s beyond them go on

In a valley with steep walls two iterates lie on opposite walls, and between them the loss dips:
that is what an average gains. Along the floor it falls steadily, and between two valleys it rises.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError, count, nearest, real
from sftheory.lm.config import Config
from sftheory.lm.devices import compiler, settled
from sftheory.lm.evaluation import Evaluator
from sftheory.lm.line_plans import PlannedLine, both
from sftheory.lm.runs import Run, load
from sftheory.lm.starting import weights_at
from sftheory.lm.store import folder_of
from sftheory.lm.tokens import prepare
from sftheory.lm.transformer import Transformer

SPLITS = ("val", "train")
_Evaluators = dict[Any, tuple[Evaluator, str]]


@dataclass(frozen=True, eq=False)
class Line:
    """The loss at some points of a line.

    Attributes:
        s: (points,): places, 0 and 1 at the two ends.
        loss: (points,): nats per token.
        distance: ‖θ_b - θ_a‖.
        steps, point: of the two ends.
    """

    s: NDArray[np.float64]
    loss: NDArray[np.float64]
    distance: float
    steps: tuple[int, int]
    point: tuple[str, str]

    def at(self, s: float) -> float:
        """The loss at the place nearest to s."""
        return float(self.loss[np.abs(self.s - s).argmin()])


def line(
    run: Run | str | Path,
    steps: Any = "end",
    points: int = 21,
    point: Any = "last",
    other: Run | str | Path | None = None,
    *,
    beyond: float = 0.25,
    split: str = "val",
) -> Line:
    """The loss at (1 - s) θ_a + s θ_b, on the windows that the run evaluates itself.

    At s = 0 and 1 these are the recorded losses, bit for bit where this version made the run on
    this machine; with [lora] the weights are merged, which rounds. Two runs of different data are
    compared on those of the first.

    Args:
        run: of θ_a, and of θ_b unless there is another; or its folder.
        steps: of the two checkpoints, such as (300, 480); "end" is the last of a run. One value
            is that of both ends.
        points: from end to end; beyond them the line goes on with the same spacing.
        point: "last", "x", or the name of an average; ("last", "x") is one for each end.
        other: the run of θ_b.
        beyond: how far the line goes on at either end, as a fraction of its length.
        split: "val", or "train" for as many windows spread over the training text.

    Raises:
        InputError: no such checkpoint or average, models of different shapes, another corpus than
            the run's, or two ends that are one point.

    Example:
        >>> import tempfile
        >>> from sftheory import lm
        >>> sections = {"model": {"width": 16, "layers": 1, "heads": 1, "context": 16}}
        >>> sections |= {"data": {"limit": 50000, "eval_tokens": 256}}
        >>> sections |= {"run": {"steps": 4, "checkpoints": [2]}}
        >>> with tempfile.TemporaryDirectory() as out:
        ...     run = lm.train(lm.Config.of(sections), out=out)
        ...     found = lm.line(run, (2, 4), points=3)
        ...     found.at(1) == run.loss(), len(found.s)
        (True, 3)
    """
    first = run if isinstance(run, Run) else load(run)
    second = first if other is None else other if isinstance(other, Run) else load(other)
    ends, names = both("steps", steps), both("point", point)
    return _measured((first, second), ends, names, points, beyond, split, {})


def measured_lines(
    lines: Iterable[PlannedLine], out: str | Path
) -> Iterator[tuple[PlannedLine, Line]]:
    """The lines of a plan whose runs are in the folder `out`, where none of the runs diverged."""
    evaluators: _Evaluators = {}
    for one in lines:
        runs = load(folder_of(out, one.run)), load(folder_of(out, one.other))
        if all(run.status == "finished" for run in runs):
            how = one.points, one.beyond, one.split
            yield one, _measured(runs, one.steps, one.point, *how, evaluators)


def _measured(
    runs: tuple[Run, Run],
    steps: tuple[Any, Any],
    point: tuple[str, str],
    points: int,
    beyond: float,
    split: str,
    evaluators: _Evaluators,
) -> Line:
    cuts = count("points", points, least=2) - 1
    more = int(real("beyond", beyond, 0) * cuts + 1e-9)
    _check_models(*(run.config for run in runs))
    ends = [run.step if step == "end" else step for run, step in zip(runs, steps, strict=True)]
    weights = [
        weights_at(run.config, run.state(step), name)
        for run, step, name in zip(runs, ends, point, strict=True)
    ]
    evaluate = _evaluator(runs[0], split, evaluators)
    rows = [named["embedding"].shape[0] for named in weights]
    if rows[0] != rows[1]:
        raise InputError(
            f"The vocabularies of the two runs have {rows[0]} and {rows[1]} tokens, and a line "
            f"needs one; take runs with one tokenizer."
        )
    a, b = (evaluate.flat.joined(named).to(evaluate.flat.theta) for named in weights)
    distance = float((b - a).double().norm())
    if not distance:
        raise InputError(
            f"Both ends of the line are one point, {point[0]!r} after step {ends[0]}; take two "
            f"steps, or two points."
        )
    places = np.arange(-more, cuts + more + 1)
    # whole numbers over `cuts`: the ends are exact, and to swap them changes no bit
    loss = [evaluate(a * ((cuts - k) / cuts) + b * (k / cuts)) for k in places.tolist()]
    return Line(places / cuts, np.array(loss), distance, (ends[0], ends[1]), point)


def _check_models(a: Config, b: Config) -> None:
    """The weights of two models can be mixed only if they mean the same."""
    ours, theirs = asdict(a.model), asdict(b.model)
    for key in ours:
        if key not in ("loss", "z_loss") and ours[key] != theirs[key]:
            raise InputError(
                f"The two runs have different models, model.{key} is {ours[key]!r} and "
                f"{theirs[key]!r}; take runs of one [model]."
            )


def _evaluator(run: Run, split: str, known: _Evaluators) -> Evaluator:
    """The evaluation of a run, made once for all runs that evaluate alike."""
    if split not in SPLITS:
        raise nearest("split", split, SPLITS)
    config, own = run.config, run.config.run
    alike = (own.batch, own.micro, own.device, own.dtype, own.compile, own.threads)
    key = config.model, config.data, alike, split
    if key not in known:
        device, dtype, compiled = settled(own)
        tokens = prepare(config.data)
        scratch = Transformer(config.model, tokens.vocabulary, dtype).to(device)
        read = tokens if split == "val" else replace(tokens, val=tokens.train)
        batch = own.micro or own.batch
        wrap = compiler(compiled)
        made = Evaluator(scratch, read, config.data.eval_tokens, batch, wrap)
        known[key] = made, tokens.sha256
    evaluator, sha256 = known[key]
    environment = json.loads((run.directory / "env.json").read_text("utf-8"))
    if environment["tokens_sha256"] != sha256:
        raise InputError(
            f"The corpus of the run {run.directory} has changed since it began; bring it back."
        )
    return evaluator
