"""Which runs can be trained as one stack, and which should be.

They differ in numbers that act on each model by itself, and the model is small: a stack saves what
a step costs besides arithmetic, which is much only where the arithmetic is little.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from sftheory.core.errors import InputError
from sftheory.lm import scale
from sftheory.lm.config import Config
from sftheory.lm.devices import settled
from sftheory.lm.tokens import Tokens, prepare

LARGEST = 2_000_000  # parameters of a member
AT_ONCE = 16  # members, where nobody says how many
FEW_TOKENS, FEW_PARAMETERS = 128, 500_000  # up to which a stack is faster on a processor, measured
FILLING_TOKENS = 2**13  # up to which one small model cannot fill an accelerator, an estimate
FREE = ("optimizer.lr", "optimizer.weight_decay", "optimizer.clip", "run.seed", "data.seed")
FREE += ("start.run",)  # and all of [schedule]
ROUNDS = ("muon", "schedule_free")  # in bfloat16, so that another order of sums is seen
NEEDED = {"run.parallel": "none", "run.probe_every": 0, "run.nonfinite": "stop", "lora": None}


def check_alike(configs: list[Config]) -> None:
    """Raises InputError, with the key, unless these runs can be a stack."""
    if not configs:
        raise InputError("A stack of no runs was asked for; give at least one config.")
    for config in configs:
        if (key := _hindrance(config)) is not None:
            raise InputError(
                f"{key}={_value(config, key)!r} is not possible in a stack; change it, or train "
                f"these runs one after the other."
            )
    first = _shared(configs[0])
    for config in configs[1:]:
        other = _shared(config)
        for key in sorted(first.keys() | other.keys()):
            if first.get(key) != other.get(key):
                raise InputError(
                    f"{key} is {first.get(key)!r} in one run and {other.get(key)!r} in another, "
                    f"but runs of a stack differ only in {', '.join(FREE)} and [schedule]; train "
                    f"them one after the other."
                )


def check_small(config: Config, tokens: Tokens) -> None:
    """Raises InputError where a stack cannot pay."""
    if (n := parameters(config, tokens)) > LARGEST:
        raise InputError(
            f"A model of {n:,} parameters is too large for a stack, which is for at most "
            f"{LARGEST:,}; train these runs one after the other."
        )


def parameters(config: Config, tokens: Tokens) -> int:
    """How many a model has."""
    V = config.model.vocabulary or -(-tokens.vocabulary // 64) * 64
    return sum(scale.parameters(dataclasses.replace(config.model, vocabulary=V)).values())


def stacks(configs: list[Config], stack: str) -> list[list[Config]]:
    """Runs that can be trained together, as a sweep with stack = "off", "auto" or "8" does it.

    Raises:
        InputError: `stack` is none of these.
    """
    if stack == "off":
        return [[config] for config in configs]
    if stack != "auto" and not (stack.isdecimal() and int(stack) > 1):
        raise InputError(f"stack={stack!r} must be 'off', 'auto' or a number above 1, such as '8'.")
    groups: dict[str, list[Config]] = {}
    for config in configs:
        able = _hindrance(config) is None
        key = json.dumps(_shared(config), sort_keys=True) if able else config.id
        groups.setdefault(key, []).append(config)
    found = []
    for group in groups.values():
        most = 1 if len(group) == 1 else _most(group[0], stack)
        found += [group[i : i + most] for i in range(0, len(group), most)]
    return found


def _most(config: Config, stack: str) -> int:
    """How many runs like this are trained together."""
    n = parameters(config, prepare(config.data))
    if n > LARGEST:
        return 1
    if stack != "auto":
        return int(stack)
    tokens = (config.run.micro or config.run.batch) * config.model.context
    if settled(config.run)[0].type == "cpu":
        return AT_ONCE if tokens <= FEW_TOKENS and n <= FEW_PARAMETERS else 1
    return AT_ONCE if tokens <= FILLING_TOKENS else 1


def _hindrance(config: Config) -> str | None:
    """The key that keeps a run out of every stack."""
    if config.optimizer.name in ROUNDS:
        return "optimizer.name"
    return next((key for key, wanted in NEEDED.items() if _value(config, key) != wanted), None)


def _shared(config: Config) -> dict[str, Any]:
    """By its dotted key what has to be equal."""
    return {
        f"{section}.{key}": value
        for section, values in config.to_dict().items()
        for key, value in values.items()
        if section != "schedule" and f"{section}.{key}" not in FREE
    }


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value
