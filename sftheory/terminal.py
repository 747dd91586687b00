"""What people and machines read: tables, JSON, and sentences that name options."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import Any

IN_OPTIONS = (
    (r"nonfinite='drop'", "--drop"),
    (r"\bcurve\.cut\(([^,()]+), ([^()]+)\)", r"--start \1 --stop \2"),
    (r"\bcut\(start=(\w+)\)", r"--start \1"),
    (r"\b(cut|robust)=True", r"--\1"),
    (r"\b(x|y|lr|column)=(?=[ ,]|\.(?:$|\s))", r"--\1"),
    (r"\bweights='(\w+)'", r"--weights \1"),
    (
        r"fit a law that knows the rate(, such as 'tissue')?",
        "fit a law that knows the rate, in Python with fits.fit_schedules",
    ),
)


def in_options(sentence: str) -> str:
    """A remedy in Python's words in those of the command line: cut=True is --cut.

    Example:
        >>> in_options("choose with y= 'a', 'b'; robust=True would down-weight them")
        "choose with --y 'a', 'b'; --robust would down-weight them"
    """
    for python, option in IN_OPTIONS:
        sentence = re.sub(python, option, sentence)
    return sentence


def as_json(facts: Any) -> str:
    """JSON text, with null for what JSON has no number for.

    Example:
        >>> print(as_json([1, float("nan"), float("inf")]).replace("\\n", ""))
        [ 1, null, null]
    """
    return json.dumps(plain(facts), indent=1, ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """`value` in Python's own types, with None for nan and infinity."""
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table_of(*heads: str) -> Any:
    """An empty table with these heads."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def show_table(table: Any) -> None:
    """Print it, as wide as the terminal, or 140 columns into a pipe."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 140
    Console(width=width, highlight=False).print(table)


def show_claims(manifests: list[dict[str, Any]]) -> None:
    """The claims of figures, with what was expected and what came out."""
    table = table_of("", "claim", "expected", "here", "outcome")
    for manifest in manifests:
        for i, claim in enumerate(manifest["claims"]):
            sign = {"==": "=", "<=": "≤", ">=": "≥", "in": "in"}[claim["relation"]]
            holds = claim["holds"] == (claim["known_failure"] is None)
            outcome = "holds" if claim["holds"] else "fails"
            mark = f"[{'green' if claim['holds'] else 'yellow' if holds else 'red'}]{outcome}"
            mark += "" if claim["known_failure"] is None else ", recorded"
            table.add_row(
                manifest["figure"] if i == 0 else "",
                claim["statement"],
                f"{sign} {_short(claim['expected'])}",
                _short(claim["computed"]),
                mark,
                end_section=i == len(manifest["claims"]) - 1,
            )
    show_table(table)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_short(v) for v in value)
    return value if isinstance(value, str) else f"{value:.5g}"
