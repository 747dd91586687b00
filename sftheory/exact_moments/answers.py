"""Questions that exact moments answer without a single sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant, count, steps
from sftheory.core.tableau import Tableau, iterate
from sftheory.exact_moments.expectation import Moments, moments
from sftheory.exact_moments.stability import critical_step

Array = NDArray[np.float64]
Method = Callable[[Array], Tableau]
RATIO = 2.0**0.125  # of neighbouring peaks in the first search
LEAST = 80  # peaks of it, ten powers of 2, before it may stop
BEST = 6  # local minima that the second search refines
STALLED = 1e-13  # relative change by twice as many steps that counts as none
BATCHES = tuple(4.0**k for k in range(9))
PEAKS = tuple(2.0**k for k in range(-14, 2))


@dataclass(frozen=True)
class BestPeak:
    """The base step with the least expected loss after N steps.

    peak: units of gamma. loss: E f(x_{N+1}) - f_star. edge: whether it is the largest peak that was
    tried, twice the largest at which every step is stable.
    """

    peak: float
    loss: float
    edge: bool


def best_peak(
    problem: Any, method: Method, shape: ArrayLike, *, momentum: float = 0.0, **options: Any
) -> BestPeak:
    r"""The peak that makes E f(x_{N+1}) least, for steps peak * shape.

    Args:
        problem: as for `moments`.
        method: steps -> tableau, such as `methods.ScheduleFree(0.9).tableau`, or the method itself.
        shape: (N,), the schedule at peak 1.
        momentum: inner momentum.
        **options: of `moments`.

    A grid of ratio 2^(1/8) below twice the largest stable peak, then a golden-section search around
    the six least local minima; a loss that oscillates faster over peaks has narrower ones.

    Raises:
        InputError: as `moments`; or the shape is zero.

    Example:
        >>> from sftheory import methods, problems, schedules
        >>> problem = problems.NoisyQuadratic([1.0, 0.1], noise=0.1)
        >>> constant = best_peak(problem, methods.LastIterate().tableau, np.ones(500))
        >>> linear = best_peak(problem, methods.LastIterate().tableau, schedules.Linear()(500))
        >>> bool(linear.loss < constant.loss and linear.peak > constant.peak)
        True
    """
    from scipy.optimize import minimize_scalar

    shape = steps("shape", shape)
    if not shape.any():
        raise InputError("shape is zero at every step; pass a schedule with a peak to look for.")
    method = getattr(method, "tableau", method)
    if not callable(method):
        raise InputError(f"method must make a tableau of steps, not {method!r}; pass a method.")

    def loss(log_peak: float) -> float:
        tableau = method(np.exp(log_peak) * shape)
        return _end(problem, tableau, momentum=momentum, **options)

    unit = method(shape)
    lam = float(np.max(np.asarray(problem.eigenvalues)))
    limits = critical_step(unit.beta, unit.c, momentum=momentum) / (lam * np.maximum(shape, 1e-300))
    top = np.log(2 * min(float(np.min(limits)), 1e12))
    grid, values = [], []
    for i in range(4 * LEAST):
        grid.append(top - i * np.log(RATIO))
        values.append(loss(grid[-1]))
        if i > LEAST and values[-1] > 2 * min(values):
            break
    padded = np.concatenate([[np.inf], values, [np.inf]])
    lows = np.flatnonzero((padded[1:-1] <= padded[:-2]) & (padded[1:-1] <= padded[2:]))
    best = [(values[i], grid[i]) for i in lows]
    for i in sorted(lows, key=lambda i: values[i])[:BEST]:
        bounds = grid[min(i + 1, len(grid) - 1)], grid[max(i - 1, 0)]
        found: Any = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
        best.append((float(found.fun), float(found.x)))
    least, at = min(best)
    return BestPeak(float(np.exp(at)), float(least), bool(at == grid[0]))


def _end(problem: Any, tableau: Tableau, **options: Any) -> float:
    loss = float(moments(problem, tableau, keep=[0], **options).loss_x[-1])
    return loss if np.isfinite(loss) else 1e300


def steps_to(
    problem: Any,
    make: Callable[[int], Tableau],
    target: float,
    *,
    most: int = 10_000_000,
    **options: Any,
) -> int | None:
    r"""The least N for which make(N) reaches E f(x_{N+1}) - f_star <= target; None beyond `most`.

    Args:
        problem: as for `moments`.
        make: N -> tableau; a longer run must not be worse.
        target: > 0.
        most: the longest run that is tried.
        **options: of `moments`.

    N is doubled until the target is met, or doubling it gains nothing, and then bisected: O(d N).

    Raises:
        InputError: target is not positive.
    """
    target = constant("steps_to", "target", target)
    count("most", most)
    high, before = 1, np.inf
    while (loss := _end(problem, make(high), **options)) > target:
        if high >= most or (high > 64 and abs(loss - before) <= STALLED * before):
            return None
        high, before = min(2 * high, most), loss
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if _end(problem, make(middle), **options) <= target:
            high = middle
        else:
            low = middle
    return high


@dataclass(frozen=True, eq=False)
class CriticalBatch:
    r"""Steps against batch size to one target, and where doubling the batch stops paying.

    batches: (K,). steps: (K,), nan where not reached. samples: batches * steps. critical: the batch
    at which both are twice their least, E_min / S_min with S_min the steps without noise and E_min
    the fewest samples.
    """

    batches: Array
    steps: Array
    critical: float

    @property
    def samples(self) -> Array:
        """batches * steps, (K,)."""
        return self.batches * self.steps


def critical_batch(
    problem: Any,
    make: Callable[[float, int], Tableau],
    target: float,
    *,
    batches: ArrayLike = BATCHES,
    peaks: ArrayLike = PEAKS,
    **options: Any,
) -> CriticalBatch:
    r"""Steps to a target for each batch size, at the best peak of a grid for each.

    The noise of a batch of B has 1/B of the problem's variance, the part that grows with the
    distance included.

    Args:
        problem: as for `moments`; its noise is that of one sample.
        make: (peak, N) -> tableau.
        target: > 0.
        batches: (K,), > 0.
        peaks: the grid.
        **options: of `steps_to`.

    References: zhang2019.
    """
    sizes = steps("batches", batches, "batch")

    def fewest(share: float) -> float:
        one = _with_noise(problem, share)
        best = np.inf
        for peak in sorted(np.asarray(peaks, float), reverse=True):  # the fast ones first
            limit = int(best) if np.isfinite(best) else options.get("most", 10_000_000)
            found = steps_to(
                one, lambda N, peak=peak: make(peak, N), target, **{**options, "most": limit}
            )
            best = min(best, np.inf if found is None else found)
        return best

    if (sizes == 0).any():
        raise InputError("batches must be > 0, but one is 0; leave it out.")
    found = np.array([fewest(1 / B) for B in sizes], dtype=float)
    reached = np.isfinite(found)
    found[~reached] = np.nan
    samples = (sizes * found)[reached]
    critical = float(samples.min() / fewest(0.0)) if reached.any() else np.nan
    return CriticalBatch(sizes, found, critical)


def _with_noise(problem: Any, share: float) -> SimpleNamespace:
    """The same quadratic with a share of the noise's variance, as far as `moments` looks."""
    known = {name: getattr(problem, name) for name in ("eigenvalues", "x1", "x_star")}
    grows = {name: share * getattr(problem, name, 0.0) for name in ("multiplicative", "mixing")}
    noise = np.sqrt(share) * np.asarray(problem.noise, float)
    return SimpleNamespace(**known, **grows, noise=noise)


