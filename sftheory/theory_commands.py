"""The commands that evaluate theory: `sftheory bound | worst-case | design`."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

from sftheory.core.errors import InputError
from sftheory.options import registries, schedule_and_method
from sftheory.terminal import show_table, table_of


def bound(options: argparse.Namespace) -> int:
    """`sftheory bound`: evaluate bounds for a schedule and a method by name."""
    from sftheory import bounds as package
    from sftheory.bounds.base import NO_BOUND, covers, not_covered

    bounds = registries()["bounds"]
    schedule, method = schedule_and_method(options)
    eta = schedule(options.steps)
    shape = method.tableau(eta)
    chosen = [bounds[options.name].name] if options.name else bounds.names()
    rows = []
    for name in chosen:
        if not covers(name, shape):
            if options.name:
                raise not_covered(name, shape)
            continue
        facts = bounds[name].facts or {}
        if options.peak is None:
            peak, value = getattr(package, facts["tuned"])(eta, D=options.D, G=options.G)
        else:
            peak = options.peak
            value = bounds[name].object(method.tableau(peak * eta), D=options.D, G=options.G)
        scaled = value * math.sqrt(options.steps + 1) / (options.D * options.G)
        rows.append({"bound": name, "peak": float(peak), "value": float(value), "scaled": scaled})
    if not rows:
        raise InputError(f"No bound covers {options.method} here; {NO_BOUND}.")
    minimax = options.D * options.G / math.sqrt(options.steps + 1)
    if options.json:
        facts = {"schedule": repr(schedule), "method": repr(method), "steps": options.steps}
        facts |= {"D": options.D, "G": options.G, "minimax": minimax, "bounds": rows}
        print(json.dumps(facts, indent=1))
        return 0
    table = table_of("bound", "peak", "f(x) - f* <=", "× sqrt(N+1) / (D G)")
    for row in rows:
        table.add_row(row["bound"], *(f"{row[k]:.6g}" for k in ("peak", "value", "scaled")))
    print(f"{method} with {schedule}, N = {options.steps}, D = {options.D:g}, G = {options.G:g}")
    show_table(table)
    print(f"No method with N subgradients can promise less than {minimax:.6g}.")
    return 0


def worst_case(options: argparse.Namespace) -> int:
    """`sftheory worst-case`: the exact value with its certificate, and the path that gave it."""
    from sftheory.worst_cases import worst_case as solve

    schedule, method = schedule_and_method(options)
    eta = schedule(options.steps)
    smooth = options.L is not None
    G: Any = None if smooth else _norms(options)
    largest = options.L * options.D if smooth else float(max(G) if options.grad_norms else G)
    peak = options.peak
    if peak is None and smooth:
        peak = 1 / options.L
    if peak is None:
        from sftheory.bounds import last_iterate_tuned

        effective = method.tableau(eta).effective_schedule()
        peak = float(last_iterate_tuned(effective, D=options.D, G=largest)[0])
    found = solve(
        method.tableau(peak * eta),
        D=options.D,
        G=G,
        certify=options.certify,
        criterion=options.criterion,
        L=options.L,
        mu=options.mu,
    )
    facts = {"schedule": repr(schedule), "method": repr(method), "steps": options.steps}
    facts |= {"D": options.D, "G": None if smooth else largest, "L": options.L, "mu": options.mu}
    facts |= {"criterion": options.criterion, "peak": peak}
    names = ("value", "lower", "upper", "certified", "path", "solver")
    facts |= {name: getattr(found, name) for name in names}
    if options.json:
        print(json.dumps({k: str(v) if v != v else v for k, v in facts.items()}, indent=1))
        return 0
    scale = math.sqrt(options.steps + 1) / (options.D * largest)
    print(f"{method} with {schedule}, N = {options.steps}, peak {peak:.6g}")
    print(f"worst case   {found.value:.15g}   × sqrt(N+1) / (D G) = {found.value * scale:.9g}")
    print(f"enclosure    [{found.lower:.17g}, {found.upper:.17g}]")
    said = f", solver: {found.solver}" if found.solver else ""
    print(f"path         {found.path}, certified: {found.certified}{said}")
    return 0


def design(options: argparse.Namespace) -> int:
    """`sftheory design`: optimal steps, what they promise, and what the constraints cost."""
    import os

    import numpy as np

    from sftheory.design import optimal

    plan = optimal(
        options.steps,
        D=options.D,
        G=None if options.grad_norms else options.G,
        cap=_number_or_column(options.cap),
        floor=_number_or_column(options.floor),
        monotone=options.monotone,
        prefix=_column(options.prefix),
        grad_norms=_column(options.grad_norms),
    )
    if options.out:
        partial = f"{options.out}.partial"
        np.savetxt(partial, plan.gamma, fmt="%.17g", header="gamma", comments="")
        os.replace(partial, options.out)
    facts = {"steps": options.steps, "D": options.D, "value": plan.value, "lower": plan.lower}
    facts |= {"upper": plan.upper, "unconstrained": plan.unconstrained, "price": plan.price}
    facts |= {"optimum_lower": plan.optimum_lower}
    if options.json:
        print(json.dumps(facts | {"gamma": plan.gamma.tolist()}, indent=1))
        return 0
    print(f"worst case      {plan.value:.12g}   in [{plan.lower:.17g}, {plan.upper:.17g}]")
    print(f"unconstrained   {plan.unconstrained:.12g}   price of the constraints {plan.price:.6f}")
    print(f"no allowed steps have less than {plan.optimum_lower:.12g}")
    shown = ", ".join(f"{step:.4g}" for step in plan.gamma[:4])
    print(f"steps           {shown}{', ...' if options.steps > 4 else ''}")
    print(f"written to      {options.out}" if options.out else "--out FILE writes them all")
    return 0


def _norms(options: argparse.Namespace) -> Any:
    return _column(options.grad_norms) if options.grad_norms else options.G


def _column(path: str | None) -> Any:
    from sftheory.schedules.from_values import read_column

    return None if path is None else read_column(path)


def _number_or_column(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return _column(text)
