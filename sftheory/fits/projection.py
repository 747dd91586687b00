"""Variable projection: what enters linearly is eliminated, the rest is searched, in batches.

For a law c + Σ A_j x_j(theta) and fixed theta the best (A, c) is a linear least-squares fit. What
remains is SSE(theta), of one to four coordinates. A grid finds the basin of its least value, a
Levenberg-Marquardt iteration on the projected residual finds the value; no start is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.laws.base import Array, Law, Rows

ROUNDS = 200
SETTLED = 1e-16  # predicted fall of the SSE, relative: 1e-7 standard errors of a parameter
AT_BOUND = 1e-9
BATCH = 200


@dataclass(frozen=True)
class Optimum:
    """The best fit of B curves.

    theta (B, m) are logarithms of scaled coordinates, factors (B, k), floor (B,), sse (B,).
    `edge` (B, 2, m) says which coordinates stopped at their lower and upper bound.
    """

    theta: Array
    factors: Array
    floor: Array
    sse: Array
    edge: NDArray[np.bool_]


@dataclass
class _State:
    """The linear solution at theta: columns, bare and centred, residuals, SSE."""

    theta: Array
    bare: Array
    columns: Array
    factors: Array
    residual: Array
    sse: Array


def optimum(
    law: Law,
    rows: Rows,
    y: Array,
    weights: Array | None = None,
    start: Array | None = None,
    polish: bool = True,
) -> Optimum:
    """The least-squares fit of `law` to each curve.

    Args:
        law: which.
        rows: where the losses were measured; shared, or one row for each curve.
        y: (B, n), the losses.
        weights: (B, n) or (n,), >= 0; None is 1 for all.
        start: (B, m), in place of the grid.
        polish: end with Newton steps, which pays where theta is hardly identified: there the
            Gauss-Newton steps before it are slow.
    """
    centred = _Centred(rows, y, weights)
    state = _solve(law, centred, _grid(law, centred) if start is None else start)
    if polish and law.axes:
        state = _polished(law, centred, state)
    slack = AT_BOUND * np.array([[1.0], [-1.0]])
    low, high = law.limits + slack if law.axes else np.zeros((2, 0))
    edge = np.stack([state.theta <= low, state.theta >= high], axis=1)
    # what a sum of squared differences loses to cancellation the residuals keep
    floor = centred.floor(state.bare, state.factors)
    return Optimum(state.theta, state.factors, floor, state.sse, edge)


class _Centred:
    """Rows with their weighted means removed and multiplied by the roots of the weights."""

    def __init__(self, rows: Rows, y: Array, weights: Array | None) -> None:
        self.rows, self.losses = rows, y
        self.weights = None if weights is None else np.broadcast_to(weights, y.shape)
        self.root = None if self.weights is None else np.sqrt(self.weights)
        if self.weights is None:
            self.share = None
        else:
            self.share = self.weights / self.weights.sum(axis=-1, keepdims=True)
        self.every = np.arange(len(y))
        self.y = self.centre(y, self.every)

    def centre(self, v: Array, which: NDArray[np.int_]) -> Array:
        """v (B, ..., n) of the curves `which`, centred and weighted."""
        if self.share is None or self.root is None:
            return v - v.mean(axis=-1, keepdims=True)
        lead = (len(which), *[1] * (v.ndim - 2), -1)
        share, root = self.share[which].reshape(lead), self.root[which].reshape(lead)
        return (v - (v * share).sum(axis=-1, keepdims=True)) * root

    def floor(self, columns: Array, factors: Array) -> Array:
        """c: the weighted mean of what the columns leave."""
        rest = self.losses - np.einsum("bk,bkn->bn", factors, columns)
        return rest.mean(axis=-1) if self.share is None else (rest * self.share).sum(axis=-1)

    def of(self, which: NDArray[np.int_]) -> Rows:
        """The rows of the curves `which`."""
        rows = self.rows
        if rows.offset.ndim == 1 or len(which) == len(self.every):
            return rows
        first, unit = (
            v[which] if np.ndim(v) and len(v) > 1 else v for v in (rows.first, rows.unit)
        )
        return Rows(rows.offset[which], first, unit, rows.runs)


def _grid(law: Law, centred: _Centred) -> Array:
    """The point of the first search with the least SSE, for each curve; (B, m)."""
    points = law.starts
    shared = centred.rows.offset.ndim == 1 and (
        centred.weights is None or len(centred.y) == 1 or not np.ptp(centred.weights, axis=0).any()
    )
    groups = [centred.every] if shared else list(centred.every[:, None])
    best = np.empty((len(centred.y), points.shape[1]))
    for group in groups:
        one = group[:1]
        columns = law.columns(points, centred.of(one))
        explained = _explained(centred.centre(columns, np.repeat(one, len(points))), centred, group)
        top = np.argmax(explained, axis=0)
        best[group] = points[top]
        if len(law.axes) == 1:
            best[group, 0] += _parabola(explained, top) * (points[1, 0] - points[0, 0])
    return best


def _parabola(values: Array, top: NDArray[np.int_]) -> Array:
    """Where the parabola through the largest value and its neighbours peaks, in grid steps."""
    inner = np.clip(top, 1, len(values) - 2)
    left, middle, right = (values[inner + k, np.arange(len(top))] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where((bend < 0) & (inner == top), (left - right) / (2 * bend), 0.0)
    return np.clip(shift, -1.0, 1.0)


def _explained(columns: Array, centred: _Centred, group: NDArray[np.int_]) -> Array:
    """Sum of squares that each point of the grid explains of each curve, (points, B)."""
    if columns.shape[1] == 1:
        unit = columns[:, 0] / np.linalg.norm(columns[:, 0], axis=-1, keepdims=True)
        return (unit @ centred.y[group].T) ** 2
    basis = np.linalg.qr(np.swapaxes(columns, 1, 2))[0]
    return ((centred.y[group] @ basis) ** 2).sum(axis=-1)


def _linear(law: Law, centred: _Centred, theta: Array, which: NDArray[np.int_]) -> _State:
    bare = law.columns(theta, centred.of(which))
    columns = centred.centre(bare, which)
    y = centred.y if len(which) == len(centred.y) else centred.y[which]
    factors = _factors(columns, y)
    residual = y - np.einsum("bk,bkn->bn", factors, columns)
    return _State(
        theta, bare, columns, factors, residual, np.einsum("bn,bn->b", residual, residual)
    )


def _factors(columns: Array, target: Array) -> Array:
    """Least-squares factors of `columns` (B, k, n) for `target` (B, ..., n): (B, ..., k)."""
    if columns.shape[1] == 1:
        square = np.einsum("bkn,bkn->bk", columns, columns)
        square[square == 0] = 1
        spec = "bkn,bn->bk" if target.ndim == 2 else "bkn,bmn->bmk"
        return np.einsum(spec, columns, target) / (square if target.ndim == 2 else square[:, None])
    size = np.sqrt(np.einsum("bkn,bkn->bk", columns, columns))
    size[size == 0] = 1
    lead = (len(columns), *[1] * (target.ndim - 2), -1)
    along = np.einsum("bkn,b...n->b...k", columns, target) / size.reshape(lead)
    if columns.shape[1] > 1:
        gram = np.einsum("bkn,bln->bkl", columns, columns) / size[:, :, None] / size[:, None]
        gram[:, *np.diag_indices(gram.shape[-1])] += 1e-15
        flat = along.reshape(len(columns), -1, columns.shape[1])
        along = np.swapaxes(np.linalg.solve(gram, np.swapaxes(flat, 1, 2)), 1, 2).reshape(
            along.shape
        )
    return along / size.reshape(lead)


def _solve(law: Law, centred: _Centred, theta: Array) -> _State:
    """The least SSE near theta, for as many curves at a time as a processor's cache holds."""
    cuts = np.split(centred.every, range(BATCH, len(theta), BATCH))
    parts = [_descend(law, centred, theta[cut], cut) for cut in cuts]
    if len(parts) == 1:
        return parts[0]
    names = _State.__dataclass_fields__
    return _State(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _descend(law: Law, centred: _Centred, theta: Array, which: NDArray[np.int_]) -> _State:
    """Levenberg-Marquardt on the projected residual; curves that have settled leave the batch."""
    state = _linear(law, centred, theta, which)
    if not law.axes:
        return state
    part, place = state, np.arange(len(which))
    damping = np.full(len(theta), 1e-6)
    low, high = law.limits
    gradient, curvature = _model(law, centred, part, which)
    for _ in range(ROUNDS):
        held = ((part.theta <= low) & (gradient > 0)) | ((part.theta >= high) & (gradient < 0))
        step = _step(gradient, curvature, damping, held)
        promised = -(step * gradient).sum(axis=-1)
        moving = (promised > SETTLED * part.sse) & (damping < 1e12)
        if not moving.all():
            which, place = which[moving], place[moving]
            damping, step = damping[moving], step[moving]
            part, gradient, curvature = _pick(part, moving), gradient[moving], curvature[moving]
        if not len(which):
            break
        trial = _linear(law, centred, np.clip(part.theta + step, low, high), which)
        better = trial.sse <= part.sse
        damping = np.where(better, np.maximum(damping / 10, 1e-12), np.maximum(damping * 10, 1e-4))
        _put(state, trial, place[better], better)
        if better.all():
            part = trial
        else:
            _put(part, trial, np.flatnonzero(better), better)
        gradient, curvature = _model(law, centred, part, which)
    return state


def _polished(law: Law, centred: _Centred, state: _State) -> _State:
    """Newton steps on the exact gradient, its derivatives by differences; none past a bound."""
    m, h = state.theta.shape[1], 1e-5
    low, high = law.limits
    for _ in range(2):

        def gradient(theta: Array) -> Array:
            return _model(law, centred, _linear(law, centred, theta, centred.every), centred.every)[
                0
            ]

        here = gradient(state.theta)
        hessian = np.stack(
            [gradient(state.theta + e) - gradient(state.theta - e) for e in h * np.eye(m)], axis=-1
        ) / (2 * h)
        least = np.linalg.eigvalsh((hessian + np.swapaxes(hessian, 1, 2)) / 2)[:, 0]
        good = (least > 0) & ((state.theta > low) & (state.theta < high)).all(axis=1)
        if not good.any():
            return state
        step = np.zeros_like(state.theta)
        step[good] = -np.linalg.solve(hessian[good], here[good][..., None])[..., 0]
        trial = _linear(law, centred, np.clip(state.theta + step, low, high), centred.every)
        # near the optimum the SSE is flat to rounding, so a smaller gradient decides
        small = np.abs(step).max(axis=1) < 1e-2
        better = good & small & (trial.sse <= state.sse * (1 + 1e-12))
        _put(state, trial, np.flatnonzero(better), better)
    return state


def _model(
    law: Law, centred: _Centred, state: _State, which: NDArray[np.int_]
) -> tuple[Array, Array]:
    """Gradient of SSE/2 by theta, exact, and its Gauss-Newton curvature."""
    slopes = law.slopes(state.theta, centred.of(which), state.bare)
    moved = centred.centre(np.einsum("bk,bmkn->bmn", state.factors, slopes), which)
    gradient = -np.einsum("bmn,bn->bm", moved, state.residual)
    moved = moved - np.einsum("bmk,bkn->bmn", _factors(state.columns, moved), state.columns)
    return gradient, np.einsum("bmn,bln->bml", moved, moved)


def _step(gradient: Array, curvature: Array, damping: Array, held: NDArray[np.bool_]) -> Array:
    m = gradient.shape[1]
    scale = np.sqrt(np.maximum(np.einsum("bmm->bm", curvature), 1e-300))
    system = curvature / scale[:, :, None] / scale[:, None] + damping[:, None, None] * np.eye(m)
    system = np.where(held[:, :, None] | held[:, None], np.eye(m), system)
    side = np.where(held, 0.0, -gradient / scale)
    step = np.linalg.solve(system, side[..., None])[..., 0] / scale
    return np.clip(step, -2.0, 2.0)  # in logarithms: no more than a factor of e^2 at once


def _pick(state: _State, which: NDArray[np.bool_]) -> _State:
    return _State(*(getattr(state, name)[which] for name in _State.__dataclass_fields__))


def _put(state: _State, new: _State, where: NDArray[np.int_], taken: NDArray[np.bool_]) -> None:
    for name in _State.__dataclass_fields__:
        getattr(state, name)[where] = getattr(new, name)[taken]
