"""Options of the command line that name a schedule and a method, with the options of those."""

from __future__ import annotations

import argparse
import ast
import dataclasses
from collections.abc import Mapping
from typing import Any

from sftheory.core.errors import InputError, nearest
from sftheory.core.registry import Registry


def registries() -> dict[str, Registry]:
    """Every registry by the name of its kind, in the plural."""
    from sftheory.bounds import BOUNDS
    from sftheory.figures import FIGURES
    from sftheory.methods import METHODS
    from sftheory.problems import PROBLEMS
    from sftheory.schedules import SCHEDULES

    return {f"{r.kind}s": r for r in (SCHEDULES, METHODS, PROBLEMS, BOUNDS, FIGURES)}


def own_options(
    parser: argparse.ArgumentParser, words: list[str]
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Split off the options of a schedule or a method, which depend on which one is chosen."""
    if words[:1] not in (["bound"], ["worst-case"]):
        return [], words, {}
    choices = next(a.choices for a in parser._actions if isinstance(a.choices, Mapping))
    known = {s for action in choices[words[0]]._actions for s in action.option_strings}
    ours, given = [], {}
    rest = iter(part for word in words for part in _split(word))
    for word in rest:
        if not word.startswith("--") or word in known:
            ours.append(word)
            continue
        value = next(rest, None)
        if value is None:
            raise InputError(f"{word} needs a value; write {word} VALUE.")
        given[word[2:].replace("-", "_")] = _literal(value)
    return sorted(known), ours, given


def schedule_and_method(options: argparse.Namespace) -> tuple[Any, Any]:
    """What --schedule, --method, --warmup and their own options name."""
    known = registries()
    schedules, methods = known["schedules"], known["methods"]
    given = options.given
    schedule = _build(schedules, options.schedule, given)
    method = _build(methods, options.method, given)
    if given:
        raise _no_such_option(next(iter(given)), schedule, method, options.known)
    if not hasattr(method, "tableau"):
        raise InputError(
            f"Steps of {options.method} depend on the run, so no bound holds beforehand; "
            f"use bounds.certificate(traj) after a run."
        )
    if options.warmup is not None:
        length = "fraction" if "." in options.warmup else "steps"
        schedule = schedules["warmup"].object(schedule, **{length: _literal(options.warmup)})
    return schedule, method


def _build(registry: Registry, name: str, given: dict[str, Any]) -> Any:
    """An entry's instance from the options that name its fields; those are taken out of `given`."""
    cls = registry[name].object
    names = [f.name for f in dataclasses.fields(cls) if f.init]
    kwargs = {field: given.pop(field) for field in names if field in given}
    try:
        return cls(**kwargs)
    except TypeError:
        raise InputError(
            f"{registry.kind} {name!r} needs more than options can say; build it in Python."
        ) from None


def _no_such_option(name: str, schedule: Any, method: Any, known: list[str]) -> InputError:
    """Says which schedules or methods do have the option, or the nearest that these have."""
    owners = [
        entry.name
        for kind in ("schedules", "methods")
        for entry in registries()[kind]
        if name in {field.name for field in dataclasses.fields(entry.object)}
    ]
    if not owners:
        return nearest("option", f"--{name}", [*_fields(schedule), *_fields(method), *known])
    return InputError(
        f"{type(schedule).__name__} and {type(method).__name__} have no --{name}; "
        f"it is an option of {', '.join(owners)}."
    )


def _fields(thing: Any) -> list[str]:
    return [f"--{field.name}" for field in dataclasses.fields(thing)]


def _split(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") and "=" in word else [word]


def _literal(text: str) -> Any:
    if text.lower() in ("true", "false", "none"):
        return {"true": True, "false": False, "none": None}[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
