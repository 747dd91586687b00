"""The commands that evaluate theory: `sftheory bound | worst-case | design`."""

from __future__ import annotations

import argparse
import math
import os
from typing import Any

import numpy as np

from sftheory.core.errors import InputError
from sftheory.options import registries, schedule_and_method
from sftheory.terminal import as_json, show_table, table_of

ROUNDING = 1e-12  # relative; the steps of a linear plan are a formula's


def bound(options: argparse.Namespace) -> int:
    """`sftheory bound`: evaluate bounds for a schedule and a method by name."""
    from sftheory import bounds as package
    from sftheory.bounds.base import NO_BOUND, covers, not_covered

    bounds = registries()["bounds"]
    schedule, method = schedule_and_method(options)
    eta = schedule(options.steps)
    D, G = options.D, 1.0 if options.G is None else options.G
    peak_given = _peak_given(options)
    shape = method.tableau(eta)
    chosen = [bounds[options.name].name] if options.name else bounds.names()
    rows = []
    for name in chosen:
        if not covers(name, shape):
            if options.name:
                raise not_covered(name, shape)
            continue
        facts = bounds[name].facts or {}
        if peak_given is None:
            peak, value = getattr(package, facts["tuned"])(eta, D=D, G=G)
        else:
            peak = peak_given
            value = bounds[name].object(method.tableau(peak * eta), D=D, G=G)
        scaled = value * math.sqrt(options.steps + 1) / (D * G)
        rows.append({"bound": name, "peak": float(peak), "value": float(value), "scaled": scaled})
    if not rows:
        raise InputError(f"No bound covers {options.method} here; {NO_BOUND}.")
    tuned = "the best of each bound" if peak_given is None else _as_given(options)
    minimax = D * G / math.sqrt(options.steps + 1)
    if options.json:
        facts = {"schedule": repr(schedule), "method": repr(method), "steps": options.steps}
        facts |= {"D": D, "G": G, "peak_is": tuned, "minimax": minimax, "bounds": rows}
        print(as_json(facts))
        return 0
    table = table_of("bound", "peak", "f(x) - f* <=", "× sqrt(N+1) / (D G)")
    for row in rows:
        table.add_row(row["bound"], *(f"{row[k]:.6g}" for k in ("peak", "value", "scaled")))
    print(f"{method} with {schedule}, N = {options.steps}, D = {D:g}, G = {G:g}; peak: {tuned}")
    show_table(table)
    print(f"No method with N subgradients can promise less than {minimax:.6g}.")
    return 0


def worst_case(options: argparse.Namespace) -> int:
    """`sftheory worst-case`: the exact value with its certificate, and the path that gave it."""
    from sftheory.worst_cases import worst_case as solve

    schedule, method = schedule_and_method(options)
    eta = schedule(options.steps)
    G = _norms(options)
    if G is None and options.L is None:
        G = 1.0
    peak, tuned = _peak(options, method.tableau(eta), G)
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
    facts |= {"D": options.D, "G": None if G is None else float(np.max(G))}
    facts |= {"L": options.L, "mu": options.mu}
    facts |= {"criterion": options.criterion, "peak": peak, "peak_is": tuned}
    names = ("value", "lower", "upper", "certified", "path", "solver")
    facts |= {name: getattr(found, name) for name in names}
    if options.json:
        print(as_json(facts))
        return 0
    print(f"{method} with {schedule}, N = {options.steps}, peak {peak:.6g} ({tuned})")
    if math.isnan(found.value):
        print(f"worst case   between {found.lower:.9g} and {found.upper:.9g}")
    else:
        print(f"worst case   {found.value:.15g}   {_scaled(found.value, options, G)}")
        print(f"enclosure    [{found.lower:.17g}, {found.upper:.17g}]")
    said = f", solver: {found.solver}" if found.solver else ""
    print(f"path         {found.path}, certified: {found.certified}{said}")
    if math.isnan(found.value):
        print(_closing(method))
    return 0


