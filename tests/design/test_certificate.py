"""The lower bound of the optimum: its inequality, its a-priori box, its multipliers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftheory.design.certificate import _multipliers, lower_bound, slopes
from sftheory.design.limits import Limits
from sftheory.worst_cases import worst_case

seeds = st.integers(0, 10**6)


def draw(seed, varying):
    rng = np.random.default_rng(seed)
    N = int(rng.integers(1, 9))
    norms = np.exp(varying * rng.standard_normal(N + 1))
    h = np.exp(1.5 * rng.standard_normal(N) - 1)
    top = np.minimum.accumulate(norms[::-1] ** 2)[::-1]  # A_t <= G_t² and nondecreasing
    A = top * np.sort(rng.random(N + 1))
    return rng, norms, h, A


@pytest.mark.parametrize("varying", [0.0, 0.5])
@given(seed=seeds)
def test_every_admissible_a_gives_a_lower_bound_of_every_worst_case(varying, seed):
    _, norms, h, A = draw(seed, varying)
    worst = worst_case(h, D=1, G=norms if varying else 1.0)
    assert (np.diff(A) >= 0).all() and (A <= norms**2).all()
    assert np.sqrt(A[0]) + slopes(A, norms) @ h <= worst.upper * (1 + 1e-12)


@given(seed=seeds)
def test_better_steps_lie_in_the_box_that_an_uncapped_step_is_given(seed):
    _, norms, h, _ = draw(seed, 0.5)
    half = 0.5 / np.cumsum(norms[::-1] ** -2.0)[::-1]
    value = worst_case(h, D=1, G=norms).upper
    reach = (value - np.sqrt(half[0])) / slopes(half, norms)
    assert (h <= reach * (1 + 1e-12)).all()


@pytest.mark.parametrize("monotone", [False, True])
@given(seed=seeds)
def test_no_allowed_steps_beat_the_lower_bound(monotone, seed):
    rng, norms, h, A = draw(seed, 0.3)
    N = len(h)
    cap = np.where(rng.random(N) < 0.5, rng.random(N), np.inf)
    limits = Limits.of(N, cap=cap, floor=None, monotone=monotone, prefix=None)
    tried = [limits.project(np.exp(rng.standard_normal(N) - 1)) for _ in range(3)]
    worst = [worst_case(h, D=1, G=norms) for h in tried]
    assert all(limits.allow(h) for h in tried)
    bound = lower_bound(A, norms, 1.0, limits, worst[0].upper)
    assert bound <= min(w.upper for w in worst)


@given(seed=seeds)
def test_multipliers_give_the_least_of_a_linear_function_over_nonincreasing_steps(seed):
    rng = np.random.default_rng(seed)
    N = int(rng.integers(2, 7))
    s = rng.standard_normal(N)
    low = np.sort(rng.random(N))[::-1]
    high = np.maximum.accumulate((low + rng.random(N))[::-1])[::-1]
    held = _multipliers(s, low, high)
    assert (held >= 0).all()
    r = s - np.append(held, 0) + np.append(0, held)
    bound = np.minimum(r * low, r * high).sum()
    # vertices of the feasible set have every entry at some end of the box
    ends = np.unique(np.concatenate([low, high]))
    table = np.full((N, len(ends)), np.inf)
    for k in range(N):
        ok = (ends >= low[k]) & (ends <= high[k])
        before = np.zeros(len(ends)) if k == 0 else np.minimum.accumulate(table[k - 1][::-1])[::-1]
        table[k, ok] = before[ok] + s[k] * ends[ok]
    assert bound == pytest.approx(table[-1].min(), abs=1e-7)  # linear program
    assert bound <= table[-1].min() + 1e-12
