"""The README's tables of what is reproduced, written from the claims.

`python -m sftheory.figures.readme README.md paper_figures/out` rewrites what stands between the two
markers: a row for each paper, and one for each figure with its first claim.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.figures import FIGURES

BEGIN, END = "<!-- claims: begin -->", "<!-- claims: end -->"
HEAD = ["figure", "claim", "source", "expected", "here", "claims that hold"]


def _short(value: Any) -> str:
    return " to ".join(f"{v:.5g}" for v in value) if isinstance(value, list) else f"{value:.5g}"


def table(manifests: list[dict[str, Any]]) -> str:
    """The rows as Markdown, in the order of the figures' ids."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for manifest in sorted(manifests, key=lambda m: m["figure"]):
        claims = manifest["claims"]
        first = claims[0]
        sign = {"==": "=", "<=": "≤", ">=": "≥", "in": "in"}[first["relation"]]
        held = sum(claim["holds"] for claim in claims)
        cells = [
            manifest["figure"],
            first["statement"].replace("|", "\\|"),
            first["source"],
            f"{sign} {_short(first['expected'])}",
            f"{first['computed']:.5g}",
            f"{held} of {len(claims)}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_paper(manifests: list[dict[str, Any]]) -> str:
    """A row for each source: its figures, and how many of their claims hold and fail."""
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in sorted(manifests, key=lambda m: m["figure"]):
        found.setdefault(manifest["source"] or "this project", []).append(manifest)
    lines = ["| after | figures | claims that hold | that fail here |", "|---|---|---|---|"]
    for source, those in sorted(found.items()):
        held = [claim["holds"] for manifest in those for claim in manifest["claims"]]
        figures = ", ".join(manifest["figure"] for manifest in those)
        lines.append(f"| {source} | {figures} | {sum(held)} | {len(held) - sum(held)} |")
    return "\n".join(lines)


def rewrite(text: str, manifests: list[dict[str, Any]]) -> str:
    """`text` with the tables between its markers replaced.

    Raises:
        InputError: the markers are missing.
    """
    if BEGIN not in text or END not in text:
        raise InputError(f"The file has no lines {BEGIN} and {END}; add them where the tables go.")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{by_paper(manifests)}\n\n{table(manifests)}\n{END}{after}"


def main(readme: str = "README.md", folder: str = "paper_figures/out") -> None:
    """Rewrite the file in place from the manifests of the folder.

    Raises:
        InputError: a figure is missing there, or was made in quick mode.
    """
    manifests = [json.loads(f.read_text(encoding="utf-8")) for f in Path(folder).glob("*.json")]
    full = {manifest["figure"] for manifest in manifests if not manifest["quick"]}
    missing = sorted(set(FIGURES.names()) - full)
    if missing:
        raise InputError(
            f"{folder} lacks {', '.join(missing)} in full; run sftheory reproduce without --quick."
        )
    path = Path(readme)
    path.write_text(rewrite(path.read_text(encoding="utf-8"), manifests), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
