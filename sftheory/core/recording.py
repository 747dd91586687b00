"""What a run draws and what it keeps: noise, a-posteriori sums, and the recorded steps."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau, mix
from sftheory.core.trajectory import Trajectory

PLANAR = 4  # up to this dimension sums over coordinates are written out
BLOCK_BYTES = 96 << 20  # of noise drawn at a time: enough steps a call to amortise it
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


def like_points(x: Any, array: NDArray[np.float64]) -> Any:
    """`array` as what x is: a NumPy array or torch tensor of its type."""
    new_tensor = getattr(x, "new_tensor", None)
    return new_tensor(array.copy()) if new_tensor else array.astype(x.dtype)


def host(array: Any) -> NDArray[Any]:
    """A NumPy array of a NumPy array or of a torch tensor on any device."""
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)


def dot(a: Any, b: Any) -> Any:
    """Inner products along the last axis."""
    if a.shape[-1] > PLANAR:
        return (a * b).sum(-1)
    # NumPy sums a short last axis slowly: ten times so for the planar toys
    return sum(a[..., i] * b[..., i] for i in range(a.shape[-1]))


class Noise:
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


class Certificates:
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
        c = like_points(f, c) if isinstance(c, np.ndarray) else c
        if self._problem.f_star is not None:
            A = f - self._problem.f_star + dot(g, z - y)
            self.certificate = A if self.certificate is None else mix(self.certificate, A, c)
        if self._problem.x_star is not None:
            R = dot(g, z - self._problem.x_star)
            self.linear_regret = R if self.linear_regret is None else mix(self.linear_regret, R, c)


class Log:
    """Collects the recorded steps; buffers have the recorded step first, for contiguous writes."""

    def __init__(
        self, N: int, record: Any, shares: dict[str, str], with_points: bool, losses: str = "xyz"
    ) -> None:
        self._steps = _recorded_steps(record, N)
        self._row = {int(t): i for i, t in enumerate(self._steps)}
        self._with_points = with_points
        self._wanted = losses
        self._y_is_x = shares.get("y") == "x"
        self._shares = {name: source for name, source in shares.items() if name in losses}
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
        sums: Certificates,
    ) -> None:
        squared_norm = dot(g, g)
        if not np.isfinite(float((f + squared_norm).sum() + z.sum())):  # one number for the batch
            checked = f + squared_norm + dot(z, z)
            self._finite = self._finite & (checked - checked == 0)
        row = self._row.get(t)
        if row is None:
            return
        points = {"x": x, "y": y, "z": z}
        losses: dict[str, Any] = {} if problem.samples_loss else {"y": f}
        if self._y_is_x and losses:
            losses["x"] = f
        for name in ("x", "y", "z"):
            if name in self._shares or name not in self._wanted:
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
        value = host(value)
        if name not in self._buffers:
            self._buffers[name] = np.empty((len(self._steps), *value.shape), value.dtype)
        self._buffers[name][row] = value
        if self._finite is not True:
            self._buffers[name][row][~host(self._finite)] = np.inf

    def _mark(self, row: int, like: Any) -> None:
        if "diverged" not in self._buffers:
            self._buffers["diverged"] = np.zeros((len(self._steps), *like.shape), bool)
        if self._finite is not True:
            self._buffers["diverged"][row] = ~host(self._finite)

    def trajectory(
        self, problem: Objective, tableau: Tableau, seeds: tuple[int, ...]
    ) -> Trajectory:
        """The recorded axis goes last, before d, as a view."""
        views: dict[str, Any] = {
            name: np.moveaxis(buffer, 0, -2 if name in ("x", "y", "z") else -1)
            for name, buffer in self._buffers.items()
        }
        for name, source in self._shares.items():
            views[f"loss_{name}"] = views.get(f"loss_{source}")
        for name in "yz":
            views.setdefault(f"loss_{name}", None)
        optional = {k: views.pop(k, None) for k in ("x", "y", "z", "certificate", "linear_regret")}
        return Trajectory(
            problem=problem.name,
            tableau=tableau,
            seeds=seeds,
            step=self._steps,
            **views,
            **optional,
            x_star=None if problem.x_star is None else host(problem.x_star),
            f_star=problem.f_star,
            stochastic=bool(problem.stochastic),
            convex=bool(problem.convex),
        )


def _recorded_steps(record: Any, N: int) -> NDArray[np.int64]:
    if isinstance(record, str):
        if record not in ("losses", "all"):
            raise InputError(f"record={record!r} is not 'losses', 'all' or a list of steps.")
        return np.arange(N + 1)
    if not isinstance(record, (list, tuple, range, set, np.ndarray)):
        raise InputError(f"record={record!r} is not 'losses', 'all' or a list of steps.")
    chosen = np.unique(np.asarray(list(record)))
    whole = chosen.size and np.issubdtype(chosen.dtype, np.integer)
    if not whole or chosen[0] < 0 or chosen[-1] > N:
        raise InputError(f"record must be whole steps in 0..{N}, but got {list(record)!r}.")
    return chosen.astype(np.int64)
