"""Names that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def attributes(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """`__getattr__` of a package: `names` says in which module each name lives.

    What it finds is stored in the package, so that it is asked once.
    """

    def attribute(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        thing = getattr(importlib.import_module(names[name]), name)
        setattr(sys.modules[package], name, thing)
        return thing

    return attribute
