r"""Very many modes as few: Gauss quadrature over the spectrum.

The second moments of a mode are u(λ) e² + v(λ) s², e its starting deviation and s² its noise. So
E f is a sum over modes of λ u(λ) e²/2 and λ v(λ) s²/2: two integrals of smooth functions of λ
against discrete measures. Modes whose λ lie within a factor RATIO form a group, and in each group
the rule with n nodes that is exact for polynomials of degree 2 n - 1 stands for all of its modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Nodes = tuple[Array, Array, Array, Array]
RATIO = 1.5


@dataclass(frozen=True, eq=False)
class Groups:
    """(λ, noise, start, weight) of the nodes, and of a coarser rule that says how good it is."""

    fine: Nodes
    coarse: Nodes


def group_modes(lam: Array, noise: Array, start: Array, nodes: int) -> Groups:
    """Rules of `nodes` and `nodes` - 1 nodes for each group, for the signal and for the noise.

    Args:
        lam: (d,), >= 0.
        noise: (d,), variances.
        start: (d,), deviations.
        nodes: n >= 2.
    """
    return Groups(_rule(lam, noise, start, nodes), _rule(lam, noise, start, nodes - 1))


def _rule(lam: Array, noise: Array, start: Array, nodes: int) -> Nodes:
    parts: list[Nodes] = []
    live = lam > 0  # a flat direction costs nothing
    if not live.any():
        return np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1)
    order = np.argsort(lam[live])
    sorted_lam = lam[live][order]
    edges = np.floor(np.log(sorted_lam / sorted_lam[-1]) / np.log(RATIO))
    for measure, unit in ((start[live] ** 2, (0.0, 1.0)), (noise[live], (1.0, 0.0))):
        mass = (measure * lam[live] / 2)[order]
        for group in np.split(np.arange(len(edges)), np.flatnonzero(np.diff(edges)) + 1):
            if mass[group].any():
                at, weight = _gauss(sorted_lam[group], mass[group], nodes)
                ones = np.ones(len(at))
                parts.append((at, unit[0] * ones, unit[1] * ones, weight))
    if not parts:  # nothing moves
        return np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1)
    lam_, noise_, start_, weight_ = (np.concatenate(column) for column in zip(*parts, strict=True))
    return lam_, noise_, start_, weight_


def _gauss(points: Array, mass: Array, nodes: int) -> tuple[Array, Array]:
    """The Gauss rule of a discrete measure, by Lanczos with reorthogonalisation."""
    kept = mass > 0
    points, mass = points[kept], mass[kept]
    if len(np.unique(points)) <= nodes:
        return points, mass
    total = mass.sum()
    centre, scale = points.mean(), np.ptp(points)
    x = (points - centre) / scale
    basis = [np.sqrt(mass / total)]
    alpha, beta = [], []
    for _ in range(nodes):
        step = x * basis[-1]
        alpha.append(float((step * basis[-1]).sum()))
        for q in basis:
            step = step - (step * q).sum() * q
        beta.append(float(np.sqrt((step * step).sum())))
        basis.append(step / beta[-1])
    matrix = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    at, vectors = np.linalg.eigh(matrix)
    return centre + scale * at, total * vectors[0] ** 2
