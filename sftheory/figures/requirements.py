"""Figures of real runs, whose data do not come with the package."""

from __future__ import annotations

import os
from pathlib import Path

from sftheory.core.errors import InputError
from sftheory.core.registry import Entry

REAL_DATA = "SFTHEORY_DATA"


def missing(entry: Entry) -> str | None:
    """Why a figure cannot be made here, in one sentence; None if it can.

    A figure that is registered with `needs="curves"` draws the files in that folder of the folder
    that the environment variable SFTHEORY_DATA names.
    """
    part = (entry.facts or {}).get("needs")
    root = os.environ.get(REAL_DATA)
    if part is None or (root and Path(root, part).is_dir()):
        return None
    if not root:
        return f"{entry.name} draws real runs; set {REAL_DATA} to the folder with {part!r} in it."
    return f"{entry.name} draws real runs, but {root} has no folder {part!r}; set {REAL_DATA}."


def real_data(part: str) -> Path:
    """The folder `part` of the real data.

    Raises:
        InputError: SFTHEORY_DATA is not set, or has no such folder.
    """
    found = Path(os.environ.get(REAL_DATA, ""), part)
    if not os.environ.get(REAL_DATA) or not found.is_dir():
        raise InputError(f"There is no folder of real data with {part!r}; set {REAL_DATA} to it.")
    return found.resolve()
