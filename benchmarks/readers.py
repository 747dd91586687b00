"""Reading long logs: seconds and memory of `read` against Polars and Python's csv and json.

Every reader runs in a process of its own, in turn, so that all meet the same machine; the least of
three. The others get the whole file into columns and do no more: `read` also finds the columns,
counts what it leaves out and checks steps, losses and units. Memory is the largest resident size.
The fit of the million points is timed after its reading, with numba's code compiled before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROWS, MANY = 1_000_000, 10_000_000
REPEATS = 3
PRELUDE = """
import json, resource, sys, time
path = sys.argv[1]
"""
READERS = {
    "read": "curve = read(path)",
    "polars": "import polars as pl; columns = pl.read_{polars}(path)",
    "python": "{python}",
}
PYTHON = {
    "csv": "import csv; columns = [tuple(map(float, r)) for r in list(csv.reader(open(path)))[1:]]",
    "jsonl": "columns = [json.loads(line) for line in open(path)]",
    "log": "import re; columns = [tuple(map(float, m)) for m in "
    "re.findall(r'^step:(\\d+)/\\d+ train_loss:(\\S+)', open(path).read(), re.M)]",
}
POLARS = {"csv": "csv", "jsonl": "ndjson", "parquet": "parquet"}
WARM = {  # modules and, for the fit, compiled code
    "read": "from sftheory.fits import read, assembly",
    "polars": "import polars",
    "python": "import csv, re",
    "fit": "import numpy as np; from sftheory.fits import Curve, fit, read, assembly; "
    "t = np.arange(1e3, 2e4); fit(Curve(t, 3 + 1 / np.sqrt(t) + 1e-4 * np.cos(t)), 'sqrt').c",
}
FIT = "curve = fit(read(path), 'sqrt')"
REPORT = "print(json.dumps([took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))"


def write(path: Path, rows: int, form: str, head: str = "") -> Path:
    """A log of the square-root law with noise, in pieces."""
    rng = np.random.default_rng(0)
    with open(path, "w", encoding="utf-8") as file:
        file.write(head)
        for first in range(1_000, 1_000 + rows, 100_000):
            t = np.arange(first, min(first + 100_000, 1_000 + rows))
            y = 2.9766 + 28.2 / np.sqrt(t + 60) + 0.1 * rng.standard_normal(len(t))
            file.writelines(
                form.format(t=a, y=b) for a, b in zip(t.tolist(), y.tolist(), strict=True)
            )
    return path


def measured(warm: str, code: str, path: Path) -> tuple[float, float]:
    """Seconds of `code`, and MiB of its process, the least of some."""
    timed = f"start = time.perf_counter(); {code}; took = time.perf_counter() - start"
    words = [sys.executable, "-c", "\n".join([PRELUDE, warm, timed, REPORT]), str(path)]
    runs = [
        json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        for _ in range(REPEATS)
    ]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def main() -> None:
    """Print a line for each format and reader."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        logs = {
            "csv": write(root / "run.csv", ROWS, "{t},{y:.5f},0.001\n", "step,loss,lr\n"),
            "jsonl": write(root / "run.jsonl", ROWS, '{{"step": {t}, "loss": {y:.5f}}}\n'),
            "log": write(root / "run.log", ROWS, "step:{t}/2000000 train_loss:{y:.4f} ms:1\n"),
        }
        import polars as pl

        logs["parquet"] = root / "run.parquet"
        pl.read_csv(logs["csv"]).write_parquet(logs["parquet"])
        print(f"{ROWS} rows")
        for form, path in logs.items():
            ours = None
            for reader, code in READERS.items():
                names = {"polars": POLARS, "python": PYTHON}.get(reader, {form: ""})
                if form not in names:
                    continue
                code = names[form] if reader == "python" else code.format(polars=names[form])
                took, memory = measured(WARM[reader], code, path)
                ours = took if ours is None else ours
                ratio = "" if reader == "read" else f"{took / ours:6.2f} x read"
                print(f"{form:8} {reader:7} {took:6.3f} s  {memory:6.0f} MiB  {ratio}")
        took, _ = measured(WARM["fit"], FIT, logs["csv"])
        print(f"csv      read and fit {took:.3f} s")
        for path in logs.values():
            path.unlink()
        print(f"{MANY} rows, limit 1024 MiB")
        forms = {"csv": "{t},{y:.5f}\n", "jsonl": '{{"step": {t}, "loss": {y:.5f}}}\n'}
        for form, line in forms.items():
            path = write(root / f"many.{form}", MANY, line, "step,loss\n" * (form == "csv"))
            took, memory = measured(WARM["read"], READERS["read"], path)
            print(f"{form:8} read    {took:6.2f} s  {memory:6.0f} MiB")
            path.unlink()


if __name__ == "__main__":
    main()
