"""The commands that train: `sftheory train | sweep`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from sftheory.core.errors import InputError
from sftheory.lm.launch import REQUEUE
from sftheory.terminal import as_json, show_table, table_of

FIRST = "0"  # the rank that speaks


def train(options: argparse.Namespace) -> int:
    """`sftheory train`: one run; status 75 if a signal stopped it, so that it can be queued again.

    With --from the run begins at a checkpoint of another; with --processes several share it.
    """
    if options.processes > 1:
        from sftheory.lm.launch import launched

        return launched(_words(options), options.processes)
    from sftheory import lm
    from sftheory.lm.branching import branched
    from sftheory.lm.config import Config, parsed, read_sections
    from sftheory.lm.parallel import LostError, MeetingError

    out = Path(options.out)
    if options.source is None:
        if options.at is not None or options.point is not None:
            raise InputError("--at and --point say where in --from RUN to begin; give --from too.")
        config = Config.read(options.config, options.set)
    else:
        place = Path(options.source)
        trunk = lm.load(place if place.exists() else out / options.source)
        out = trunk.directory.parent
        asked = read_sections(options.config)
        Config.of(asked)  # a typing error is told with the keys of the file
        whole = {name: asked.pop(name) for name in ("schedule", "lora") if name in asked}
        changes = {f"{s}.{k}": v for s, keys in asked.items() for k, v in keys.items()}
        wanted = trunk.config.replaced(changes).replaced(whole).replaced(parsed(options.set))
        settings = {"lora": None, **wanted.to_dict()}
        del settings["start"]
        at = "end" if options.at in (None, "end") else _step(options.at)
        config = branched(trunk, at, wanted.run.steps, point=options.point, settings=settings)
    try:
        run = lm.train(config, not options.anew, out, progress=not options.json)
    except LostError as error:
        print(error, file=sys.stderr)
        return REQUEUE
    except (FloatingPointError, InputError) as error:
        if _speaks() or isinstance(error, MeetingError):
            raise InputError(str(error)) from None
        return 2
    if _speaks():
        _report([run], options.json)
    return 0 if run.status != "unfinished" else REQUEUE


def sweep(options: argparse.Namespace) -> int:
    """`sftheory sweep`: every run of a TOML with lists; repeated, it does what is left."""
    from sftheory.lm import sweeps

    how = {
        "changes": options.set,
        "jobs": options.jobs,
        "processes": options.processes,
        "sbatch": _pairs(options.sbatch),
    }
    if options.cluster == "script":
        if options.stack != "off":
            raise InputError(
                "--stack trains runs here, but --cluster script only writes; drop one."
            )
        paths = [str(path) for path in sweeps.scripts(options.config, options.out, **how)]
        if options.json:
            print(as_json(paths))
        else:
            print("\n".join(f"sbatch {path}" for path in paths) or "Every run has ended.")
        return 0
    bars = not options.json
    how |= {"cluster": options.cluster, "stack": options.stack}
    runs = sweeps.sweep(options.config, options.out, progress=bars, **how)
    _report(runs, options.json)
    if any(run.status == "unfinished" for run in runs):
        return REQUEUE
    if options.record:
        if options.set:
            raise InputError("--record keeps what the plan itself found; leave --set out.")
        from sftheory.lm.results import record

        place = record(options.config, options.out, options.record)
        if not options.json:
            print(f"Recorded in {place}")
    return 0


def add_training_options(sub: argparse.ArgumentParser, whole: Any) -> None:
    """The arguments of `train` or `sweep`."""
    sub.add_argument("config", help="a TOML or JSON file")
    sub.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as run.steps=200"
    )
    sub.add_argument("--out", default="runs", help="(runs) the folder of all runs")
    sub.add_argument(
        "--processes", type=whole, default=1, help="(1) of this machine that share a run"
    )
    if sub.prog.endswith("sweep"):
        sub.add_argument(
            "--cluster",
            default="inline",
            help="(inline) or local: processes; slurm: an array of jobs; script: only its script",
        )
        sub.add_argument("--jobs", type=whole, default=1, help="(1) runs at once")
        sub.add_argument(
            "--stack", default="off", help="(off) K: up to K runs of a small model at once, or auto"
        )
        sub.add_argument("--record", metavar="TO", help="a folder for what was found, as CSV")
        sub.add_argument(
            "--sbatch",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="options of sbatch, such as partition=gpu, gres=gpu:1, time=60 in minutes",
        )
        return
    sub.add_argument("--from", dest="source", metavar="RUN", help="begin at a checkpoint of this")
    sub.add_argument("--at", help="(end) the step of that checkpoint")
    sub.add_argument("--point", help="(state) the weights to begin with: last, x, an average")
    sub.add_argument("--anew", action="store_true", help="delete what is there, do not resume")


def _report(runs: list[Any], machine: bool) -> None:
    facts = [_facts(run) for run in runs]
    if machine:
        print(as_json(facts[0] if len(facts) == 1 else facts))
        return
    table = table_of("run", "status", "step", "best point", "nats/token", "bits/byte")
    for fact in facts:
        best = min(fact["losses"], key=lambda row: row["loss"], default=None)
        shown = ("", "", "")
        if best is not None:
            bits = best["bits_per_byte"]
            shown = (best["average"], f"{best['loss']:.4f}", "" if bits is None else f"{bits:.4f}")
        table.add_row(fact["run"], fact["status"], str(fact["step"]), *shown)
    show_table(table)


def _facts(run: Any) -> dict[str, Any]:
    import polars as pl

    rows = run.frame()
    losses: list[dict[str, Any]] = []
    if len(rows):
        rows = rows.filter((pl.col("split") == "val") & pl.col("loss").is_not_null())
        last = rows.filter(pl.col("step") == pl.col("step").max())
        losses = last.select("step", "average", "loss", "bits_per_byte").to_dicts()
    facts = {"run": str(run.directory), "status": run.status, "step": run.step}
    return {**facts, "losses": losses}


def _step(text: str) -> int:
    if not text.isdecimal():
        raise InputError(f"--at must be a step or 'end', but got {text!r}.")
    return int(text)


def _speaks() -> bool:
    """Whether this process reports, where several share a run."""
    return os.environ.get("RANK", FIRST) == FIRST


def _words(options: argparse.Namespace) -> list[str]:
    """The command again, for each of several processes."""
    words = ["train", options.config, "--out", options.out]
    words += [word for change in options.set for word in ("--set", change)]
    for name, value in (("from", options.source), ("at", options.at), ("point", options.point)):
        words += [] if value is None else [f"--{name}", value]
    return words + ["--anew"] * options.anew + ["--json"] * options.json


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"--sbatch {text!r} is no option; write --sbatch partition=gpu.")
        pairs[key] = value
    return pairs
