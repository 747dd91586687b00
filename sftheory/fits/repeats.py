"""Repeats of one run as one fit: an exponent or a floor in common, everything else their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sftheory.fits.laws.base import Array, Law, Rows
from sftheory.fits.noise import noise_of
from sftheory.fits.projection import optimum
from sftheory.fits.solution import Solution, solution_of


class Repeats(Law):
    r"""The law of R runs one after another: R columns A_i x(t; theta_i), zero on the other runs.

    With a common floor that is all. With a common exponent theta is (s_1, ..., s_R, p), and R - 1
    more columns let the floors differ.
    """

    def __init__(self, law: Law, runs: int, shared: str) -> None:
        self.law, self.runs, self.shared = law, runs, shared
        self.common = shared == "p"
        own = law.axes[:1] if self.common else law.axes
        self.axes = tuple(axis for axis in own for _ in range(runs))
        self.axes += law.axes[1:] if self.common else ()
        self.factors = tuple(f"a_{i}" for i in range(runs))
        if self.common:
            self.factors += tuple(f"c_{i} - c_0" for i in range(1, runs))
        self.names = (shared,)

    def part(self, theta: Array, i: int) -> Array:
        """The coordinates of run i, (B, m)."""
        own = theta[:, i :: self.runs]
        return np.concatenate([theta[:, i : i + 1], theta[:, -1:]], axis=1) if self.common else own

    def columns(self, theta: Array, rows: Rows) -> Array:
        found = np.zeros((len(theta), len(self.factors), len(rows.offset)))
        for i, (at, own) in enumerate(_parts(rows)):
            found[:, i, at] = self.law.columns(self.part(theta, i), own)[:, 0]
            if self.common and i:
                found[:, self.runs + i - 1, at] = 1
        return found

    def slopes(self, theta: Array, rows: Rows, columns: Array) -> Array:
        found = np.zeros((len(theta), theta.shape[1], *columns.shape[1:]))
        for i, (at, own) in enumerate(_parts(rows)):
            slope = self.law.slopes(self.part(theta, i), own, columns[:, i : i + 1, at])[:, :, 0]
            for j in range(slope.shape[1]):
                place = theta.shape[1] - 1 if self.common and j else i + j * self.runs
                found[:, place, i, at] = slope[:, j]
        return found

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        return {self.shared: np.exp(theta[-1]) if self.common else floor}


def _parts(rows: Rows) -> list[tuple[slice, Rows]]:
    ends = np.cumsum([0, *(len(own.offset) for own in rows.runs)])
    return [
        (slice(int(a), int(b)), own)
        for a, b, own in zip(ends[:-1], ends[1:], rows.runs, strict=True)
    ]


def fitted_together(solutions: Sequence[Solution], shared: str) -> tuple[Solution, float]:
    """The joint least-squares fit, each run weighted by the inverse variance of its own residuals.

    Args:
        solutions: the fits of the runs alone, by one law; they are the start.
        shared: "p" for a power law with a free exponent, or "c".

    Returns:
        The fit, and by how much its squared residuals exceed those of the runs alone, each in units
        of its run's variance.
    """
    law = Repeats(solutions[0].law, len(solutions), shared)
    own = [s.rows for s in solutions]
    rows = Rows(np.concatenate([r.offset for r in own]), 0.0, 1.0, tuple(own))
    step, loss = (
        np.concatenate([getattr(s, name) for s in solutions]) for name in ("step", "loss")
    )
    weight = np.concatenate(
        [(1.0 if s.weights is None else s.weights) * np.ones(len(s.step)) for s in solutions]
    )
    scale = np.concatenate([np.full(len(s.step), 1 / s.noise.sigma**2) for s in solutions])
    unit = weight.sum() / (weight @ scale)  # the mean weight is 1
    weights = (weight * scale * unit)[None]
    theta = np.array([s.theta for s in solutions])
    start = np.append(theta[:, 0], theta[:, 1].mean()) if law.common else theta.T.ravel()
    best = optimum(law, rows, loss[None], weights, start=start[None])
    found = solution_of(law, step, loss, rows, best, 0, weights)
    starts = np.cumsum([len(s.step) for s in solutions])[:-1]
    noise = noise_of(found.residual, weights[0], law.size, starts.tolist())
    rise = found.sse / unit - sum(s.sse / s.noise.sigma**2 for s in solutions)
    return replace(found, noise=noise), max(float(rise), 0.0)
