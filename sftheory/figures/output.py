"""Write figures out: picture, data, claims and where they came from, all of it or nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError, count
from sftheory.figures import FIGURES
from sftheory.figures.report import write_report
from sftheory.figures.requirements import missing

DEFAULT_OUT = Path("paper_figures") / "out"


def reproduce(
    ids: Sequence[str] = (),
    *,
    out: str | os.PathLike[str] = DEFAULT_OUT,
    quick: bool = False,
    jobs: int = 1,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Make figures and the page that shows all figures of the folder.

    For each id: `F01.pdf`, `F01.png`, `F01.dark.png`, `F01.csv` (what is drawn) and `F01.json`
    (claims, versions, git commit, wall time). They are written to a temporary folder and renamed
    when all are there. `index.html` is one self-contained page.

    Args:
        ids: figure ids; none takes all but those whose data are not here, see `requirements`.
        out: the folder; it is made if it is missing.
        quick: fewer seeds and steps where a figure is dear.
        jobs: processes.
        progress: called with every finished figure's manifest.

    Returns:
        The manifests, in the order of the ids.

    Raises:
        InputError: an unknown id (the nearest is suggested), a figure whose data are not here, or a
            folder that cannot be written.
    """
    known = {name.lower(): name for name in FIGURES.names()}
    chosen = list(dict.fromkeys(known.get(i.lower()) or FIGURES[i].name for i in ids))
    for reason in filter(None, (missing(FIGURES[figure]) for figure in chosen)):
        raise InputError(reason)
    chosen = chosen or [entry.name for entry in FIGURES if missing(entry) is None]
    folder = _writable(Path(out))
    jobs = min(count("jobs", jobs), len(chosen))
    manifests: dict[str, dict[str, Any]] = {}
    if jobs == 1:
        for figure in chosen:
            manifests[figure] = make_figure(figure, folder, quick)
            if progress:
                progress(manifests[figure])
    else:
        for manifest in _in_processes(chosen, folder, quick, jobs):
            manifests[manifest["figure"]] = manifest
            if progress:
                progress(manifest)
    write_report(folder)
    return [manifests[figure] for figure in chosen]


def make_figure(name: str, folder: Path, quick: bool) -> dict[str, Any]:
    """Compute, draw and write one figure; returns its manifest."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from sftheory.figures.style import save, style

    start = time.perf_counter()
    entry = FIGURES[name]
    figure = entry.make()
    data = figure.data(quick=quick)
    claims = figure.claims(data)
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
        for dark, endings in ((False, ("pdf", "png")), (True, ("dark.png",))):
            with style(dark):
                drawing = figure.draw(data)
                for ending in endings:
                    save(drawing, f"{scratch}/{name}.{ending}")
                plt.close(drawing)
        data.table().write_csv(f"{scratch}/{name}.csv")
        manifest = {
            "figure": name,
            "title": figure.title(),
            "caption": figure.caption(),
            "source": entry.ref,
            "quick": quick,
            "claims": [claim.record() for claim in claims],
            "as_recorded": all(claim.as_recorded for claim in claims),
            "values": {key: float(value) for key, value in data.values.items()},
            "seed": (entry.facts or {}).get("seed"),
            "versions": versions(),
            "commit": commit(),
            "wall_seconds": round(time.perf_counter() - start, 2),
        }
        Path(scratch, f"{name}.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        for file in sorted(Path(scratch).iterdir(), key=lambda f: f.suffix == ".json"):
            os.replace(file, folder / file.name)
    return manifest


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": platform.python_version()}
    for package in ("sftheory", "numpy", "scipy", "matplotlib", "scikit-learn", "polars"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def commit() -> str | None:
    """The git commit of the working folder, with a + if it has changes; None outside of git."""
    if shutil.which("git") is None:
        return None
    here = Path(__file__).parent
    head = _git(here, "rev-parse", "--short=12", "HEAD")
    return head and head + ("+" if _git(here, "status", "--porcelain") else "")


def _git(folder: Path, *words: str) -> str | None:
    done = subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"Cannot write figures to {folder} ({error.strerror}); pass --out with a folder of "
            f"your own."
        ) from None
    return folder


def _in_processes(ids: list[str], folder: Path, quick: bool, jobs: int) -> Any:
    # one thread of linear algebra a process: jobs already use the cores
    limits = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            futures = [
                pool.submit(make_figure, figure, folder, quick) for figure in _dear_first(ids)
            ]
            for future in as_completed(futures):
                yield future.result()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _dear_first(ids: list[str]) -> list[str]:
    cost = {name: float((FIGURES[name].facts or {}).get("seconds", 1)) for name in ids}
    return sorted(ids, key=lambda name: -cost[name])
