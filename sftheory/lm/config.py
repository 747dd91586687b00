"""What a run is: frozen sections, read from TOML or JSON; their hash is the run's name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, Self, get_args, get_type_hints

from sftheory.core.errors import InputError, nearest
from sftheory.lm.lora import Lora
from sftheory.lm.sections import Averages, Data, Model, Optimizer, Run, Schedule, Start
from sftheory.lm.sizes import expanded


@dataclass(frozen=True)
class Config:
    """Everything that decides what a run computes.

    Sections: `model`, `data`, `optimizer`, `schedule`, `averages`, `run`, and `start` for a branch;
    their fields are documented in `sftheory.lm.sections`. A branch may have `lora`, see
    `sftheory.lm.lora`; where it is None, no text of the config names it. In [optimizer] and
    [schedule], keys that are not fields are options of the named optimizer or schedule.

    Raises:
        InputError: a value is out of its range.
        UnknownNameError: a key or name that does not exist; the sentence suggests the nearest.

    Example:
        >>> config = Config.of({"schedule": {"name": "wsd", "cooldown": 0.4}})
        >>> config.schedule.options, config.model.width
        ({'cooldown': 0.4}, 80)
        >>> changed = config.replaced({"run.seed": 1})
        >>> changed.run.seed, changed.id == config.id
        (1, False)
        >>> Config.of(changed.to_dict()) == changed
        True
    """

    model: Model = field(default_factory=Model)
    data: Data = field(default_factory=Data)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    averages: Averages = field(default_factory=Averages)
    run: Run = field(default_factory=Run)
    start: Start = field(default_factory=Start)
    lora: Lora | None = None

    def __post_init__(self) -> None:
        if self.lora is not None and self.run.parallel == "fsdp":
            raise InputError(
                "run.parallel='fsdp' is not supported with [lora], whose frozen weights every "
                "process keeps whole; set it to 'ddp'."
            )

    @classmethod
    def of(cls, sections: Mapping[str, Any]) -> Self:
        """From nested mappings; what is not said keeps its default."""
        kinds = _kinds(cls)
        made = {}
        for name, values in sections.items():
            if name not in kinds:
                raise nearest("section", name, kinds)
            if name == "lora" and (values is None or values is False):
                continue
            if isinstance(values, kinds[name]):
                made[name] = values
                continue
            if not isinstance(values, Mapping):
                raise InputError(f"Section [{name}] must hold keys, but got {values!r}.")
            values = expanded(values) if name == "model" else values
            made[name] = _section(kinds[name], name, values)
        return cls(**made)

    @classmethod
    def read(cls, path: str | Path, changes: Iterable[str] = ()) -> Self:
        """From a .toml or .json file, with changes such as "optimizer.lr=1e-3"."""
        return cls.of(read_sections(path)).replaced(parsed(changes))

    def replaced(self, changes: Mapping[str, Any]) -> Self:
        """With the values of dotted keys changed; the name of a section replaces all of it."""
        sections, kinds = self.to_dict(), _kinds(type(self))
        names_first = sorted(
            changes, key=lambda key: not key.endswith((".name", ".size", ".preset"))
        )
        for key, value in ((key, changes[key]) for key in names_first):
            section, _, name = key.partition(".")
            if section not in kinds:
                raise nearest("section", section, kinds)
            if not name:
                sections[section] = value
                continue
            own = sections.get(section, {})
            if name == "name" and own.get("name") != value:
                known = {f.name for f in dataclasses.fields(kinds[section])}
                own = {k: v for k, v in own.items() if k in known}  # options belong to the name
            if name == "preset":
                own = {}
            if name == "size":
                own = {k: v for k, v in own.items() if k not in ("width", "layers", "heads")}
            sections[section] = {**own, name: value}
        return type(self).of(sections)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested mappings of plain values, which `of` reads back."""
        answer = {}
        for f in dataclasses.fields(self):
            if getattr(self, f.name) is None:
                continue
            values = dataclasses.asdict(getattr(self, f.name))
            options = values.pop("options", {})
            answer[f.name] = {**_plain(values), **_plain(options)}
        return answer

    def to_json(self) -> str:
        """The canonical text: keys sorted, no spaces."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    def to_toml(self) -> str:
        """TOML that `read` reads back."""
        lines = []
        for name, values in self.to_dict().items():
            lines += [f"[{name}]", *(f"{k} = {_toml(v)}" for k, v in values.items()), ""]
        return "\n".join(lines)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the canonical text's sha256: the run's name."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]


def read_sections(path: str | Path) -> dict[str, Any]:
    """The mapping in a .toml or .json file.

    Raises:
        InputError: there is no such file, or it cannot be parsed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        said = f"Cannot read the config {path}: {error.strerror}; check the path."
        raise InputError(said) from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid: {error}; mend that line.") from None


def parsed(changes: Iterable[str]) -> dict[str, Any]:
    """Dotted keys and values of texts such as "run.steps=200"; values are TOML, or plain words."""
    answer = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip():
            raise InputError(f"{change!r} is no setting; write --set section.key=value.")
        try:
            value = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        answer[key.strip()] = value
    return answer


def _kinds(config: type[Config]) -> dict[str, Any]:
    hints = get_type_hints(config)
    return {k: next(a for a in get_args(h) or (h,) if a is not NoneType) for k, h in hints.items()}


def _section(kind: type, name: str, values: Mapping[str, Any]) -> Any:
    fields = {f.name for f in dataclasses.fields(kind)}
    takes_options = "options" in fields
    fields.discard("options")
    own = {k: v for k, v in values.items() if k in fields}
    rest = {k: v for k, v in values.items() if k not in fields}
    if rest and not takes_options:
        raise nearest("key", f"{name}.{next(iter(rest))}", [f"{name}.{f}" for f in fields])
    hints = get_type_hints(kind)
    own = {k: _cast(f"{name}.{k}", v, hints[k]) for k, v in own.items()}
    return kind(**own, options=_plain(rest)) if takes_options else kind(**own)


def _cast(key: str, value: Any, kind: Any) -> Any:
    """The value as its field's type, where nothing is lost."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and number and float(value).is_integer():
        return int(value)
    if kind is float and number:
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    if kind == int | float and number:
        return int(value) if float(value).is_integer() else float(value)
    if kind in (tuple[str, ...], tuple[int, ...]) and isinstance(value, (list, tuple)):
        inner = str if kind == tuple[str, ...] else int
        return tuple(_cast(key, v, inner) for v in value)
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise InputError(f"{key} must be {wanted.get(kind, 'a list')}, but got {value!r}.")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return json.dumps(value)
