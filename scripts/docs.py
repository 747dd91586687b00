"""The documentation: its sources laid out in docs/_build/source, then built without a warning.

`python scripts/docs.py` builds docs/_build/html from the pages of docs/, the notebooks with the
outputs that they keep, and what scripts/doc_pages.py writes: gallery, reference, bibliography.
`--limits` rewrites the list of failed claims in docs/limits.md from paper_figures/out.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import doc_pages

ROOT = Path(__file__).resolve().parent.parent
DOCS, NOTEBOOKS = ROOT / "docs", ROOT / "notebooks"
SOURCE, HTML = DOCS / "_build" / "source", DOCS / "_build" / "html"
FIGURES = ROOT / "paper_figures" / "out"
LATER = ("scale", "explore")  # pages that are written where their part exists
BEGIN, END = "<!-- failed: begin -->", "<!-- failed: end -->"


def lay_out() -> None:
    """Fill docs/_build/source."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(DOCS, SOURCE, ignore=shutil.ignore_patterns("_build", "_static", "conf.py"))
    for page in SOURCE.rglob("*.md"):
        text = inside(page.read_text(encoding="utf-8"), depth=len(page.relative_to(SOURCE).parts))
        page.write_text(doc_pages.with_references(text), encoding="utf-8")
    adding = SOURCE / "adding.md"
    templates = doc_pages.templates(ROOT / "tests" / "templates")
    adding.write_text(adding.read_text(encoding="utf-8") + templates, encoding="utf-8")
    (SOURCE / "notebooks").mkdir()
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        shutil.copy(notebook, SOURCE / "notebooks")
    guides = SOURCE / "guides.md"
    lines = guides.read_text(encoding="utf-8").split("\n")
    here = [line for line in lines if line not in LATER or (SOURCE / f"{line}.md").exists()]
    guides.write_text("\n".join(here), encoding="utf-8")
    with (SOURCE / "theory.md").open("a", encoding="utf-8") as theory:
        theory.write("\n```{toctree}\n:hidden:\n:glob:\n\ndesign\ntheory/*\nreferences\n```\n")
    doc_pages.write_gallery(SOURCE, FIGURES)
    doc_pages.write_reference(SOURCE / "api")
    doc_pages.write_bibliography(SOURCE, DOCS / "references.bib")


def inside(text: str, depth: int) -> str:
    """Links that lead out of docs/: to the notebooks' place here, or to no more than their text."""
    up = "../" * (depth - 1)
    text = re.sub(r"\]\((?:\.\./)+notebooks/([\w./#-]*)\)", rf"]({up}notebooks/\1)", text)
    outward = rf"\[([^\]\n]+)\]\((?:\.\./){{{depth}}}(?!_)[^)\s]*\)"
    return re.sub(outward, r"\1", text)


def limits(rewrite: bool = False) -> list[str]:
    """What is wrong with the list of failed claims in docs/limits.md; it may be rewritten."""
    page = DOCS / "limits.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    now, _, after = rest.partition(END)
    blocks = doc_pages.failed_claims(FIGURES)
    if rewrite:
        text = "\n\n".join(text for text in blocks.values() if text)
        page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
        return []
    kept = {t.partition("]")[0].removeprefix("**["): t for t in now.strip().split("\n\n")}
    return [
        f"docs/limits.md does not list the failed claims of {figure}; run scripts/docs.py --limits."
        for figure, text in blocks.items()
        if kept.get(figure, "") != text
    ]


def main() -> int:
    """The command; its status is 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--limits", action="store_true", help="rewrite the list of failed claims")
    wrong = limits(rewrite=parser.parse_args().limits)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if wrong:
        return 1
    lay_out()
    command = ["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-c", DOCS, SOURCE, HTML]
    status = subprocess.run([sys.executable, *map(str, command)]).returncode
    print(f"See {HTML / 'index.html'}" if not status else "The documentation has warnings.")
    return status


if __name__ == "__main__":
    sys.exit(main())
