"""Sphinx: how the pages are read and how docstrings become the reference.

`make docs` calls scripts/docs.py, which lays out the sources in docs/_build/source first.
"""

from __future__ import annotations

import importlib
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import sftheory
from sftheory.options import registries

project, author, release = "sftheory", "the sftheory authors", sftheory.__version__
copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc"]
nb_execution_mode = "off"  # make notebooks runs them, with a timeout; the docs show what was kept
myst_enable_extensions = ["amsmath", "attrs_block", "attrs_inline", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["mystnb.unknown_mime_type"]  # a widget's state, where a page has no widget

html_theme = "pydata_sphinx_theme"
html_title = "sftheory"
html_static_path, html_css_files = ["_static"], ["sftheory.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_toc_level": 1,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}

autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Array", "Steps")}
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

SPECIAL = re.compile(r"([\\`*_|])")


def _formulas() -> dict[Any, str]:
    """The formula of every registered thing that has one."""
    return {
        entry.object: entry.tex for kind in registries().values() for entry in kind if entry.tex
    }


FORMULAS = _formulas()


def rendered(lines: list[str], formula: str = "") -> list[str]:
    """A docstring as reStructuredText: the summary, the formula, the text as it was laid out.

    The docstrings of this project are written to be read as they stand, with |x| for a norm and
    aligned formulas, which no markup survives; so they are shown as they stand.
    """
    summary: list[str] = []
    for line in lines:
        if not line.strip():
            break
        summary.append(line)
    body, example = _without_example(lines[len(summary) :])
    found = [SPECIAL.sub(r"\\\1", " ".join(line.strip() for line in summary)), ""]
    if formula:
        found += [".. math::", "", *(f"   {line}" for line in formula.split("\n")), ""]
    for language, text in (("text", body), ("pycon", example)):
        if any(line.strip() for line in text):
            found += [f".. code-block:: {language}", "", *(f"   {line}" for line in text), ""]
    return found


def _without_example(lines: list[str]) -> tuple[list[str], list[str]]:
    places = [i for i, line in enumerate(lines) if line.strip() == "Example:"]
    if not places:
        return _trimmed(lines), []
    start = places[0]
    stop = start + 1
    while stop < len(lines) and (not lines[stop].strip() or lines[stop].startswith(" ")):
        stop += 1
    example = textwrap.dedent("\n".join(lines[start + 1 : stop])).split("\n")
    return _trimmed(lines[:start] + lines[stop:]), _trimmed(example)


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[0].strip():
        lines = lines[1:]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    try:
        formula = FORMULAS.get(obj, "")
    except TypeError:  # not hashable, so nothing that is registered
        formula = ""
    lines[:] = rendered(lines, formula)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _docstring)
    importlib.import_module("torch")  # its warnings come now, not inside a page
    return {"parallel_read_safe": True, "parallel_write_safe": True}
