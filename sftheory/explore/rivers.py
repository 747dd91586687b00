"""What the river explorer shows: one run in a noisy valley, split into its hill and its river."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sftheory.core.errors import InputError, count, nearest, real
from sftheory.core.tableau import Array, Tableau
from sftheory.methods import LastIterate, PolyakAverage, PrimalAverage, RefinedScheduleFree
from sftheory.methods import ScheduleFree as ScheduleFreeMethod
from sftheory.problems.hill_and_river import HillAndRiver
from sftheory.schedules import WSD, Constant, Cosine, Linear
from sftheory.simulation import run

STEPS, SEEDS = 500, 8  # the most; the static page carries the noise of as many
FAR = 1000.0  # |h| from which on the run has left the valley
SCHEDULES = {"constant": Constant(), "linear": Linear(), "cosine": Cosine(), "WSD": WSD()}
METHODS = (
    "last iterate",
    "Polyak average",
    "primal average",
    "schedule-free",
    "refined schedule-free",
)
INPUTS: dict[str, Any] = {
    "method": "schedule-free",
    "schedule": "constant",
    "gamma": 0.05,
    "beta": 0.9,
    "C": 20.0,
    "noise": 1.0,
    "steps": 300,
    "seed": 0,
}


@dataclass(frozen=True)
class Valley(HillAndRiver):
    """`HillAndRiver` from (1/2, 0), so that the first steps come down the hill."""

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start (1/2, 0)."""
        return np.array([0.5, 0.0])


def river_data(
    *,
    method: str = "schedule-free",
    schedule: str = "constant",
    gamma: float = 0.05,
    beta: float = 0.9,
    C: float = 20.0,
    noise: float = 1.0,
    steps: int = 300,
    seed: int = 0,
) -> dict[str, Any]:
    r"""A run on f(h, r) = 10 h² + 1/(1 + r) from (1/2, 0), with noise on the hill alone.

    Args:
        method: one of METHODS.
        schedule: one of SCHEDULES.
        gamma: the largest step, > 0.
        beta: of both schedule-free methods, in [0, 0.99].
        C: of the refined one, >= 1.
        noise: standard deviation of the gradient across the hill.
        steps: N, 1 to 500.
        seed: 0 to 7.

    Returns:
        x, z: {"h", "r"}, the reported and the base points, (N + 1,) each.
        hill, river: {"x", "z"}, the parts 10 h² and 1/(1 + r) of the loss there, (N + 1,).
        gamma, effective: the steps, and the schedule that the averaging amounts to, (N,).

    Raises:
        InputError: an argument is out of its range, or the run leaves the valley, |h| > 1000.

    Example:
        >>> found = river_data(method="last iterate", schedule="linear", noise=0.0)
        >>> found["effective"] == found["gamma"], found["hill"]["x"][-1] < 1e-6
        (True, True)
    """
    N, tableau = _tableau(method, schedule, gamma, beta, C, steps)
    valley: Any = Valley(sigma=real("noise", noise, 0, 100))
    if count("seed", seed, 0) >= SEEDS:
        raise InputError(f"seed must be 0 to {SEEDS - 1}, but got {seed}.")
    traj = run(valley, tableau, seeds=[seed], record="all", losses="x")
    assert traj.x is not None and traj.z is not None
    x, z = traj.x[0], traj.z[0]
    far = ~(np.abs(z[:, 0]) <= FAR)
    if far.any():
        raise InputError(
            f"The run leaves the valley at step {int(np.argmax(far))}, |h| > {FAR:g}, as gamma "
            f"times the curvature {valley.a:g} is {gamma * valley.a:.3g}; take a smaller gamma."
        )
    points = {"x": x, "z": z}
    return {
        **{name: {"h": p[:, 0].tolist(), "r": p[:, 1].tolist()} for name, p in points.items()},
        "hill": {name: valley.hill(p).tolist() for name, p in points.items()},
        "river": {name: valley.river(p).tolist() for name, p in points.items()},
        "gamma": tableau.gamma.tolist(),
        "effective": tableau.effective_schedule().tolist(),
        "steps": N,
    }


def noise_table() -> Array:
    """The noise of every seed and step that `river_data` can ask for, (SEEDS, STEPS)."""
    rngs = (np.random.default_rng(seed) for seed in range(SEEDS))
    return np.stack([Valley().draw(rng, STEPS) for rng in rngs])


def _tableau(
    method: str, schedule: str, gamma: float, beta: float, C: float, steps: int
) -> tuple[int, Tableau]:
    N = count("steps", steps)
    if N > STEPS:
        raise InputError(f"steps must be 1 to {STEPS}, but got {N}.")
    if schedule not in SCHEDULES:
        raise nearest("schedule", str(schedule), SCHEDULES)
    if method not in METHODS:
        raise nearest("method", str(method), METHODS)
    if real("gamma", gamma, 0, 100) == 0:
        raise InputError("gamma must be positive, but got 0.")
    beta, C = real("beta", beta, 0, 0.99), real("C", C, 1, 1e4)
    made = {
        "last iterate": LastIterate(),
        "Polyak average": PolyakAverage(),
        "primal average": PrimalAverage(),
        "schedule-free": ScheduleFreeMethod(beta),
        "refined schedule-free": RefinedScheduleFree(beta, C),
    }[method]
    return N, made.tableau(gamma * SCHEDULES[schedule](N))
