"""The static page: every explorer in one file that needs no server and no network."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.explore import drawn_schedules, dropped_logs, rivers
from sftheory.explore.modules import bundle, style

EXPLORERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "river": (
        "River",
        "A valley with steep sides and a floor that descends slowly: f(h, r) = 10 h² + 1/(1 + r), "
        "with noise across it. Large steps go far along the river and stay high on the hill; "
        "decay, or an average, comes down. The report is the start less each gradient times its "
        "entry of the effective schedule.",
        rivers.INPUTS,
    ),
    "worst_case": (
        "Worst case",
        "Draw a schedule for N subgradient steps on a convex function with D = G = 1. Its worst "
        "case is exact, and a function attains it; the bound Ω stands above. No schedule can "
        "promise less than 1/\u2060√(N\u00a0+\u00a01), and only linear decay promises that much.",
        drawn_schedules.INPUTS,
    ),
    "law": (
        "Law",
        "Drop the log of a run, a table or JSON lines with steps and losses. The law "
        "a/\u2060√(t\u00a0+\u00a0b)\u00a0+\u00a0c is fitted to it, and the verdict says whether to "
        "believe it. The file stays in this page.",
        dropped_logs.INPUTS,
    ),
}
CSS = """
:root { color-scheme: light dark; } body { margin: 0; }
.page { margin: 0 auto; padding: 1.2rem 1rem 4rem; min-height: 100vh; }
.page > * { max-width: 76rem; margin-left: auto; margin-right: auto; }
.page h1 { font-size: 1.5rem; margin-top: .2rem; margin-bottom: .2rem; }
.page h2 { font-size: 1.15rem; margin: 0 0 .2rem; } .page p { margin: .3rem 0 .8rem; }
.page section { border-top: 1px solid var(--line); padding: 1.2rem 0; margin-top: 1.2rem; }
.page nav { display: flex; flex-wrap: wrap; gap: .4rem; }
.page nav a { border: 1px solid var(--soft); border-radius: 1rem; padding: .25rem .9rem;
  text-decoration: none; color: inherit; }
.page .lead { color: var(--soft); max-width: 46rem; }
"""


def page() -> str:
    """The page's text: explorers, their numerics, and the noise that `river_data` draws."""
    table = rivers.noise_table()
    facts = {
        "noise": base64.b64encode(table.astype("<f8").tobytes()).decode(),
        "width": table.shape[1],
        "inputs": {name: inputs for name, (_, _, inputs) in EXPLORERS.items()},
    }
    data = json.dumps(facts, allow_nan=False).replace("<", "\\u003c")
    links = "".join(f'<a href="#{name}-part">{t}</a>' for name, (t, _, _) in EXPLORERS.items())
    parts = "".join(
        f'<section id="{name}-part" aria-labelledby="{name}-title"><h2 id="{name}-title">{title}'
        f'</h2><p class="lead">{text}</p><div id="{name}"></div></section>'
        for name, (title, text, _) in EXPLORERS.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>sftheory: explorers</title><style>{style()}{CSS}</style></head>"
        '<body><main class="sftx page"><h1>Explorers</h1><p class="lead">Everything is computed '
        "here, in this page: no server, no network. Every control works with the keyboard.</p>"
        f"<nav>{links}</nav><noscript><p>These explorers need JavaScript.</p></noscript>{parts}"
        f"</main><script>{bundle('page')}page.start({data});</script></body></html>"
    )


def write_page(path: str | os.PathLike[str]) -> Path:
    """Write the page to a file; a folder gets an `explore.html`.

    Raises:
        InputError: the place cannot be written.
    """
    place = Path(path)
    if place.suffix.lower() not in (".html", ".htm"):
        place = place / "explore.html"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=place.parent, suffix=".part", delete=False, encoding="utf-8"
        ) as file:
            file.write(page())
        os.chmod(file.name, 0o644)
        os.replace(file.name, place)
    except OSError as error:
        raise InputError(f"Cannot write {place}: {error.strerror}; choose another path.") from None
    return place
