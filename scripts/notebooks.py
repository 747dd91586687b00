"""The notebooks from their sources: notebooks/*.py, in percent format, become .ipynb with outputs.

`python scripts/notebooks.py` executes all of them, `... 03 05` those, and `... --check` executes
nothing: it compares every .ipynb with its source and looks at the outputs that were kept.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
CELL_TIMEOUT = 120  # seconds
LARGEST_PICTURE = 100_000  # bytes


def sources(chosen: list[str] | tuple[str, ...] = ()) -> list[Path]:
    """The percent scripts whose names begin with one of `chosen`; all of them without."""
    files = sorted(FOLDER.glob("[0-9]*.py"))
    return [file for file in files if not chosen or file.name.startswith(tuple(chosen))]


def unexecuted(source: Path) -> Any:
    """The notebook of a percent script, with names of cells that do not change from run to run."""
    notebook: Any = jupytext.read(source, fmt="py:percent")
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = {
        "jupytext": {"formats": "ipynb,py:percent"},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = {}
    return notebook


def execute(source: Path) -> tuple[float, float]:
    """Run a notebook in its folder and keep it with its outputs; returns its seconds, by wall and
    by processor.

    A kernel that stalls or dies is given one more try; an error in a cell is not.
    """
    began, used = time.perf_counter(), _processor_seconds()
    for last in (False, True):
        notebook = unexecuted(source)
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            resources={"metadata": {"path": str(FOLDER)}},
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors, not how it is connected
        )
        try:
            client.execute(env=_environment())
            break
        except (CellTimeoutError, DeadKernelError):
            if last:
                raise
    for cell in notebook.cells:
        cell.metadata = {}  # when each cell began and ended
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, source.with_suffix(".ipynb"))
    return time.perf_counter() - began, _processor_seconds() - used


def _processor_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def _environment() -> dict[str, str]:
    """Pictures stay inside the notebook, and outputs depend on no data that lie elsewhere.

    One thread: on two cores that something else uses too, two that wait for each other are slower.
    """
    dropped = ("MPLBACKEND", "SFTHEORY_DATA", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **kept}


def faults(source: Path) -> list[str]:
    """What is wrong with the kept notebook of a source, a sentence for each; none is good."""
    path = source.with_suffix(".ipynb")
    remedy = f"run make notebooks, or scripts/notebooks.py {source.name[:2]}"
    if not path.exists():
        return [f"{path.name} is missing; {remedy}."]
    kept, wanted = nbformat.read(path, as_version=4), unexecuted(source)
    cells = [(c.cell_type, c.source) for c in kept.cells]
    if cells != [(c.cell_type, c.source) for c in wanted.cells]:
        return [f"{path.name} is not what {source.name} says; {remedy}."]
    found = []
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append(f"{path.name} was not run from top to bottom; {remedy}.")
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"{path.name} keeps an error or a warning in {cell.id}.")
            size = len(output.get("data", {}).get("image/png", "")) * 3 // 4
            if size > LARGEST_PICTURE:
                found.append(f"{path.name} has a picture of {size} bytes in {cell.id}.")
    return found


def main() -> int:
    """The command; its status is 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of file names, such as 03")
    parser.add_argument("--check", action="store_true", help="execute nothing")
    asked = parser.parse_args()
    wrong = []
    for source in sources(asked.names):
        if not asked.check:
            wall, processor = execute(source)
            print(f"{source.stem}: {wall:.0f} s, {processor:.0f} s of a processor", flush=True)
        wrong += faults(source)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
