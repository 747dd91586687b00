"""Registries: being a file in the folder is what makes a thing known.

A registry reads the source text of its folder, so that names and summaries can be listed without
importing torch, matplotlib or anything else that the entries need. An entry's module is imported
when the entry is asked for.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sftheory.core.errors import InputError, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Listing:
    """What the source text says of one public definition; `name` is None if not registered."""

    name: str | None
    symbol: str
    module: str
    summary: str


@dataclass(frozen=True)
class Entry:
    """A registered thing with what was said of it at registration.

    `ref` is a key of references.bib, `tex` its formula, `example` the arguments (or a function of
    N that returns them) with which `make` builds an instance where the defaults do not.
    """

    name: str
    object: Any
    ref: str = ""
    tex: str = ""
    example: Mapping[str, Any] | Callable[[int], Mapping[str, Any]] | None = None
    facts: Mapping[str, Any] | None = None

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.object.__doc__ or "").strip().split("\n")[0]

    def make(self, N: int = 100) -> Any:
        """An instance with default arguments, or with the registered example's."""
        kwargs = self.example(N) if callable(self.example) else self.example or {}
        return self.object(**kwargs)


def key_of(symbol: str) -> str:
    """The registry key of a class: ScheduleFree is schedule_free, WSD is wsd, L1Regression is
    l1_regression.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", symbol)
    return words.lower()


class Registry:
    """The entries of one kind: those that the modules of `package` register.

    Example:
        >>> from sftheory.schedules import SCHEDULES
        >>> SCHEDULES["linear"].make()(4).tolist()
        [1.0, 0.75, 0.5, 0.25]
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._entries: dict[str, Entry] = {}

    def register(
        self,
        name: str | None = None,
        *,
        ref: str = "",
        tex: str = "",
        example: Any = None,
        **facts: Any,
    ) -> Callable[[T], T]:
        """Decorator that enters a class or function under `name` (default: from its own name)."""

        def enter(thing: T) -> T:
            key = name or key_of(thing.__name__)  # pyright: ignore[reportAttributeAccessIssue]
            self._entries[key] = Entry(key, thing, ref, tex, example, facts)
            return thing

        return enter

    @cached_property
    def listings(self) -> tuple[Listing, ...]:
        """Every public definition of the folder, in order of file and line, read from its text."""
        spec = importlib.util.find_spec(self.package)
        folders = spec.submodule_search_locations if spec else None
        if not folders:
            raise ModuleNotFoundError(f"package {self.package!r} is not installed")
        files = sorted(f for folder in folders for f in Path(folder).glob("*.py"))
        found = tuple(
            listing
            for file in files
            if not file.stem.startswith("_")
            for listing in _definitions(file, f"{self.package}.{file.stem}")
        )
        modules: dict[str, str] = {}
        for item in found:
            for key in {item.symbol, item.name or item.symbol}:
                other = modules.setdefault(key, item.module)
                if other != item.module:
                    raise InputError(f"{other} and {item.module} both define {key}; rename one.")
        return found

    def summaries(self) -> dict[str, str]:
        """Name and first docstring line of every entry, without importing any."""
        return {
            item.name: item.summary for item in sorted(self.listings, key=_by_name) if item.name
        }

    def names(self) -> list[str]:
        """The names of all entries."""
        return list(self.summaries())

    def __getitem__(self, name: str) -> Entry:
        """The entry called `name`; case, hyphens and underscores do not matter.

        Raises:
            UnknownNameError: there is none; the sentence suggests the nearest.
        """
        found = {_fold(item.name): item for item in self.listings if item.name}
        item = found.get(_fold(name))
        if item is None:
            raise nearest(self.kind, name, self.names())
        importlib.import_module(item.module)
        assert item.name is not None
        return self._entries[item.name]

    def __iter__(self) -> Iterator[Entry]:
        return (self[name] for name in self.names())

    def load(self) -> dict[str, Entry]:
        """All entries by name; imports every module of the folder."""
        return {entry.name: entry for entry in self}

    def attribute(self, symbol: str) -> Any:
        """`__getattr__` of the package: a public class or function of one of its modules."""
        if not symbol.startswith("_"):
            for item in self.listings:
                if item.symbol == symbol:
                    thing = getattr(importlib.import_module(item.module), symbol)
                    setattr(sys.modules[self.package], symbol, thing)
                    return thing
        if symbol.startswith("__"):  # Python's own probes, such as __path__ and __wrapped__
            raise AttributeError(symbol)
        raise nearest(f"name in {self.package}:", symbol, self.symbols())

    def symbols(self) -> list[str]:
        """`__dir__` of the package: its public classes and functions."""
        return sorted({item.symbol for item in self.listings})


def _by_name(item: Listing) -> str:
    return item.name or ""


def _fold(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _definitions(file: Path, module: str) -> Iterator[Listing]:
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise InputError(
            f"{file}, line {error.lineno}: {error.msg}; mend the file or move it away."
        ) from None
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
            summary = (ast.get_docstring(node) or "").split("\n")[0]
            yield Listing(_registered_name(node), node.name, module, summary)


def _registered_name(node: ast.ClassDef | ast.FunctionDef) -> str | None:
    for call in node.decorator_list:
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr == "register"
        ):
            first = call.args[0] if call.args else None
            return str(first.value) if isinstance(first, ast.Constant) else key_of(node.name)
    return None
