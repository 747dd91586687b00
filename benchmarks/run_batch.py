"""`run` against a bare NumPy loop: 10,000 runs of 2,000 steps of SGD on HillAndRiver.

Both sides draw the noise and record the loss of every step; the loop does its runs one at a time.
It is timed on a sample of the runs, between two timings of `run` in the same process, and scaled.
The limit of `run` is drawing the noise: seeding the generators and filling an array, timed alone.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import sftheory as sft

RUNS, STEPS, SAMPLE = 10_000, 2_000, 40


def bare_loop(gamma: np.ndarray, seed: int, a: float, sigma: float, c0: float) -> np.ndarray:
    """SGD on one seed, written as one would write it first."""
    rng = np.random.default_rng(seed)
    x = np.zeros(2)
    losses = np.empty(len(gamma) + 1)
    for t, step in enumerate(gamma):
        losses[t] = a / 2 * x[0] ** 2 + c0 / (1 + x[1])
        g = np.array([a * x[0] + sigma * rng.standard_normal(), -c0 / (1 + x[1]) ** 2])
        x = x - step * g
    losses[-1] = a / 2 * x[0] ** 2 + c0 / (1 + x[1])
    return losses


def seconds(f: Any, *args: Any, **kwargs: Any) -> tuple[float, Any]:
    """Wall time of a call, and its result."""
    start = time.perf_counter()
    result = f(*args, **kwargs)
    return time.perf_counter() - start, result


def draw_noise() -> None:
    """What no implementation with these semantics can avoid."""
    for seed in range(RUNS):
        np.random.default_rng(seed).standard_normal(STEPS + 1)


def main() -> None:
    """Print both times, their ratio, and the share of the limit."""
    problem = sft.problems.HillAndRiver()
    gamma = 0.05 * sft.schedules.WSD()(STEPS)
    tableau = sft.methods.LastIterate().tableau(gamma)
    traj, losses = sft.run(problem, tableau, seeds=10), []

    ours, loops, limits = [], [], []
    for _ in range(3):
        t, traj = seconds(sft.run, problem, tableau, seeds=RUNS)
        ours.append(t)
        t, losses = seconds(
            lambda: [
                bare_loop(gamma, s, problem.a, problem.sigma, problem.c0) for s in range(SAMPLE)
            ]
        )
        loops.append(t * RUNS / SAMPLE)
        limits.append(seconds(draw_noise)[0])
    np.testing.assert_allclose(traj.loss_x[:SAMPLE], losses, rtol=1e-9)

    t_run, t_loop, t_limit = (float(np.median(t)) for t in (ours, loops, limits))
    print(f"run          {t_run:8.2f} s   {RUNS} runs x {STEPS} steps, noise and losses included")
    print(f"bare loop    {t_loop:8.2f} s   scaled from {SAMPLE} runs")
    print(f"noise alone  {t_limit:8.2f} s   the limit; {t_limit / t_run:.0%} of run is spent there")
    print(f"ratio        {t_loop / t_run:8.1f}     bare loop / run, medians of 3")


if __name__ == "__main__":
    main()
