"""Options of the command line that name a schedule and a method, with the options of those."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from sftheory.core.errors import InputError, nearest
from sftheory.core.registry import Registry

# what other programs call our options
SAID_ELSEWHERE = {
    "lr": "--peak",
    "learning_rate": "--peak",
    "gamma": "--peak",
    "N": "--steps",
    "T": "--steps",
}


def registries() -> dict[str, Registry]:
    """Every registry by the name of its kind, in the plural."""
    from sftheory.bounds import BOUNDS
    from sftheory.figures import FIGURES
    from sftheory.fits.laws import LAWS
    from sftheory.methods import METHODS
    from sftheory.probes.metrics import METRICS
    from sftheory.problems import PROBLEMS
    from sftheory.schedules import SCHEDULES

    all_of_them = (SCHEDULES, METHODS, PROBLEMS, BOUNDS, LAWS, METRICS, FIGURES)
    return {f"{r.kind}s": r for r in all_of_them}


def add_method(sub: argparse.ArgumentParser, default_peak: str) -> None:
    """The options that name steps and a method; `default_peak` is said in the help."""
    sub.add_argument("--schedule", default="linear", help="(linear) with options, --cooldown 0.2")
    sub.add_argument("--method", default="last_iterate", help="(last_iterate) with its options")
    sub.add_argument("--steps", type=whole, default=400, help="(400) N, the gradient steps")
    text = f"base step (default: {default_peak}; 1 for from_values)"
    sub.add_argument("--peak", type=float, default=None, help=text)
    sub.add_argument("--warmup", default=None, help="steps (20), or with a point a fraction (0.05)")
    add_constants(sub)


def add_constants(sub: argparse.ArgumentParser) -> None:
    """--D and --G; that --G was not given is None, as --L and --grad-norms take its place."""
    sub.add_argument("--D", type=positive, default=1.0, help="(1) distance to a minimiser")
    sub.add_argument("--G", type=positive, help="(1) bound on the subgradient norms")


def positive(text: str) -> float:
    """A finite number > 0, as an argument's type."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a finite number > 0 but found {text!r}")
    return value


def whole(text: str) -> int:
    """A whole number, also as 1e5, as an argument's type."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not value.is_integer():
        raise argparse.ArgumentTypeError(f"expected a whole number but found {text!r}")
    return int(value)


def own_options(
    parser: argparse.ArgumentParser, words: list[str]
) -> tuple[list[str], list[str], dict[str, Any]]:
    """Split off the options of a schedule or a method, which depend on which one is chosen."""
    if words[:1] not in (["bound"], ["worst-case"]):
        return [], words, {}
    known = _strings(_commands(parser)[words[0]])
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


def check_command(parser: argparse.ArgumentParser, words: list[str]) -> None:
    """Raises InputError with the nearest command if the first word is none."""
    if words and not words[0].startswith("-") and words[0] not in _commands(parser):
        raise nearest("command", words[0], _commands(parser))


def not_understood(parser: argparse.ArgumentParser, command: str, word: str) -> InputError:
    """The error for a word that a command does not take: it suggests the nearest option."""
    sub = _commands(parser).get(command, parser)
    name = sub.prog.removeprefix("sftheory ")
    if not word.startswith("-"):
        return InputError(f"{name} does not take {word!r} in that place; see {sub.prog} --help.")
    option = _split(word)[0]
    close = get_close_matches(option, sorted(_strings(sub)), n=1)
    hint = f"did you mean {close[0]}? See" if close else "see"
    return InputError(f"{name} has no option {option}; {hint} {sub.prog} --help.")


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    return next(a.choices for a in parser._actions if isinstance(a.choices, Mapping))


def _strings(sub: argparse.ArgumentParser) -> set[str]:
    return {string for action in sub._actions for string in action.option_strings}


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
        if length == "steps" and schedule.steps > options.steps:
            raise InputError(
                f"--warmup {options.warmup} is longer than --steps {options.steps}; give fewer "
                f"steps, or a fraction such as --warmup 0.05."
            )
    return schedule, method


def _build(registry: Registry, name: str, given: dict[str, Any]) -> Any:
    """An entry's instance from the options that name its fields; those are taken out of `given`."""
    cls = registry[name].object
    fields = [f for f in dataclasses.fields(cls) if f.init]
    kwargs = {f.name: given.pop(f.name) for f in fields if f.name in given}
    needed = [f for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    if any("Schedule" in str(f.type) for f in needed):  # annotations are texts here
        raise InputError(
            f"{registry.kind} {name!r} needs more than options can say; build it in Python."
        )
    for field in needed:
        if field.name not in kwargs:
            typo = next((f"--{g}" for g in given if not _owners(g)), None)
            start = f"There is no option {typo}, and {registry.kind}" if typo else registry.kind
            raise InputError(f"{start} {name!r} needs --{field.name}; write --{field.name} VALUE.")
    return cls(**kwargs)


def _no_such_option(name: str, schedule: Any, method: Any, known: list[str]) -> InputError:
    """Says which schedules or methods do have the option, or the nearest that these have."""
    owners = _owners(name)
    if name in SAID_ELSEWHERE and SAID_ELSEWHERE[name] in known:
        return InputError(f"There is no option '--{name}'; here it is {SAID_ELSEWHERE[name]}.")
    if not owners:
        return nearest("option", f"--{name}", [*_fields(schedule), *_fields(method), *known])
    return InputError(
        f"{type(schedule).__name__} and {type(method).__name__} have no --{name}; "
        f"it is an option of {', '.join(owners)}."
    )


def _owners(option: str) -> list[str]:
    """The schedules and methods that have an option."""
    return [
        entry.name
        for kind in ("schedules", "methods")
        for entry in registries()[kind]
        if option in {field.name for field in dataclasses.fields(entry.object)}
    ]


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