def design(options: argparse.Namespace) -> int:
    """`sftheory design`: optimal steps, what they promise, and what the constraints cost."""
    from sftheory.design import optimal
    from sftheory.schedules import Linear

    norms = _norms(options)
    plan = optimal(
        options.steps,
        D=options.D,
        G=None if options.grad_norms else 1.0 if norms is None else norms,
        cap=_number_or_column("--cap", options.cap),
        floor=_number_or_column("--floor", options.floor),
        monotone=options.monotone,
        prefix=_column("--prefix", options.prefix),
        grad_norms=norms if options.grad_norms else None,
    )
    line = plan.gamma[0] * Linear()(options.steps)
    linear = options.steps > 1 and np.allclose(plan.gamma, line, rtol=ROUNDING, atol=0)
    if options.out:
        partial = f"{options.out}.partial"
        try:
            np.savetxt(partial, plan.gamma, fmt="%.17g", header="gamma", comments="")
            os.replace(partial, options.out)
        except OSError as error:
            raise InputError(f"Cannot write {options.out}: {error.strerror}.") from None
    facts = {"steps": options.steps, "D": options.D, "value": plan.value, "lower": plan.lower}
    facts |= {"upper": plan.upper, "unconstrained": plan.unconstrained, "price": plan.price}
    facts |= {"optimum_lower": plan.optimum_lower, "linear": linear, "gamma": plan.gamma}
    if options.json:
        print(as_json(facts))
        return 0
    print(f"worst case      {plan.value:.12g}   in [{plan.lower:.17g}, {plan.upper:.17g}]")
    print(f"unconstrained   {plan.unconstrained:.12g}   price of the constraints {plan.price:.6f}")
    print(f"no allowed steps have less than {plan.optimum_lower:.12g}")
    shown = ", ".join(f"{step:.4g}" for step in plan.gamma[:4])
    shown += ", ..." if options.steps > 4 else ""
    said = f"   linear decay with peak {plan.gamma[0]:.6g}" if linear else ""
    print(f"steps           {shown}{said}")
    print(f"written to      {options.out}" if options.out else "--out FILE writes them all")
    return 0


def _peak_given(options: argparse.Namespace) -> float | None:
    """The base step of --peak, or 1 for steps that are the user's own; None leaves it open."""
    own = registries()["schedules"][options.schedule].name == "from_values"
    return 1.0 if own and options.peak is None else options.peak


def _as_given(options: argparse.Namespace) -> str:
    return "as given" if options.peak is not None else "the steps as they are"


def _peak(options: argparse.Namespace, shape: Any, G: Any) -> tuple[float, str]:
    """The base step of a worst case, and what it is."""
    given = _peak_given(options)
    if given is not None:
        return given, _as_given(options)
    if options.L is not None:
        return 1 / options.L, "1/L"
    from sftheory.bounds import last_iterate_tuned

    largest = float(np.max(G))
    found = last_iterate_tuned(shape.effective_schedule(), D=options.D, G=largest)
    whose = "the last iterate's exact value"
    if not (shape.c == 1).all():
        whose = "the exact value of a last iterate with its effective steps"
    norms = f", all norms {largest:g}" if options.grad_norms else ""
    mu = " and mu = 0" if options.mu else ""
    return float(found[0]), f"best for {whose}{norms}{mu}"


def _scaled(value: float, options: argparse.Namespace, G: Any) -> str:
    """The value without units."""
    if G is None:
        return f"/ (L D²) = {value / (options.L * options.D**2):.9g}"
    scaled = value * math.sqrt(options.steps + 1) / (options.D * float(np.max(G)))
    return f"× sqrt(N+1) / (D {'max G' if options.grad_norms else 'G'}) = {scaled:.9g}"


def _closing(method: Any) -> str:
    """The remedy for a bracket."""
    from sftheory.worst_cases import sdp

    fewer = f"For a value give at most {sdp.LIMIT} steps"
    weights = getattr(method, "weights", None)
    if weights == "gamma":
        return f"{fewer}."
    other = "" if weights else "--method primal_average "
    return f"{fewer}, or weights that the hull condition covers, such as {other}--weights gamma."


def _norms(options: argparse.Namespace) -> Any:
    """--grad-norms or --G, None without."""
    if options.grad_norms and options.G is not None:
        raise InputError("--grad-norms takes the place of --G; give one of the two.")
    return _column("--grad-norms", options.grad_norms) if options.grad_norms else options.G


def _column(option: str, path: str | None) -> Any:
    from sftheory.schedules.from_values import read_column

    if path is None:
        return None
    try:
        return read_column(path)
    except InputError as error:
        told = str(error).replace("Cannot read the schedule", "Cannot read")
        told = told.replace("pass column=, one of", "keep one of")
        raise InputError(f"{option}: {told}") from None


def _number_or_column(option: str, text: str | None) -> Any:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    if not os.path.exists(text):
        raise InputError(
            f"{option} {text} is neither a number nor a file; give a number, or a CSV file with "
            f"one for each step."
        )
    return _column(option, text)
