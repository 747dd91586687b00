"""What a run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.core.tableau import Tableau

if TYPE_CHECKING:
    import polars

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trajectory:
    r"""The recorded steps of a batch of runs.

    Shapes and units:
        Axes are (tableau batch..., seed, recorded step); points have one more, d. The recorded
        step t is the state after t steps, t = 0, ..., N: x_{t+1}, z_{t+1} and the y_{t+1} at which
        the next gradient was taken (after the last step one more is, with the last beta).
        loss_x, loss_y, loss_z: f there; None where `run` was told not to evaluate it.
        grad_norm: |g_{t+1}| at y_{t+1}, as sampled.
        x, y, z: the points, None unless they were recorded.
        diverged: whether the run had overflowed by then; losses and norms are inf from there on.
        certificate: Σ w_i A_i / Σ w_i with A_i = f(y_i) - f_star + beta_i <g_i, z_i - x_i>, None
            where f is not convex or f_star unknown; `bounds.certificate` says what it proves.
        linear_regret: Σ w_i <g_i, z_i - x_star> / Σ w_i, None where x_star is unknown.

    `tableau` is what was run; for a controller the realised one, with a seed axis.
    """

    problem: str
    tableau: Tableau
    seeds: tuple[int, ...]
    step: NDArray[np.int64]
    loss_x: Array
    loss_y: Array | None
    loss_z: Array | None
    grad_norm: Array
    diverged: NDArray[np.bool_]
    x: Array | None
    y: Array | None
    z: Array | None
    certificate: Array | None
    linear_regret: Array | None
    x_star: Array | None
    f_star: float | None
    stochastic: bool
    convex: bool

    def __repr__(self) -> str:
        return (
            f"Trajectory({self.problem}, N={self.tableau.steps}, axes {self.loss_x.shape}: "
            f"batch..., seed, recorded step)"
        )

    @property
    def gap_x(self) -> Array:
        """f(x) - f_star at every recorded step.

        Raises:
            InputError: the problem's least value is not known.
        """
        if self.f_star is None:
            raise InputError(f"{self.problem} has no known f_star, so a gap is not defined.")
        return self.loss_x - self.f_star

    def frame(self) -> polars.DataFrame:
        """A tidy table: one row for every run and recorded step.

        Columns: batch axes (`run` for one axis, `run_0`, `run_1`, ... for more), seed, step,
        loss_x, loss_y, loss_z, grad_norm, diverged, gap_x where f_star is known, and where points
        were recorded the norms
        x_norm, y_norm, z_norm and the points themselves as lists x, y, z.
        """
        import polars as pl

        shape = self.loss_x.shape
        axes = len(shape) - 2
        names = ["run"] if axes == 1 else [f"run_{i}" for i in range(axes)]
        index = np.indices(shape)
        columns: dict[str, Any] = {name: index[i].ravel() for i, name in enumerate(names)}
        columns["seed"] = np.asarray(self.seeds)[index[-2]].ravel()
        columns["step"] = self.step[index[-1]].ravel()
        for name in ("loss_x", "loss_y", "loss_z", "grad_norm", "diverged"):
            if getattr(self, name) is not None:
                columns[name] = getattr(self, name).ravel()
        if self.f_star is not None:
            columns["gap_x"] = self.gap_x.ravel()
        for name in ("x", "y", "z"):
            points = getattr(self, name)
            if points is not None:
                columns[f"{name}_norm"] = np.linalg.norm(points, axis=-1).ravel()
                columns[name] = list(points.reshape(-1, points.shape[-1]))
        return pl.DataFrame(columns)
