"""Variable projection: what enters linearly is eliminated, the rest is searched, in batches.

For a law c + Σ A_j x_j(theta) and fixed theta the best (A, c) is a linear least-squares fit. What
remains is SSE(theta), of one to four coordinates. A grid finds the basin of its least value, a
Levenberg-Marquardt iteration on the projected residual finds the value; no start is needed. All
that an iteration asks for are inner products of the columns, their slopes and the losses.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sftheory.fits.centring import Centred
from sftheory.fits.first_search import start_of
from sftheory.fits.laws.base import Array, Law, Rows
from sftheory.fits.one_curve import descend_one

ROUNDS = 200
SETTLED = 1e-18  # predicted fall of the SSE, relative: 1e-9 standard errors of a parameter
ROUNDING = 1e-14  # of the losses' squares: what inner products cannot tell from zero
SLOW = 0.1  # ratio of successive predicted falls from which on Gauss-Newton steps are too slow
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
class _Point:
    """The linear solution at theta: factors, SSE, gradient of SSE/2, Gauss-Newton curvature."""

    theta: Array
    factors: Array
    sse: Array
    gradient: Array
    curvature: Array

    def take(self, which: NDArray[np.bool_]) -> _Point:
        return _Point(*(getattr(self, field.name)[which] for field in fields(self)))

    def put(self, new: _Point, where: NDArray[np.int_], taken: NDArray[np.bool_]) -> None:
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(new, field.name)[taken]


def optimum(
    law: Law,
    rows: Rows,
    y: Array,
    weights: Array | None = None,
    start: Array | None = None,
) -> Optimum:
    """The least-squares fit of `law` to each curve.

    It ends with Newton steps where theta is hardly identified, so that Gauss-Newton steps are slow,
    or the fit so good that inner products have lost it.

    Args:
        law: which.
        rows: where the losses were measured; shared, or one row for each curve.
        y: (B, n), the losses.
        weights: (B, n) or (n,), >= 0; None is 1 for all.
        start: (B, m), in place of the grid.
    """
    centred = Centred(rows, y, weights)
    theta = start_of(law, centred) if start is None else start
    cuts = np.split(centred.every, range(BATCH, len(theta), BATCH))
    parts = [_descend(law, centred, theta[cut], cut) for cut in cuts]
    theta = np.concatenate(parts)
    slack = AT_BOUND * np.array([[1.0], [-1.0]])
    low, high = law.limits + slack if law.axes else np.zeros((2, 0))
    edge = np.stack([theta <= low, theta >= high], axis=1)
    bare = law.columns(theta, rows)
    columns = centred.centre(bare.copy(), centred.every)
    factors = _factors(columns, centred.y)
    residual = centred.y - np.einsum("bk,bkn->bn", factors, columns)
    sse = np.einsum("bn,bn->b", residual, residual)
    return Optimum(theta, factors, centred.floor(bare, factors), sse, edge)


def _factors(columns: Array, y: Array) -> Array:
    """Least-squares factors of `columns` (B, k, n) for y (B, n): (B, k)."""
    return _solve(columns @ np.swapaxes(columns, 1, 2), np.einsum("bkn,bn->bk", columns, y))


def _solve(gram: Array, side: Array) -> Array:
    """gram^-1 side for (B, k, k) and (B, k) or (B, k, l), scaled first."""
    if gram.shape[1] == 1:
        whole = gram[:, 0] if side.ndim == 2 else gram
        return side / np.where(whole == 0, 1.0, whole)
    size = np.sqrt(np.einsum("bkk->bk", gram))
    size[size == 0] = 1
    system = gram / size[:, :, None] / size[:, None]
    system = system + 1e-15 * np.eye(system.shape[-1])
    side = side[..., None] if side.ndim == 2 else side
    found = np.linalg.solve(system, side / size[..., None]) / size[..., None]
    return found[..., 0] if found.shape[-1] == 1 else found


def _at(
    law: Law, centred: Centred, theta: Array, which: NDArray[np.int_], exact: bool = False
) -> _Point:
    """Everything at theta from inner products; `exact` takes the gradient from the residuals."""
    B, m, k = *theta.shape, len(law.factors)
    vectors = centred.centre(law.stacked(theta, centred.of(which)), which)
    y = centred.y if len(which) == len(centred.y) else centred.y[which]
    gram = vectors @ np.swapaxes(vectors, 1, 2)
    side = (vectors @ y[..., None])[..., 0]
    factors = _solve(gram[:, :k, :k], side[:, :k])
    sse = centred.square[which] - np.einsum("bk,bk->b", factors, side[:, :k])
    if k == 1:
        moved = gram[:, 1:, 1:] * (factors**2)[:, None]
        across, along = gram[:, 1:, :1] * factors[:, None], side[:, 1:] * factors
    else:
        block = gram[:, k:].reshape(B, m, k, -1)
        block = np.einsum("bk,bmkv->bmv", factors, block)
        across = block[..., :k]
        moved = np.einsum("bk,bmlk->bml", factors, block[..., k:].reshape(B, m, m, k))
        along = np.einsum("bk,bmk->bm", factors, side[:, k:].reshape(B, m, k))
    if exact:
        residual = y - np.einsum("bk,bkn->bn", factors, vectors[:, :k])
        sse = np.einsum("bn,bn->b", residual, residual)
        gradient = -np.einsum(
            "bk,bmkn,bn->bm", factors, vectors[:, k:].reshape(B, m, k, -1), residual, optimize=True
        )
    else:
        gradient = np.einsum("bmk,bk->bm", across, factors) - along
    inner = np.einsum("bmk,blk->bml", across, _columnwise(gram[:, :k, :k], across))
    return _Point(theta, factors, np.maximum(sse, 0.0), gradient, moved - inner)


def _columnwise(gram: Array, across: Array) -> Array:
    """across gram^-1, (B, m, k)."""
    if gram.shape[1] == 1:
        return across / np.where(gram == 0, 1.0, gram)
    side = np.swapaxes(across, 1, 2)
    return np.swapaxes(_solve(gram, side).reshape(side.shape), 1, 2)


def _descend(law: Law, centred: Centred, theta: Array, which: NDArray[np.int_]) -> Array:
    """Levenberg-Marquardt on the projected residual; curves that have settled leave the batch."""
    if not law.axes:
        return theta
    if len(which) == 1 and len(law.factors) == 1 and len(law.axes) <= 2:
        limits = SETTLED, ROUNDING, SLOW, ROUNDS
        one, slow = descend_one(law, centred, int(which[0]), theta[0], limits)
        return _polished(law, centred, one[None], which) if slow else one[None]
    low, high = law.limits
    part, place, whole = _at(law, centred, theta, which), np.arange(len(which)), which
    found, slow = theta.copy(), np.zeros(len(theta), bool)
    damping, before = np.full(len(theta), 1e-6), np.full(len(theta), np.inf)
    lost = ROUNDING * centred.square[which]
    for _ in range(ROUNDS):
        step = _step(part, damping, low, high)
        promised = -(step * part.gradient).sum(axis=-1)
        moving = (promised > SETTLED * part.sse + ROUNDING * lost) & (damping < 1e12)
        if not moving.all():
            done = ~moving
            found[place[done]] = part.theta[done]
            slow[place[done]] = (promised > SLOW * before)[done] | (part.sse < 1e4 * lost)[done]
            which, place, lost = which[moving], place[moving], lost[moving]
            damping, before = damping[moving], before[moving]
            step, promised = step[moving], promised[moving]
            part = part.take(moving)
        if not len(which):
            break
        trial = _at(law, centred, np.clip(part.theta + step, low, high), which)
        better = trial.sse <= part.sse + lost
        damping = np.where(better, np.maximum(damping / 10, 1e-12), np.maximum(damping * 10, 1e-4))
        before = np.where(better, promised, before)
        if better.all():
            part = trial
        else:
            part.put(trial, np.flatnonzero(better), better)
    else:
        found[place], slow[place] = part.theta, True
    if slow.any():
        found[slow] = _polished(law, centred, found[slow], whole[slow])
    return found


def _step(point: _Point, damping: Array, low: Array, high: Array) -> Array:
    theta, gradient = point.theta, point.gradient
    m = theta.shape[1]
    held = ((theta <= low) & (gradient > 0)) | ((theta >= high) & (gradient < 0))
    own = np.einsum("bmm->bm", point.curvature)
    # a slope that the columns explain leaves rounding of either sign
    scale = np.sqrt(np.maximum(own, 1e-30 * np.abs(own).max(axis=1, keepdims=True) + 1e-300))
    if m == 1:
        step = -gradient / (scale**2 * (1 + damping[:, None]))
    else:
        system = point.curvature / scale[:, :, None] / scale[:, None]
        system = system + damping[:, None, None] * np.eye(m)
        system = np.where(held[:, :, None] | held[:, None], np.eye(m), system)
        side = np.where(held, 0.0, -gradient / scale)
        with np.errstate(over="ignore"):  # a column that hardly moves: the step is clipped
            step = np.linalg.solve(system, side[..., None])[..., 0] / scale
    step[held] = 0.0
    return np.clip(step, -2.0, 2.0)  # in logarithms: no more than a factor of e^2 at once


def _polished(law: Law, centred: Centred, theta: Array, which: NDArray[np.int_]) -> Array:
    """Newton steps on the exact gradient, its derivatives by differences; none past a bound."""
    m, h = theta.shape[1], 1e-5
    low, high = law.limits
    point = _at(law, centred, theta, which, exact=True)
    for _ in range(2):
        sides = [
            _at(law, centred, point.theta + move, which, exact=True).gradient
            for move in np.concatenate([h * np.eye(m), -h * np.eye(m)])
        ]
        hessian = np.stack([a - b for a, b in zip(sides[:m], sides[m:], strict=True)], axis=-1)
        hessian /= 2 * h
        least = np.linalg.eigvalsh((hessian + np.swapaxes(hessian, 1, 2)) / 2)[:, 0]
        good = (least > 0) & ((point.theta > low) & (point.theta < high)).all(axis=1)
        if not good.any():
            break
        step = np.zeros_like(point.theta)
        step[good] = -np.linalg.solve(hessian[good], point.gradient[good][..., None])[..., 0]
        trial = _at(law, centred, np.clip(point.theta + step, low, high), which, exact=True)
        # near the optimum the SSE is flat to rounding, so a smaller gradient decides
        small = np.abs(step).max(axis=1) < 1e-2
        better = good & small & (trial.sse <= point.sse * (1 + 1e-12))
        point.put(trial, np.flatnonzero(better), better)
    return point.theta
