"""Linear decay after a prefix against the program, a scan of the scale, and known numbers."""

import numpy as np
import pytest

from sftheory.bounds import last_iterate
from sftheory.core.errors import InputError
from sftheory.design import continuation, optimal

PREFIXES = {
    "one tiny step": [1e-6],
    "one huge step": [50.0],
    "plateau": [0.08] * 120,
    "zeros": [0.0, 0.0],
    "zeros between": [0.1, 0.0, 0.2],
    "clipped in itself": [1e-3, 3.0, 1e-3, 1e-4],
    "warm-up": np.linspace(0.001, 0.05, 30),
    "linear decay, broken off": np.arange(60, 30, -1) / 61**1.5,
}


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize("n", [1, 2, 30])
def test_the_program_finds_the_same_tail(name, n):
    prefix = np.asarray(PREFIXES[name], dtype=float)
    closed = continuation(prefix, n, D=1, G=1)
    solved = optimal(len(prefix) + n, D=1, G=1, prefix=prefix)
    assert closed.value <= solved.value * (1 + 1e-13)
    assert solved.value == pytest.approx(closed.value, rel=1e-6)  # solver
    assert solved.optimum_lower <= closed.value
    assert closed.optimum_lower <= closed.value <= closed.optimum_lower * (1 + 1e-7)


@pytest.mark.parametrize("name", PREFIXES)
@pytest.mark.parametrize(("D", "G"), [(1.0, 1.0), (20.0, 0.1)])
def test_no_other_scale_of_the_decay_is_better(name, D, G):
    prefix = np.asarray(PREFIXES[name], dtype=float) * D / G
    plan = continuation(prefix, 10, D=D, G=G)
    np.testing.assert_array_equal(plan.gamma[: len(prefix)], prefix)
    tail = plan.gamma[len(prefix) :]
    np.testing.assert_allclose(tail / tail[-1], np.arange(10, 0, -1), rtol=1e-12)
    scales = np.exp(np.linspace(-8, 8, 2001))
    rows = np.hstack([np.tile(prefix, (2001, 1)), np.outer(scales, tail)])
    assert plan.value <= last_iterate(rows, D=D, G=G).min() * (1 + 1e-12)


def test_a_constant_prefix_of_120_of_200_points_drops_at_once():
    plan = continuation(np.full(120, 0.08), 79, D=1, G=1)
    assert plan.gamma[120] == pytest.approx(0.0406, abs=5e-5)
    assert plan.price == pytest.approx(1.15175, abs=5e-6)


def test_linear_decay_broken_off_is_continued_as_it_was():
    N = 60
    decay = np.arange(N, 0, -1) / (N + 1) ** 1.5
    plan = continuation(decay[:25], N - 25, D=1, G=1)
    np.testing.assert_allclose(plan.gamma, decay, rtol=1e-7)
    assert plan.price == pytest.approx(1, rel=1e-12)


def test_a_longer_tail_never_hurts():
    values = [continuation([0.3, 0.2], n, D=1, G=1).value for n in (1, 2, 5, 20, 100, 1000)]
    assert (np.diff(values) < 0).all()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"prefix": []}, "prefix is empty"),
        ({"prefix": [-0.1]}, "prefix has -0.1 at step 1"),
        ({"prefix": [[0.1, 0.1]]}, r"prefix has shape \(1, 2\)"),
        ({"n": 0}, "n must be a whole number >= 1"),
        ({"D": None}, "design.continuation needs D"),
        ({"G": [1.0, 2.0]}, "design.continuation needs one G"),
    ],
)
def test_bad_input_never_yields_a_plan(arguments, reason):
    with pytest.raises(InputError, match=reason):
        continuation(**({"prefix": [0.1], "n": 3, "D": 1, "G": 1} | arguments))