def which_average_wins(
    problems: Mapping[Any, Any], candidates: Mapping[str, tuple[Method, ArrayLike]]
) -> dict[Any, dict[str, BestPeak]]:
    r"""Every method at its best peak, on every problem.

    Args:
        problems: name -> problem, such as (a, b) -> `PowerLawRegression(a=a, b=b)`.
        candidates: name -> (steps -> tableau, shape (N,)).

    Returns:
        For each problem the `BestPeak` of each candidate.

    References: meterez2026 for the question.
    """
    return {
        key: {
            name: best_peak(problem, method, shape) for name, (method, shape) in candidates.items()
        }
        for key, problem in problems.items()
    }


def split(found: Moments, problem: Any, cut: float) -> tuple[Array, Array]:
    r"""E f at x at the kept steps, of the modes with λ >= cut (hills) and of the rest (rivers).

    Returns:
        (hill, river), each (..., K).

    Raises:
        InputError: the modes were grouped.
    """
    if found.second_x is None:
        raise InputError("Grouped modes cannot be split; call moments with group=None.")
    lam = problem.eigenvalues
    if not hasattr(lam, "new_tensor"):
        lam = np.asarray(lam, float)
    loss = found.second_x * lam / 2
    return loss[..., lam >= cut].sum(axis=-1), loss[..., lam < cut].sum(axis=-1)


def hill_and_river(problem: Any, tableau: Tableau) -> tuple[Array, Array]:
    r"""E of the hill's and of the river's part of f at x, (N + 1,) each, exactly.

    The hill is a noisy quadratic, the river has no noise and runs once.

    Args:
        problem: a `HillAndRiver`.
        tableau: one method.

    References: wen2024 for the picture; the toy is ours.
    """
    start = np.asarray(problem.x1, float)
    hill = SimpleNamespace(eigenvalues=[problem.a], noise=problem.sigma, x1=start[0], x_star=0.0)
    along = [start[1]]
    for x, *_ in iterate(tableau, start[1], lambda r: -problem.c0 / (1 + r) ** 2):
        along.append(x)
    river = problem.c0 / (1 + np.array(along))
    return moments(hill, tableau, keep=[0]).loss_x, river


def after_cooldown(found: Moments, problem: Any, at: int, gamma: ArrayLike) -> float:
    r"""E f that the last iterate would reach if a cooldown started at step `at`, without a rerun.

    Each mode goes on from its second moment of z at that step:
    E z² ← (1 - γ λ)² E z² + γ² s².

    Args:
        found: moments of a run of one tableau with per-mode moments kept at step `at`.
        problem: that run's, with noise that does not depend on the point.
        at: a step in `found.step`.
        gamma: (n,), the cooldown.

    Raises:
        InputError: the step was not kept, modes were grouped, or noise depends on the point.
    """
    if found.second_z is None or found.second_z.ndim != 2:
        raise InputError("after_cooldown needs per-mode moments of one tableau; pass group=None.")
    if getattr(problem, "mixing", 0.0) or found.multiplicative or found.momentum:
        raise InputError(
            "after_cooldown needs a run without inner momentum, and noise that does not depend on "
            "the point; run the cooldown with moments."
        )
    places = np.flatnonzero(found.step == at)
    if len(places) == 0:
        raise InputError(f"Step {at} was not kept; call moments with keep=[{at}].")
    lam = np.asarray(problem.eigenvalues, float)
    noise = np.broadcast_to(np.asarray(problem.noise, float) ** 2, lam.shape)
    second = np.array(found.second_z[places[0]])
    for step in steps("gamma", gamma):
        second = (1 - step * lam) ** 2 * second + step * step * noise
    return float(lam @ second / 2)
