"""Tables for people."""

from __future__ import annotations

import sys
from typing import Any


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
