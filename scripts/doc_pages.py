"""Pages of the documentation that are written from the package: gallery, reference, bibliography.

Nothing is computed: figures and claims are those that lie in paper_figures/out.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
from pathlib import Path
from typing import Any

import sftheory
from sftheory.core.registry import Registry
from sftheory.figures import FIGURES
from sftheory.figures.requirements import missing

KINDS = {
    "schedules": "Schedules",
    "methods": "Methods",
    "problems": "Problems",
    "bounds": "Bounds",
    "worst_cases": "Exact worst cases",
    "exact_moments": "Exact averages over noise",
    "design": "Optimal schedules",
    "optim": "Torch optimizers",
    "probes": "Probes",
    "fits": "Loss curves",
    "lm": "Small transformers",
    "figures": "Figures",
}
HELPERS = ("base", "chain_tree", "horizons", "datasets")  # modules of functions for the others
COMPLETE = ("Example:", "Guarantee:", "Returns:", "Raises:")  # of docstrings for users
SIGNS = {"==": "=", "<=": "≤", ">=": "≥", "in": "in"}


def manifests(folder: Path) -> dict[str, dict[str, Any]]:
    """What lies in the folder, by figure."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")]
    return {one["figure"]: one for one in sorted(found, key=lambda one: one["figure"])}


def write_gallery(source: Path, folder: Path) -> None:
    """gallery.md: every registered figure with its picture and claims, where it has been made."""
    made, parts = manifests(folder), [GALLERY]
    (source / "figures").mkdir()
    for entry in FIGURES:
        figure = entry.object
        parts.append(f"({entry.name})=\n## {entry.name}. {plain(figure.title())}\n")
        found = made.get(entry.name)
        if found is None:
            reason = missing(entry) or f"Not made here; run sftheory reproduce {entry.name}."
            parts.append(f"{plain(figure.caption())}\n\n*{plain(reason)}*\n")
            continue
        for name, where in ((f"{entry.name}.png", "light"), (f"{entry.name}.dark.png", "dark")):
            shutil.copy(folder / name, source / "figures")
            alt = plain(figure.title()).replace("]", "")
            parts.append(f"![{alt}](figures/{name}){{.only-{where}}}")
        parts.append(f"\n{plain(figure.caption())}\n")
        rows = [_row(claim) for claim in found["claims"]]
        parts.append("| claim | source | expected | here | outcome |\n|---|---|---|---|---|")
        parts += [*rows, f"\n`sftheory reproduce {entry.name}` makes it.\n"]
    (source / "gallery.md").write_text("\n".join(parts), encoding="utf-8")


GALLERY = """# Gallery of figures

Every figure with its claims: what a source says as a number, and what came out here. A claim that
fails here keeps its row, with the reason; [limits](limits.md) lists all of those.
"""


def _row(claim: dict[str, Any]) -> str:
    expected = claim["expected"]
    number = " to ".join(f"{v:.5g}" for v in expected) if isinstance(expected, list) else (
        f"{expected:.5g}"
    )  # fmt: skip
    outcome = "holds" if claim["holds"] else "**fails**"
    if claim["known_failure"]:
        outcome += f": {plain(claim['known_failure'])}"
    computed = claim["computed"]
    cells = [
        plain(claim["statement"]),
        re.sub(r"\b([a-z]+\d{4})\b", r"[\1](#ref-\1)", plain(claim["source"])),
        f"{SIGNS[claim['relation']]} {number}",
        computed if isinstance(computed, str) else f"{computed:.5g}",
        outcome,
    ]
    return "| " + " | ".join(cells) + " |"


def failed_claims(folder: Path) -> dict[str, str]:
    """For each figure that was made: its claims that fail for a known reason, as one paragraph."""
    blocks = {}
    for name, found in manifests(folder).items():
        failed = [c for c in found["claims"] if c["known_failure"] and not c["holds"]]
        said = "\n".join(
            f"- {plain(c['statement'])} ({plain(c['source'])}). *{plain(c['known_failure'])}*"
            for c in failed
        )
        title = plain(found["title"])
        blocks[name] = f"**[{name}](gallery.md#{name.lower()})** {title}\n{said}" if failed else ""
    return blocks


def plain(text: str) -> str:
    """Text in which nothing is markup."""
    return re.sub(r"([\\`*_\[\]|$<>{}~])", r"\\\1", " ".join(text.split()))


