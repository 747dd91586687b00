"""Random methods of ten families, N <= 12, against Clarabel's program with all inequalities.

The families and the comparison are those of benchmarks/sweeps.py.
"""

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(BENCHMARKS))  # the benchmark imports its neighbour
sweeps = load("sweeps")
BY_THEOREM = ["last iterate", "constant schedule-free"]
every_family = pytest.mark.parametrize("family", sweeps.FAMILIES)


def sweep(family, number, seed):
    rng = np.random.default_rng(seed)
    every = [sweeps.compare(*sweeps.instance(family, rng)) for _ in range(number)]
    for one in every:
        found = one.found
        assert found.lower <= found.value <= found.upper
        if family in BY_THEOREM:
            assert found.path in ("last iterate", "hull") and found.certified == "float"
        if one.solved:  # to 1e-6 of D G
            assert one.beyond <= 1e-6
            assert one.difference <= max(1e-6, one.width)
    of_program = [one.found.certified == "float" for one in every if one.found.path == "sdp"]
    assert np.mean([True, *of_program]) > 0.95
    assert np.mean([one.solved for one in every]) > 0.8


@every_family
def test_worst_cases_are_those_of_the_full_program(family):
    sweep(family, 25, seed=0)


@pytest.mark.slow
@every_family
def test_worst_cases_are_those_of_the_full_program_a_thousand_times(family):
    sweep(family, 1000, seed=1)


@pytest.mark.slow
@every_family
def test_worst_cases_are_those_of_pepit(family):
    pepit = load("worst_case").pepit
    rng, compared = np.random.default_rng(2), 0
    for _ in range(30):
        tableau, D, G = sweeps.instance(family, rng)
        unit = type(tableau)(tableau.gamma * G / D, tableau.beta, tableau.c)
        found = sweeps.worst_case(tableau, D=D, G=G)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            theirs = pepit(unit) * D * G
        if said:  # that the solution may be inaccurate
            continue
        compared += 1
        assert found.value == pytest.approx(theirs, abs=2e-6 * D * G)  # two solvers
        assert found.lower <= theirs + 2e-6 * D * G and found.upper >= theirs - 2e-6 * D * G
    assert compared >= 20
