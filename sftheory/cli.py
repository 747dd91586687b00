"""The command line, `sftheory COMMAND`: registries, figures, theory, fits, training."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sftheory.core.errors import InputError, nearest
from sftheory.core.registry import Entry, Registry
from sftheory.explore_commands import add_report_options, report
from sftheory.fit_commands import add_options, fit
from sftheory.options import (
    add_constants,
    add_method,
    check_command,
    not_understood,
    own_options,
    positive,
    registries,
    whole,
)
from sftheory.terminal import as_json, in_options, show_claims, show_table, table_of
from sftheory.theory_commands import bound, design, worst_case
from sftheory.train_commands import add_training_options, sweep, train

BARS = "▁▂▃▄▅▆▇█"
EXAMPLES = """examples:
  sftheory list bounds
  sftheory show schedule wsd
  sftheory reproduce F01 F05
  sftheory bound --schedule wsd --cooldown 0.2 --steps 400
  sftheory worst-case --schedule cosine --steps 1e5 --certify rational
  sftheory design --steps 200 --cap 0.05 --monotone --out steps.csv
  sftheory bound --method schedule_free --weights gamma --schedule cosine --peak 0.05
  sftheory fit run.jsonl --cut --at 100000 --plot fit.png"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0: done. 1: a claim's outcome differs from what is recorded. 2: bad input, said in one sentence.
    """
    parser = _parser()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        check_command(parser, words)
        known, words, given = own_options(parser, words)
        options, rest = parser.parse_known_args(words)
        if rest:
            raise not_understood(parser, words[0], rest[0])
        options.known, options.given = known, given
        return options.command(options)
    except InputError as error:
        print(f"sftheory: {in_options(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe has gone, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        print(
            "sftheory: This needs more memory than there is; ask for fewer steps.", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        if {"train", "sweep"} & {*words}:
            print(
                "sftheory: Stopped at once; the same command goes on from the last checkpoint.",
                file=sys.stderr,
            )
        return 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see {self.prog} --help.")


def _parser() -> argparse.ArgumentParser:
    from sftheory import __version__

    parser = _Parser(
        prog="sftheory",
        description="Learning-rate schedules and averaging as data.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sftheory {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

    def command(run: Callable[..., int], text: str) -> argparse.ArgumentParser:
        name = run.__name__.removesuffix("_").replace("_", "-")
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(command=run)
        sub.add_argument("--json", action="store_true", help="one JSON object, for machines")
        return sub

    sub = command(list_, "Every registered thing, one line each.")
    sub.add_argument(
        "kind", nargs="?", help="schedules, methods, problems, bounds, laws, metrics or figures"
    )
    sub = command(show, "One thing with its formula and plot.")
    sub.add_argument("kind", help="schedule, method, problem, bound, law, metric or figure")
    sub.add_argument("name", help="as `sftheory list` says")
    sub = command(reproduce, "Make figures with their data and claims, and the page of all.")
    sub.add_argument("ids", nargs="*", help="figure ids, such as F01; none makes all")
    sub.add_argument("--quick", action="store_true", help="fewer seeds where a figure is dear")
    sub.add_argument("--jobs", type=whole, default=os.cpu_count() or 1, help="processes")
    sub.add_argument("--out", default=None, help="the folder (default: paper_figures/out)")
    sub = command(bound, "What theory promises for a schedule and a method.")
    sub.add_argument("name", nargs="?", help="a bound; none takes all that cover the method")
    add_method(sub, "the best of each bound")
    sub = command(worst_case, "The exact worst case of a schedule and a method.")
    sub.add_argument("--certify", choices=["float", "rational"], default="float")
    sub.add_argument("--criterion", choices=["last", "best", "average"], default="last")
    sub.add_argument("--L", type=positive, help="smooth functions, instead of --G")
    sub.add_argument("--mu", type=float, default=0.0, help="(0) strong convexity")
    sub.add_argument("--grad-norms", help="CSV of N+1 norms, instead of --G")
    add_method(
        sub, "the best for the last iterate's exact value, whatever the criterion; 1/L with --L"
    )
    sub = command(design, "The steps with the least exact worst case under constraints.")
    sub.add_argument("--steps", type=whole, default=400, help="(400) N, the gradient steps")
    sub.add_argument("--cap", help="largest step: a number, or a CSV with one for each step")
    sub.add_argument("--floor", help="smallest step, likewise")
    sub.add_argument("--monotone", action="store_true", help="steps do not increase")
    sub.add_argument("--prefix", help="CSV of the first steps, which are fixed")
    sub.add_argument("--grad-norms", help="CSV of N+1 norms, instead of --G")
    add_constants(sub)
    sub.add_argument("--out", help="write the steps to this CSV file")
    sub = command(train, "Train a small transformer; the same command again goes on.")
    add_training_options(sub, whole)
    sub = command(sweep, "Train every run of a TOML with lists; repeated, it does what is left.")
    add_training_options(sub, whole)
    add_options(command(fit, "A law fitted to the loss curves of logs, and where they end."))
    add_report_options(command(report, "The live explorers as one page that needs no server."))
    return parser


def _registry(kind: str) -> Registry:
    known = registries()
    name = kind.lower()
    if name not in known and f"{name}s" not in known:
        raise nearest("kind", kind, known)
    return known.get(name) or known[f"{name}s"]


def list_(options: argparse.Namespace) -> int:
    """`sftheory list`: names and summaries, read from the source text, nothing imported."""
    chosen = [_registry(options.kind)] if options.kind else list(registries().values())
    summaries = {f"{r.kind}s": r.summaries() for r in chosen}
    if options.json:
        print(as_json(summaries))
        return 0
    table = table_of("kind", "name", "")
    for kind, entries in summaries.items():
        for i, (name, summary) in enumerate(entries.items()):
            table.add_row(kind if i == 0 else "", name, summary, end_section=i == len(entries) - 1)
    show_table(table)
    return 0


def show(options: argparse.Namespace) -> int:
    """`sftheory show KIND NAME`: formula, source, docstring, and a plot where there is one."""
    registry = _registry(options.kind)
    entry = registry[options.name]
    facts = _describe(registry.kind, entry)
    if options.json:
        print(as_json(facts))
        return 0
    parameters = inspect.signature(entry.object).parameters.values()
    shown = ", ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters
    )
    lines = [f"{registry.kind} {entry.name}({shown})", ""]
    lines += [f"formula   {entry.tex}"] if entry.tex else []
    lines += [f"source    {entry.ref}"] if entry.ref else []
    for name in ("attained", "constants"):
        lines += [f"{name:<9} {facts[name]}"] if facts.get(name) else []
    for name, values in facts["plot"].items():
        lines += [f"{name:<9} {_spark(values)}"]
    lines += ["", inspect.getdoc(entry.object) or ""]
    print("\n".join(lines))
    return 0


def _describe(kind: str, entry: Entry) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": kind,
        "name": entry.name,
        "formula": entry.tex,
        "source": entry.ref,
        "doc": inspect.getdoc(entry.object),
        "plot": {},
    }
    if kind == "schedule":
        facts["plot"] = {"N = 60": entry.make(60)(60).tolist()}
    elif kind == "method" and hasattr(entry.object, "tableau"):
        import numpy as np

        tableau = entry.make().tableau(np.ones(60))
        facts["plot"] = {
            "beta": tableau.beta.tolist(),
            "c": tableau.c.tolist(),
            "effective": tableau.effective_schedule().tolist(),
        }
    elif kind == "problem":
        problem = entry.make()
        known = {name: getattr(problem, name) for name in ("D", "G", "L", "mu", "f_star")}
        facts["constants"] = ", ".join(
            f"{name} = {value:.6g}" for name, value in known.items() if value is not None
        )
    elif kind == "bound":
        facts["attained"] = (entry.facts or {}).get("attained", "")
    return facts


def _spark(values: Sequence[float]) -> str:
    """Values as bars from 0 to the largest."""
    top = max(values)
    if top <= 0:
        return "0 throughout"
    return "".join(BARS[min(7, int(8 * value / top))] for value in values) + f"  max {top:.3g}"


def reproduce(options: argparse.Namespace) -> int:
    """`sftheory reproduce`: the main job."""
    from sftheory.figures import FIGURES
    from sftheory.figures.output import DEFAULT_OUT
    from sftheory.figures.output import reproduce as make
    from sftheory.figures.requirements import missing

    out = options.out or DEFAULT_OUT
    kwargs = {"out": out, "quick": options.quick, "jobs": options.jobs}
    if options.json:
        manifests = make(options.ids, **kwargs)
        claims = [claim for manifest in manifests for claim in manifest["claims"]]
        figures = [{k: v for k, v in m.items() if k != "claims"} for m in manifests]
        print(as_json({"claims": claims, "figures": figures}))
    else:
        manifests = _with_progress(make, options.ids, kwargs)
        show_claims(manifests)
        for reason in filter(None, (missing(entry) for entry in FIGURES if not options.ids)):
            print(f"Left out: {reason}")
        print(f"Look at {os.path.join(out, 'index.html')}")
    return 0 if all(manifest["as_recorded"] for manifest in manifests) else 1


def _with_progress(make: Callable[..., Any], ids: list[str], kwargs: dict[str, Any]) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from sftheory.figures import FIGURES

    columns = (
        TextColumn("figures"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[last]}"),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("figures", total=len(set(ids)) or len(FIGURES.names()), last="")
        return make(ids, **kwargs, progress=lambda m: bar.update(task, advance=1, last=m["figure"]))
