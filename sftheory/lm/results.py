"""What a sweep found, small enough to be kept beside its plan.

<to>/<plan>.csv        a row per run, step and point: settings, step, tokens, average, loss
<to>/<plan>.probe.csv  run, step, module, metric, value, where the runs have a probe
<to>/<plan>.line.csv   line, run, other, their steps and points, distance, s, loss, of its lines
<to>/<plan>.json       the plan, the budget, versions, and the hash of the tokens
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.lm.config import read_sections
from sftheory.lm.lines import measured_lines
from sftheory.lm.plans import Case, Plan, budget, read_plan
from sftheory.lm.runs import Run, load
from sftheory.lm.store import folder_of
from sftheory.lm.sweeps import can_begin

DIGITS = 6


def record(path: str | Path, out: str | Path = "runs", to: str | Path = "results") -> Path:
    """Write what the runs of a sweep found; returns the CSV.

    The lines of a plan are measured here, from the checkpoints.

    Args:
        path: of the TOML.
        out: the folder of all runs.
        to: the folder of the results.

    Raises:
        InputError: a run has not ended yet.
    """
    import polars as pl

    path, to = Path(path), Path(to)
    plan = read_plan(path)
    cases = [case for case in plan.cases if can_begin(case.config, out)]
    runs = [_ended(path, case, out) for case in cases]
    losses, probes = [], []
    for case, run in zip(cases, runs, strict=True):
        told = {k: t for k, v in case.settings.items() if (t := _cell(v)) is not None}
        row = {"run": run.id, "trunk": case.config.start.run, **told, "status": run.status}
        for found in run.frame().filter(pl.col("split") == "val").iter_rows(named=True):
            kept = {k: found[k] for k in ("step", "tokens", "average", "loss")}
            losses.append({**row, **kept})
        if case.config.run.probe_every:
            probes.append(run.frame("probe").select(pl.lit(run.id).alias("run"), pl.all()))
    to.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame(losses, infer_schema_length=None)
    _write(table, to / f"{path.stem}.csv")
    if probes:
        columns = ["run", "step", "module", "metric", "value"]
        _write(pl.concat(probes).select(columns), to / f"{path.stem}.probe.csv")
    if plan.lines:
        _write(_lines(plan, out), to / f"{path.stem}.line.csv")
    facts = {
        "experiment": read_sections(path).get("experiment", {}),
        **budget(cases),
        **_where(runs),
    }
    (to / f"{path.stem}.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    return to / f"{path.stem}.csv"


def _lines(plan: Plan, out: str | Path) -> Any:
    """A row for each place on a line, where its runs have begun and did not diverge."""
    import polars as pl

    begun = {case.config.id for case in plan.cases if can_begin(case.config, out)}
    rows = []
    for asked, found in measured_lines(
        [one for one in plan.lines if {one.run.id, one.other.id} <= begun], out
    ):
        told = {"line": asked.name, "run": asked.run.id, "other": asked.other.id}
        names = ("step", "other_step", "point", "other_point")
        told |= dict(zip(names, (*found.steps, *found.point), strict=True))
        for s, loss in zip(found.s.tolist(), found.loss.tolist(), strict=True):
            rows.append({**told, "distance": found.distance, "s": s, "loss": loss})
    return pl.DataFrame(rows, infer_schema_length=None)


def _ended(path: Path, case: Case, out: str | Path) -> Run:
    folder = folder_of(out, case.config)
    if not (folder / "done.json").exists():
        raise InputError(
            f"The run {folder} of {path} has not ended; `sftheory sweep {path} --out {out}` does "
            f"what is left."
        )
    return load(folder)


def _cell(value: Any) -> Any:
    """A setting as a cell: numbers and words as they are, a list of numbers as its JSON."""
    if isinstance(value, list) and value and all(isinstance(v, int | float) for v in value):
        return json.dumps(value)
    return value if isinstance(value, int | float | str) else None


def _write(table: Any, path: Path) -> None:
    own = path.with_name(f".{path.name}")
    table.write_csv(own, float_precision=DIGITS)
    own.rename(path)


def _where(runs: list[Run]) -> dict[str, Any]:
    """Versions and corpus, each a list where runs differ."""
    found: dict[str, Any] = {}
    for name in ("python", "torch", "gpu", "machine", "tokens_sha256"):
        values = {json.loads((run.directory / "env.json").read_text("utf-8"))[name] for run in runs}
        found[name] = values.pop() if len(values) == 1 else sorted(map(str, values))
    return found
