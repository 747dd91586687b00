"""Run a tableau or a controller on a problem, batched over every leading axis at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError, constant, count
from sftheory.core.tableau import Tableau, iterate, mix
from sftheory.core.trajectory import Trajectory

PLANAR = 4  # up to this dimension sums over coordinates are written out
BLOCK_BYTES = 32 << 20  # of noise drawn at a time: enough steps a call to amortise it
GROUP = 64  # seeds whose noise is copied at once: one at a time would touch every line anew


class Objective(Protocol):
    """What `run` asks of a problem; `sftheory.problems.base.Problem` says what each part means."""

    x1: Any
    x_star: Any
    f_star: float | None
    name: Any
    convex: Any
    stochastic: Any
    samples_loss: Any

    def value(self, x: Any) -> Any: ...
    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]: ...
    def draw(self, rng: np.random.Generator, steps: int) -> Any: ...


class Policy(Protocol):
    """What `run` asks of a controller; `sftheory.methods.base.Controller` says what it means."""

    def template(self, N: int) -> Tableau: ...
    def step(self, *, gap: Any, slope: Any, squared_norm: Any) -> Any: ...


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
    if controller is not None and preconditioner is not None:
        raise InputError("Polyak steps are Euclidean; pass preconditioner=None.")
    seeds = _seeds(seeds)
    N = tableau.steps
    x1 = _start(problem.x1, (*tableau.batch, len(seeds)))
    log = _Log(
        N,
        record,
        shares=_shared_points(tableau),
        with_points=not (isinstance(record, str) and record == "losses"),
    )
    noise = _Noise(problem, seeds, N + 1)
    sums = _Certificates(problem)
    f_star = _f_star(controller, problem) if controller is not None else None
    precondition = preconditioner.start() if preconditioner is not None else None
    realised: list[Any] = []
    seen: list[Any] = [None, None]  # value and gradient of the step in progress

    def oracle(y: Any) -> Any:
        seen[:] = problem.oracle(y, noise.next())
        return seen[1]

    def base_step(gamma: Any, x: Any, y: Any, z: Any, g: Any) -> Any:
        if controller is not None:
            # beta <g, z - x> = <g, z - y>
            unit = controller.step(
                gap=seen[0] - f_star, slope=_dot(g, z - y), squared_norm=_dot(g, g)
            )
            gamma = gamma * unit[..., None]
            realised.append(_host(gamma[..., 0]))
        return gamma * (g if precondition is None else precondition(g))

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        x = z = x1
        c: Any = 0.0
        for t, (x_next, y, z_next, g) in enumerate(iterate(tableau, x1, oracle, base_step)):
            sums.add(c, seen[0], g, x, y, z)
            log.add(t, problem, seen[0], g, x, y, z, sums)
            x, z, c = x_next, z_next, tableau.c[..., t, None]
            if progress is not None:
                progress(t + 1, N)
        beta = tableau.beta[..., -1]
        y = mix(z, x, float(beta) if not tableau.batch else _like(x, beta[..., None, None]))
        g = oracle(y)
        sums.add(c, seen[0], g, x, y, z)
        log.add(N, problem, seen[0], g, x, y, z, sums)

    if controller is not None:
        gamma = np.stack(realised, axis=-1)
        tableau = Tableau(
            np.where(np.isfinite(gamma), gamma, 0),  # of a diverged run; it is marked
            tableau.beta[..., None, :],
            tableau.c[..., None, :],
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
    raise InputError(f"run needs a Tableau or a controller, not {method!r}.")


def _seeds(seeds: Any) -> tuple[int, ...]:
    chosen = (
        list(range(count("seeds", seeds))) if isinstance(seeds, (int, np.integer)) else list(seeds)
    )
    if not chosen or not all(isinstance(s, (int, np.integer)) and s >= 0 for s in chosen):
        raise InputError(f"seeds must be how many, or a list of numbers >= 0, but got {seeds!r}.")
    return tuple(int(s) for s in chosen)


def _f_star(controller: Any, problem: Objective) -> float:
    own = getattr(controller, "f_star", None)
    f_star = own if own is not None else problem.f_star
    if f_star is None:
        constant(type(controller).__name__, "f_star", None)
    return float(f_star)  # pyright: ignore[reportArgumentType]


def _start(x1: Any, batch: tuple[int, ...]) -> Any:
    """x1 for every run; planar points are stored coordinate by coordinate, which ufuncs keep."""
    shape = (*batch, *x1.shape)
    if hasattr(x1, "expand"):
        return x1.expand(shape)
    x = np.broadcast_to(x1, shape)
    return np.moveaxis(np.moveaxis(x, -1, 0).copy(), 0, -1) if len(x1) <= PLANAR else x.copy()


def _like(x: Any, array: NDArray[np.float64]) -> Any:
    new_tensor = getattr(x, "new_tensor", None)
    return new_tensor(array.copy()) if new_tensor else array.astype(x.dtype)


def _host(array: Any) -> NDArray[Any]:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)


def _dot(a: Any, b: Any) -> Any:
    if a.shape[-1] > PLANAR:
        return (a * b).sum(-1)
    # NumPy sums a short last axis slowly: ten times so for the planar toys
    return sum(a[..., i] * b[..., i] for i in range(a.shape[-1]))


def _shared_points(tableau: Tableau) -> dict[str, str]:
    """Which of x, y, z are the same point throughout, so that a loss is evaluated once."""
    if (tableau.c == 1).all():
        return {"y": "x", "z": "x"}
    if (tableau.beta == 0).all():
        return {"z": "y"}
    return {"y": "x"} if (tableau.beta == 1).all() else {}


class _Noise:
    """The noise of step t for every seed, a function of (seed, t) alone, drawn in blocks."""

    def __init__(self, problem: Objective, seeds: tuple[int, ...], steps: int) -> None:
        self._problem = problem
        self._rngs = [np.random.default_rng(s) for s in seeds] if problem.stochastic else []
        self._left = steps
        self._block: Any = ()
        self._at = 0

    def next(self) -> Any:
        """(seed, ...), or None without noise."""
        if not self._rngs:
            return None
        if self._at == len(self._block):
            self._draw()
        self._at += 1
        return self._block[self._at - 1]

    def _draw(self) -> None:
        sample = self._problem.draw(np.random.default_rng(0), 1)
        size = min(self._left, max(1, BLOCK_BYTES // (sample.nbytes * len(self._rngs))))
        shape = (len(self._rngs), *sample.shape[1:])
        block = np.empty((size, *shape), sample.dtype)

        for low in range(0, len(self._rngs), GROUP):
            columns = [self._problem.draw(rng, size) for rng in self._rngs[low : low + GROUP]]
            block[:, low : low + GROUP] = np.moveaxis(np.asarray(columns), 0, 1)
        self._left -= size
        self._block, self._at = block, 0


class _Certificates:
    r"""The a-posteriori sums, averaged as the points are: C <- (1 - c) C + c A.

    A_t = f(y_t) - f_star + beta_t <g_t, z_t - x_t> and <g_t, z_t - x_star>; `bounds.certificate`
    and `bounds.online_to_batch_run` say what they bound.
    """

    def __init__(self, problem: Objective) -> None:
        self._problem = problem
        self.certificate: Any = None
        self.linear_regret: Any = None

    def add(self, c: Any, f: Any, g: Any, x: Any, y: Any, z: Any) -> None:
        if not self._problem.convex:
            return
        c = _like(f, c) if isinstance(c, np.ndarray) else c
        if self._problem.f_star is not None:
            A = f - self._problem.f_star + _dot(g, z - y)
            self.certificate = A if self.certificate is None else mix(self.certificate, A, c)
        if self._problem.x_star is not None:
            R = _dot(g, z - self._problem.x_star)
            self.linear_regret = R if self.linear_regret is None else mix(self.linear_regret, R, c)


class _Log:
    """Collects the recorded steps; buffers have the recorded step first, for contiguous writes."""

    def __init__(self, N: int, record: Any, shares: dict[str, str], with_points: bool) -> None:
        self._steps = _recorded_steps(record, N)
        self._row = {int(t): i for i, t in enumerate(self._steps)}
        self._shares, self._with_points = shares, with_points
        self._buffers: dict[str, NDArray[Any]] = {}
        self._finite: Any = True

    def add(
        self,
        t: int,
        problem: Objective,
        f: Any,
        g: Any,
        x: Any,
        y: Any,
        z: Any,
        sums: _Certificates,
    ) -> None:
        squared_norm = _dot(g, g)
        if not np.isfinite(float((f + squared_norm).sum() + z.sum())):  # one number for the batch
            checked = f + squared_norm + _dot(z, z)
            self._finite = self._finite & (checked - checked == 0)
        row = self._row.get(t)
        if row is None:
            return
        points = {"x": x, "y": y, "z": z}
        losses: dict[str, Any] = {} if problem.samples_loss else {"y": f}
        if self._shares.get("y") == "x" and losses:
            losses["x"] = f
        for name in ("x", "y", "z"):
            if name in self._shares:
                continue
            loss = losses.get(name)
            self._put(row, f"loss_{name}", problem.value(points[name]) if loss is None else loss)
        self._put(row, "grad_norm", squared_norm**0.5)
        self._mark(row, f)
        for name in ("certificate", "linear_regret"):
            if getattr(sums, name) is not None:
                self._put(row, name, getattr(sums, name))
        if self._with_points:
            for name, point in points.items():
                self._put(row, name, point)

    def _put(self, row: int, name: str, value: Any) -> None:
        value = _host(value)
        if name not in self._buffers:
            self._buffers[name] = np.empty((len(self._steps), *value.shape), value.dtype)
        self._buffers[name][row] = value
        if self._finite is not True:
            self._buffers[name][row][~_host(self._finite)] = np.inf

    def _mark(self, row: int, like: Any) -> None:
        if "diverged" not in self._buffers:
            self._buffers["diverged"] = np.zeros((len(self._steps), *like.shape), bool)
        if self._finite is not True:
            self._buffers["diverged"][row] = ~_host(self._finite)

    def trajectory(
        self, problem: Objective, tableau: Tableau, seeds: tuple[int, ...]
    ) -> Trajectory:
        """The recorded axis goes last, before d, as a view."""
        views: dict[str, Any] = {
            name: np.moveaxis(buffer, 0, -2 if name in ("x", "y", "z") else -1)
            for name, buffer in self._buffers.items()
        }
        for name, source in self._shares.items():
            views[f"loss_{name}"] = views[f"loss_{source}"]
        optional = {k: views.pop(k, None) for k in ("x", "y", "z", "certificate", "linear_regret")}
        return Trajectory(
            problem=problem.name,
            tableau=tableau,
            seeds=seeds,
            step=self._steps,
            **views,
            **optional,
            x_star=None if problem.x_star is None else _host(problem.x_star),
            f_star=problem.f_star,
            stochastic=bool(problem.stochastic),
            convex=bool(problem.convex),
        )


def _recorded_steps(record: Any, N: int) -> NDArray[np.int64]:
    if isinstance(record, str):
        if record not in ("losses", "all"):
            raise InputError(f"record={record!r} is not 'losses', 'all' or a list of steps.")
        return np.arange(N + 1)
    chosen = np.unique(np.asarray(list(record)))
    whole = chosen.size and np.issubdtype(chosen.dtype, np.integer)
    if not whole or chosen[0] < 0 or chosen[-1] > N:
        raise InputError(f"record must be whole steps in 0..{N}, but got {list(record)!r}.")
    return chosen.astype(np.int64)
