"""Which columns of a log are the loss, the step and the rate, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
LOSS = {"loss", "losses", "nll", "trl", "tel", "bpb", "bpc", "xent", "objective"}
STEP = {"step", "steps", "iter", "iters", "iteration", "iterations", "it", "update", "updates"}
STEP |= {"timestep", "timesteps"}
TOKENS = {"tokens", "token"}
SAMPLES = {"samples", "sequences", "examples"}
TIME = {"time", "timestamp", "runtime", "duration", "elapsed", "seconds", "date", "wall", "epoch"}
# words that make another quantity of it: a loss scale, steps per second, W&B's envelope of a loss
OTHER = {"scale", "scaler", "std", "var", "weight", "coef", "norm", "ppl", "perplexity", "acc"}
OTHER |= {"accuracy", "per", "sec", "second", "seconds", "time", "avg", "size", "count", "ratio"}
OTHER |= {"decay", "min", "max"}
LOSS_OTHER = OTHER - {"avg", "weight", "per"}
UNITS = ("steps", "tokens", "samples", "epochs")


def words(name: str) -> list[str]:
    """The words of a column's name in lower case: 'train/ctcLoss_2' has train, ctc, loss, 2."""
    return [word.lower() for word in WORD.findall(name)]


def unnamed(i: int) -> str:
    """What column i, counted from 1, is called if the log has no name for it."""
    return f"column {i}"


def is_loss(name: str) -> bool:
    """Whether a column is called a loss."""
    found = set(words(name))
    return bool(found & LOSS or {"cross", "entropy"} <= found) and not found & LOSS_OTHER


def is_rate(name: str) -> bool:
    """Whether a column is called a learning rate."""
    found = words(name)
    named = "lr" in found or ("learning", "rate") in pairwise(found)
    return named and not is_loss(name) and not set(found) & OTHER


def is_step(name: str) -> bool:
    """Whether a column is called a count of steps."""
    return unit(name) == "steps"


def unit(name: str) -> str | None:
    """What a column counts by its name: one of UNITS, or None if it counts nothing known."""
    found = words(name)
    if not found or is_loss(name) or set(found) & OTHER:
        return None
    if found[-1] in STEP:
        return "steps"
    if set(found) & TOKENS:
        return "tokens"
    if set(found) & SAMPLES and "num" not in found:
        return "samples"
    return "epochs" if found[-1] in {"epoch", "epochs"} else None


def losses(columns: Sequence[str], textual: Iterable[str] = ()) -> list[str]:
    """The columns that may be the loss: those called so, or else the one that is nothing else.

    Of two columns without names the second is it.
    """
    named = [name for name in columns if is_loss(name)]
    if named:
        return named
    if tuple(columns) == (unnamed(1), unnamed(2)):
        return [unnamed(2)]
    other = [
        name
        for name in columns
        if unit(name) is None
        and not is_rate(name)
        and not set(words(name)) & TIME
        and name not in set(textual)
    ]
    return other if len(other) == 1 else []


def counters(columns: Sequence[str], y: str) -> list[str]:
    """The columns that may be the abscissa of `y`, the best first.

    Steps go before tokens, tokens before samples, samples before epochs. Among steps one that
    shares the beginning of its name with `y` goes first and W&B's own count of calls last.
    """
    start = y.rpartition("/")[0]

    def order(name: str) -> tuple[int, bool, bool, bool]:
        own = bool(start) and name.rpartition("/")[0] == start
        return UNITS.index(unit(name) or ""), not own, name == "_step", "global" not in name

    found = sorted((name for name in columns if unit(name) and name != y), key=order)
    rest = [name for name in columns if name != y and not is_rate(name)]
    return found or (rest if len(rest) == 1 and len(columns) == 2 else [])


def rates(columns: Sequence[str], y: str) -> list[str]:
    """The columns that may be the rate; one that shares the beginning of y's name wins."""
    found = [name for name in columns if is_rate(name) and name != y]
    start = y.rpartition("/")[0]
    own = [name for name in found if start and name.rpartition("/")[0] == start]
    return own if len(own) == 1 else found