def write_reference(folder: Path) -> None:
    """api/: one page for each package, from what it offers; docstrings are read by autodoc."""
    folder.mkdir()
    core = [name for name in sorted(sftheory.__all__) if inspect.isroutine(getattr(sftheory, name))
            or inspect.isclass(getattr(sftheory, name))]  # fmt: skip
    _page(folder / "core.md", "The package itself", "sftheory", core, "")
    for kind, title in KINDS.items():
        module = getattr(sftheory, kind)
        names = [name for name in dir(module) if _documented(module, name, core)]
        more = _registries(module)
        summary = (inspect.getdoc(module) or "").split("\n")[0]
        _page(folder / f"{kind}.md", title, f"sftheory.{kind}", names, summary)
        for registry in more:
            (folder / f"{kind}.md").open("a", encoding="utf-8").write(_registered(registry))
    pages = "\n".join(["core", *KINDS])
    (folder / "index.md").write_text(f"{REFERENCE}\n```{{toctree}}\n{pages}\n```\n", "utf-8")


REFERENCE = """# Reference

From the docstrings, as they stand: formula, shapes and units, what is raised, references, and an
example that the tests run. `sftheory list` says the same on the command line.
"""


def _documented(module: Any, name: str, elsewhere: list[str]) -> bool:
    """Whether a public name is a function or class of the package that is shown here."""
    if name.startswith("_") or name in elsewhere:
        return False
    thing = getattr(module, name)
    home = getattr(thing, "__module__", "") or ""
    if not home.startswith(("sftheory", "paper_figures")):
        return False
    if inspect.isclass(thing):
        return True
    text = inspect.getdoc(thing) or ""
    helps = home.rpartition(".")[2] in HELPERS
    return inspect.isroutine(thing) and not helps and any(part in text for part in COMPLETE)


def _registries(module: Any) -> list[Registry]:
    """Registries that a package offers besides itself: laws and metrics."""
    offered = [getattr(module, name) for name in dir(module) if name.isupper()]
    return [r for r in offered if isinstance(r, Registry) and r.package.startswith(module.__name__)
            and r.package != module.__name__]  # fmt: skip


def _registered(registry: Registry) -> str:
    entries = [f"{entry.object.__module__}.{entry.object.__name__}" for entry in registry]
    return f"\n## Every {registry.kind}\n\n" + "".join(map(_directive, entries))


def _page(path: Path, title: str, module: str, names: list[str], summary: str) -> None:
    parts = [f"# {title}\n", plain(summary) + "\n", f"`{module}`\n"]
    parts += [_directive(f"{module}.{name}") for name in names]
    path.write_text("\n".join(parts), encoding="utf-8")


def _directive(path: str) -> str:
    module, _, name = path.rpartition(".")
    thing = getattr(importlib.import_module(module), name)
    kind = "class" if inspect.isclass(thing) else "function"
    members = "\n   :members:" if kind == "class" else ""
    return f"```{{eval-rst}}\n.. auto{kind}:: {path}{members}\n```\n"


def templates(folder: Path) -> str:
    """The templates of the guide in full, to stand below it."""
    parts = ["\n## The templates\n"]
    for file in sorted(folder.glob("*.py")):
        parts.append(f"### A {file.stem}\n\n```python\n{file.read_text(encoding='utf-8')}```\n")
    return "\n".join(parts)


def write_bibliography(source: Path, bib: Path) -> None:
    """references.md: every entry of the .bib with a target of its key."""
    parts = ["# References\n"]
    for key, fields in sorted(entries(bib).items()):
        where = fields.get("journal") or fields.get("booktitle") or fields.get("publisher") or ""
        link = f"[arXiv:{fields['eprint']}](https://arxiv.org/abs/{fields['eprint']})" if (
            re.fullmatch(r"\d{4}\.\d{4,5}", fields.get("eprint", ""))
        ) else ""  # fmt: skip
        said = [fields.get("author", ""), fields.get("title", ""), where, fields.get("year", "")]
        text = ". ".join(plain(part) for part in said if part)
        note = f" {plain(fields['note'])}" if "note" in fields else ""
        parts.append(f"(ref-{key})=\n**{key}** {text}. {link}{note}\n")
    (source / "references.md").write_text("\n".join(parts), encoding="utf-8")


def entries(bib: Path) -> dict[str, dict[str, str]]:
    """The entries of a .bib file: key -> fields."""
    text = re.sub(r"\n(?![@%\n])", " ", bib.read_text(encoding="utf-8"))  # one entry a line
    found = {}
    for key, body in re.findall(r"^@\w+\{(\w+),(.*)\}\s*$", text, re.M):
        fields = re.findall(r"(\w+) = \{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}", body)
        found[key] = {name: re.sub(r"[{}]", "", value) for name, value in fields}
    return found


def with_references(text: str) -> str:
    """[key] of a source becomes a link to the bibliography, outside code."""
    parts = re.split(r"(```.*?```|`[^`\n]+`)", text, flags=re.S)
    parts[::2] = [re.sub(r"\[([a-z]+\d{4})\](?![\(\[:])", r"[\1](#ref-\1)", p) for p in parts[::2]]
    return "".join(parts)
