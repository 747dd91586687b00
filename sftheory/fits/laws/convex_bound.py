"""The convex bound on the last iterate, read as a law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sftheory.fits.laws import LAWS
from sftheory.fits.laws.base import Array, Axis, Law, Rows
from sftheory.fits.laws.schedule import Seen, Units

NONE = 1e-100  # a distance whose square is nothing beside the norms


@LAWS.register(
    ref="schaipp2025",
    tex=r"c + \tfrac12 \Big[ \frac{D^2}{S_1} + \sum_{k < t} \frac{\eta_k^2 G_k^2}{S_{k+1}}"
    r" + \eta_t G_t^2 \Big], \quad S_k = \textstyle\sum_{i=k..t} \eta_i, \ G_k = G k^{-q}",
)
class ConvexBound(Law):
    r"""c + Ω, the bound on the last iterate of convex Lipschitz problems, with norms G k^-q.

    Linear in (c, D², G²). The rates are those of the run, not gamma_0 times a shape, so that D and
    G have units; they are no distance and no norm of the network. A step of zero moves nothing.
    """

    factors = ("D", "G")
    axes = (Axis("q", 6, (0.01, 1.0), (1e-4, 3.0)),)
    names = ("D", "G", "q", "c")
    needs_rate = True
    nonnegative = True

    def columns(self, theta: Array, rows: Rows) -> Array:
        units, *runs = rows.runs
        distance = np.concatenate([0.5 / run.total for run in runs])
        noise = [
            np.concatenate([_noise(run, units, lambda k, q=q: k**-q) for run in runs])
            for q in np.exp(theta[:, 0])
        ]
        return np.stack([np.broadcast_to(distance, np.shape(noise)), noise], axis=1)

    def slopes(self, theta: Array, rows: Rows, columns: Array) -> Array:
        units, *runs = rows.runs
        found = np.zeros((len(theta), 1, *columns.shape[1:]))
        for one, q in zip(found, np.exp(theta[:, 0]), strict=True):
            # d/dq of k^-2q is -2 log(k) k^-2q, a square again where k <= 1
            def norms(k: Array, q: float = q) -> Array:
                return k**-q * np.sqrt(np.maximum(-2 * np.log(k), NONE))

            one[0, 1] = q * np.concatenate([_noise(run, units, norms) for run in runs])
        return found

    def parameters(self, theta: Any, factors: Any, floor: Any, rows: Rows) -> dict[str, Any]:
        units, q = rows.runs[0], np.exp(theta[0])
        return {
            "D": np.sqrt(factors[0] * units.travel),
            "G": np.sqrt(factors[1] / units.rate) * np.exp(q * np.log(units.steps)),
            "q": q,
            "c": floor,
        }


def _noise(run: Seen, units: Units, norms: Callable[[Array], Array]) -> Array:
    """Ω without its first term at the rows of a run; `norms` are functions of k / T, T the longest.

    A row with a rate of zero is where the last step of a positive rate left the point.
    """
    from sftheory.bounds import omega

    eta, spacing = run.schedule.rates / units.rate, run.schedule.spacing
    moves = np.flatnonzero(eta > 0)
    G = norms(np.maximum(moves, 1) * spacing / units.steps)
    ends = omega(eta[moves[:-1]], D=NONE, G=G, last=eta[moves[-1]], horizons="all")
    last = np.searchsorted(moves, run.schedule.entries(run.step), side="right")
    return ends[last - 2]  # the first of them is that of two steps
