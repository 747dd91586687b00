"""Names that are imported when they are first asked for (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any


def attributes(package: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """`__getattr__` of a package: `names` says in which module each name lives.

    What it finds is stored in the package, so that it is asked once. `dir` and `*` see the names.
    """
    module = sys.modules[package]
    if not hasattr(module, "__all__"):
        vars(module).update(__all__=sorted(names), __dir__=lambda: sorted(names))

    def attribute(name: str) -> Any:
        if name not in names:
            close = get_close_matches(name, names, n=1, cutoff=0.6)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        thing = getattr(importlib.import_module(names[name]), name)
        setattr(sys.modules[package], name, thing)
        return thing

    return attribute
