"""Run a tableau or a controller on a problem, batched over every leading axis at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sftheory.core.errors import InputError, constant, count
from sftheory.core.recording import (
    PLANAR,
    Certificates,
    Log,
    Noise,
    Objective,
    dot,
    host,
    like_points,
)
from sftheory.core.tableau import Tableau, iterate, mix
from sftheory.core.trajectory import Trajectory


class Policy(Protocol):
    """What `run` asks of a controller; `sftheory.methods.base.Controller` says what it means."""

    needs_f_star: Any
    preconditioned: Any

    def template(self, N: int) -> Tableau: ...
    def start(self) -> Callable[..., tuple[Any, Any]]: ...


@dataclass(frozen=True)
class Adam:
    r"""Adam's preconditioner: the base step divides g by sqrt(v) + eps, elementwise.

    v_t = beta2 v_{t-1} + (1 - beta2) g_t², divided by 1 - beta2^t before the root. Interpolation
    and averaging stay the tableau's, so with a ScheduleFree tableau this is schedule-free AdamW
    without weight decay.

    Raises:
        InputError: beta2 outside [0, 1) or eps negative.
    """

    beta2: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if not 0 <= self.beta2 < 1:
            raise InputError(f"Adam needs 0 <= beta2 < 1, but got {self.beta2!r}.")
        if not 0 <= self.eps < np.inf:
            raise InputError(f"Adam needs eps >= 0, but got {self.eps!r}.")

    def start(self) -> Callable[[Any], Any]:
        """A fresh g -> g / (sqrt(v) + eps) for one run."""
        v: Any = 0.0
        t = 0

        def precondition(g: Any) -> Any:
            nonlocal v, t
            t += 1
            v = self.beta2 * v + (1 - self.beta2) * g * g
            return g / ((v / (1 - self.beta2**t)) ** 0.5 + self.eps)

        return precondition


def run(
    problem: Objective,
    method: Tableau | Policy,
    *,
    steps: int | None = None,
    seeds: int | Sequence[int] = 1,
    record: str | Iterable[int] = "losses",
    losses: str = "xyz",
    preconditioner: Adam | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectory:
    r"""Run a method on a problem for every tableau of a batch and every seed at once.

    Args:
        problem: an entry of `sftheory.problems`, or anything with the same attributes.
        method: a Tableau with N steps, or a controller, whose N is `steps`.
        steps: N, for a controller only.
        seeds: how many (0, 1, ...), or which. The noise of a step depends on (seed, step) alone: it
            is shared by the whole tableau batch, and `run(tab[i], seeds=[s])` equals row (i, s).
        record: "losses" at every step, "all" also the points, or the steps t in 0..N at which to
            record losses and points.
        losses: at which points f is evaluated, "x", "xy" or "xyz"; each costs a pass.
        preconditioner: None, or Adam(beta2, eps) for the base step.
        progress: called as progress(t, N) after every step.

    Returns:
        A Trajectory with axes (tableau batch..., seed, recorded step[, d]). A run that overflows
        is marked in `diverged`, its losses are inf from there on, and the others go on unharmed.

    Raises:
        InputError: a seed, a recorded step or `steps` is out of range, or a controller needs an
            f_star that is not known.

    Example:
        >>> from sftheory.methods import ScheduleFree
        >>> from sftheory.problems import MaxLinear
        >>> traj = run(MaxLinear(d=5, rows=5), ScheduleFree().tableau([0.1] * 100))
        >>> bool(traj.loss_x[0, -1] <= 1 / (2 * 0.1 * 101) + 0.1 / 2)
        True
    """
    tableau, controller = _resolve(method, steps)
    if isinstance(problem, type) or not hasattr(problem, "oracle"):
        raise InputError(f"run needs a problem, such as problems.MaxLinear(), not {problem!r}.")
    if controller is not None and preconditioner is not None and not controller.preconditioned:
        raise InputError("Polyak steps are Euclidean; pass preconditioner=None.")
    if controller is not None and preconditioner is None and controller.preconditioned:
        raise InputError("A one-norm measures Adam's steps; pass preconditioner=Adam().")
    seeds = _seeds(seeds)
    N = tableau.steps
    x1 = _start(problem.x1, (*tableau.batch, len(seeds)))
    if losses not in ("x", "xy", "xyz"):
        raise InputError(f"losses is 'x', 'xy' or 'xyz', not {losses!r}.")
    log = Log(
        N,
        record,
        losses=losses,
        shares=_shared_points(tableau),
        with_points=not (isinstance(record, str) and record == "losses"),
    )
    noise = Noise(problem, seeds, N + 1)
    sums = Certificates(problem)
    precondition = preconditioner.start() if preconditioner is not None else None
    seen: list[Any] = [None, None]  # value and gradient of the step in progress
    realised: list[tuple[Any, Any]] = []  # steps and weights of a controller

    def oracle(y: Any) -> Any:
        seen[:] = problem.oracle(y, noise.next())
        return seen[1]

    def base_step(gamma: Any, x: Any, y: Any, z: Any, g: Any) -> Any:
        return gamma * (g if precondition is None else precondition(g))

    def steer(controller: Policy) -> Iterator[tuple[Any, Any, Any, Any]]:
        f_star = _f_star(controller, problem) if controller.needs_f_star else None
        choose = controller.start()
        x = z = x1
        for t in range(N):
            scale, beta, c = (_at(part, t, x1) for part in (tableau.gamma, tableau.beta, tableau.c))
            y = mix(z, x, beta)
            g = oracle(y)
            gamma, chosen = choose(
                scale=scale if isinstance(scale, float) else scale[..., 0],
                gap=None if f_star is None else seen[0] - f_star,
                slope=dot(g, z - y),  # beta <g, z - x> = <g, z - y>
                squared_norm=dot(g, g),
                one_norm=abs(g).sum(-1),
                back=dot(g, x1 - z),
            )
            realised.append((host(gamma), tableau.c[..., t, None] if chosen is None else chosen))
            z = z - base_step(gamma[..., None], x, y, z, g)
            x = mix(x, z, c if chosen is None else chosen[..., None])
            yield x, y, z, g

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        x = z = x1
        c: Any = 0.0
        walk = iterate(tableau, x1, oracle, base_step) if controller is None else steer(controller)
        for t, (x_next, y, z_next, g) in enumerate(walk):
            sums.add(c, seen[0], g, x, y, z)
            log.add(t, problem, seen[0], g, x, y, z, sums)
            x, z = x_next, z_next
            c = tableau.c[..., t, None] if controller is None else realised[-1][1]
            if progress is not None:
                progress(t + 1, N)
        beta = tableau.beta[..., -1]
        y = mix(z, x, float(beta) if not tableau.batch else like_points(x, beta[..., None, None]))
        g = oracle(y)
        sums.add(c, seen[0], g, x, y, z)
        log.add(N, problem, seen[0], g, x, y, z, sums)

    if controller is not None:
        gamma, weights = (np.stack([host(r[i]) for r in realised], axis=-1) for i in (0, 1))
        tableau = Tableau(
            np.where(np.isfinite(gamma), gamma, 0),  # of a diverged run; it is marked
            tableau.beta[..., None, :],
            np.where(np.isfinite(weights), weights, 0),
        )
    return log.trajectory(problem, tableau, seeds)


def _resolve(method: Any, steps: int | None) -> tuple[Tableau, Any]:
    if isinstance(method, Tableau):
        if steps is not None and steps != method.steps:
            raise InputError(
                f"The tableau has N={method.steps} steps but steps={steps}; leave steps out."
            )
        return method, None
    if hasattr(method, "template"):
        if steps is None:
            raise InputError("A controller makes its own steps; pass steps=N to say how many.")
        return method.template(count("steps", steps)), method
    if hasattr(method, "tableau"):
        raise InputError(f"run needs a tableau: pass {type(method).__name__}(...).tableau(gamma).")
    raise InputError(
        f"run needs a Tableau or a controller, not {type(method).__name__}; steps become a tableau "
        f"by methods.LastIterate().tableau(gamma)."
    )


def _seeds(seeds: Any) -> tuple[int, ...]:
    if isinstance(seeds, (list, tuple, range, np.ndarray)):
        chosen = list(seeds)
    else:
        chosen = list(range(count("seeds", seeds)))
    if not chosen or not all(isinstance(s, (int, np.integer)) and s >= 0 for s in chosen):
        raise InputError(f"seeds must be how many, or a list of numbers >= 0, but got {seeds!r}.")
    return tuple(int(s) for s in chosen)


def _f_star(controller: Any, problem: Objective) -> float:
    own = getattr(controller, "f_star", None)
    f_star = own if own is not None else problem.f_star
    if f_star is None:
        constant(type(controller).__name__, "f_star", None)
    return float(f_star)  # pyright: ignore[reportArgumentType]


def _at(part: Any, t: int, like: Any) -> Any:
    """Entry t of a tableau's array: a float, or an array that fits the points of a batch."""
    if part.ndim == 1:
        return float(part[t])
    return like_points(like, part[..., t, None, None])


def _start(x1: Any, batch: tuple[int, ...]) -> Any:
    """x1 for every run; planar points are stored coordinate by coordinate, which ufuncs keep."""
    shape = (*batch, *x1.shape)
    if hasattr(x1, "expand"):
        return x1.expand(shape)
    x = np.broadcast_to(x1, shape)
    return np.moveaxis(np.moveaxis(x, -1, 0).copy(), 0, -1) if len(x1) <= PLANAR else x.copy()


def _shared_points(tableau: Tableau) -> dict[str, str]:
    """Which of x, y, z are the same point throughout, so that a loss is evaluated once."""
    if (tableau.c == 1).all():
        return {"y": "x", "z": "x"}
    if (tableau.beta == 0).all():
        return {"z": "y"}
    return {"y": "x"} if (tableau.beta == 1).all() else {}
