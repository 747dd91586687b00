"""One self-contained page: every figure of a folder with its claims."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CSS = """
:root { --ink: #1a1a1a; --soft: #5b6068; --paper: #ffffff; --card: #f6f7f9; --line: #dfe2e6;
  --good: #0b6e4f; --known: #8a5a00; --bad: #b3261e; color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a3a9b3; --paper: #0e1013;
  --card: #14171c; --line: #2a2f37; --good: #4fd1a1; --known: #f0b64a; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.2rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.5rem; margin: .4rem 0; } h2 { font-size: 1.12rem; margin: 0 0 .3rem; }
a { color: inherit; } p { margin: .4rem 0; } .soft { color: var(--soft); font-size: .88rem; }
nav { display: flex; flex-wrap: wrap; gap: .4rem; margin: 1rem 0 1.6rem; }
nav a { border: 1px solid var(--line); border-radius: 1rem; padding: .12rem .7rem;
  text-decoration: none; font-size: .88rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem; margin: 0 0 1.4rem; }
img { max-width: 100%; height: auto; border-radius: .3rem; display: block; margin: .5rem 0; }
.table { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { text-align: left; vertical-align: top; padding: .34rem .6rem .34rem 0;
  border-top: 1px solid var(--line); } th { color: var(--soft); font-weight: 600; border: 0; }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap; }
.holds { color: var(--good); } .known { color: var(--known); } .differs { color: var(--bad); }
td.verdict { font-weight: 600; white-space: nowrap; }
.reason { font-weight: 400; white-space: normal; display: block; max-width: 26rem; }
@media (max-width: 40rem) { thead { display: none; }
  tr { display: block; border-top: 1px solid var(--line); padding: .4rem 0; }
  td { display: block; border: 0; padding: .05rem 0; }
  td.n { display: inline-block; padding-right: .9rem; } td[data-label]::before {
    content: attr(data-label) ": "; color: var(--soft); font-weight: 400; } }
"""


def write_report(folder: Path) -> Path:
    """Write `index.html` from the manifests and pictures that lie in `folder`."""
    manifests = [
        json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))
    ]
    text = page(manifests, folder)
    with tempfile.NamedTemporaryFile(
        "w", dir=folder, suffix=".html", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, folder / "index.html")
    return folder / "index.html"


def page(manifests: list[dict[str, Any]], folder: Path) -> str:
    """The page as text; pictures are embedded, so that nothing else is needed to show it."""
    claims = [claim for manifest in manifests for claim in manifest["claims"]]
    held = sum(claim["holds"] for claim in claims)
    known = sum(_verdict(claim)[0] == "known" for claim in claims)
    differs = (
        len(claims)
        - held
        - known
        + sum(claim["holds"] and claim["known_failure"] is not None for claim in claims)
    )
    links = "".join(
        f'<a href="#{m["figure"]}">{m["figure"]} {_mark(m["claims"])}</a>' for m in manifests
    )
    sections = "".join(_section(manifest, folder) for manifest in manifests)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>sftheory: figures and claims</title><style>{CSS}</style></head><body>"
        "<h1>Figures and claims</h1>"
        f"<p>{len(manifests)} figures make {len(claims)} claims: {held} hold, {known} fail for a "
        f"reason that is written beside them, {differs} differ from what is recorded."
        f"{_quick(manifests)}</p>"
        f"<nav>{links}</nav>{sections}{_footer(manifests)}</body></html>"
    )


def _quick(manifests: list[dict[str, Any]]) -> str:
    quick = [m["figure"] for m in manifests if m["quick"]]
    return f" Made in quick mode: {', '.join(quick)}." if quick else ""


def _section(manifest: dict[str, Any], folder: Path) -> str:
    name = manifest["figure"]
    files = " · ".join(f'<a href="{name}.{end}">{end}</a>' for end in ("pdf", "png", "csv", "json"))
    rows = "".join(_row(claim) for claim in manifest["claims"])
    heads = "".join(
        f"<th>{head}</th>"
        for head in ("Claim", "Source", "Expected", "Here", "Tolerance", "Outcome")
    )
    return (
        f'<section id="{name}"><h2>{name}. {html.escape(manifest["title"])}</h2>'
        f"{_picture(name, manifest['title'], folder)}"
        f"<p>{html.escape(manifest['caption'])}</p>"
        f'<div class="table"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
        f'</div><p class="soft">{html.escape(manifest["source"])} · {files} · '
        f"{manifest['wall_seconds']:.1f} s</p></section>"
    )


def _picture(name: str, title: str, folder: Path) -> str:
    files = [folder / f"{name}.{end}" for end in ("png", "dark.png")]
    light, dark = (_embedded(file.read_bytes()) for file in files)
    alt = html.escape(title, quote=True)
    # a PNG's width stands at byte 16; three quarters of it keeps text at the size of the page's
    width = int.from_bytes(files[0].read_bytes()[16:20], "big") * 3 // 4
    return (
        f'<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{alt}" width="{width}"></picture>'
    )


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _row(claim: dict[str, Any]) -> str:
    kind, verdict = _verdict(claim)
    reason = claim["known_failure"] or ""
    reason = f'<span class="reason soft">{html.escape(reason)}</span>' if reason else ""
    cells = [
        ("Claim", "", html.escape(claim["statement"])),
        ("Source", "", re.sub(r"(Thm|Fig)\. ", r"\1.&nbsp;", html.escape(claim["source"]))),
        ("Expected", "n", html.escape(_expected(claim))),
        ("Here", "n", _number(claim["computed"])),
        ("Tolerance", "n", _number(claim["tolerance"]) if claim["tolerance"] else "exact"),
        ("Outcome", f"verdict {kind}", verdict + reason),
    ]
    return (
        "<tr>"
        + "".join(f'<td class="{css}" data-label="{head}">{text}</td>' for head, css, text in cells)
        + "</tr>"
    )


def _verdict(claim: dict[str, Any]) -> tuple[str, str]:
    if claim["known_failure"] is None:
        return ("holds", "✓ holds") if claim["holds"] else ("differs", "✗ failed")
    if claim["holds"]:
        return "differs", "! holds, recorded as failing"
    return "known", "✗ failed, reason known"


def _mark(claims: Iterable[dict[str, Any]]) -> str:
    kinds = {_verdict(claim)[0] for claim in claims}
    worst = next((kind for kind in ("differs", "known") if kind in kinds), "holds")
    return f'<span class="{worst}">{"✓" if worst == "holds" else "✗"}</span>'


def _expected(claim: dict[str, Any]) -> str:
    if claim["relation"] == "in":
        low, high = claim["expected"]
        return f"in [{_number(low)}, {_number(high)}]"
    sign = {"==": "=", "<=": "≤", ">=": "≥"}[claim["relation"]]
    return f"{sign} {_number(claim['expected'])}"


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.5g}"


def _footer(manifests: list[dict[str, Any]]) -> str:
    if not manifests:
        return "<p>No figures yet; run sftheory reproduce.</p>"
    newest = manifests[-1]
    software = ", ".join(f"{k} {v}" for k, v in newest["versions"].items())
    commits = ", ".join(sorted({m["commit"] for m in manifests if m["commit"]})) or "unknown"
    return f'<p class="soft">Made with {html.escape(software)}; commit {html.escape(commits)}.</p>'
