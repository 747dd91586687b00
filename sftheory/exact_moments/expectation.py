"""`moments`: exact averages over the noise, of every tableau, without sampling."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, count, numbers, real
from sftheory.core.tableau import Tableau
from sftheory.exact_moments.grouping import Groups, group_modes
from sftheory.exact_moments.recursion import by_arrays, compiled
from sftheory.exact_moments.stability import threshold_broken

Array = NDArray[np.float64]
TOTALS = ("loss_x", "loss_y", "loss_z", "bias_x", "bias_y", "bias_z")
PER_MODE = ("mean_x", "mean_z", "second_x", "second_z", "second_zx")
KEPT = 50  # steps at which per-mode moments are kept, by default


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Exact first and second moments of a tableau on a noisy quadratic.

    Shapes:
        loss_x, loss_y, loss_z: (..., N + 1), E f - f_star after t steps. bias_x, bias_y, bias_z:
        the same of the mean trajectory; loss - bias is the variance's part.
        step: (K,), where per-mode moments are kept. mean_x, mean_z, second_x, second_z, second_zx:
        (..., K, d), of deviations from x_star; None for grouped modes.
        error: (...,), an estimate of what grouping the modes changed at most, relative; 0 without.
        unstable: (...,), whether some mode grows without bound at the method's last settings
        (`threshold`, γ_N λ_max over the largest stable value, is above 1), or the run overflowed.
        multiplicative, momentum: what the run was given, the problem's part included.
    Axes in front are the tableau's batch.
    """

    loss_x: Any
    loss_y: Any
    loss_z: Any
    bias_x: Any
    bias_y: Any
    bias_z: Any
    step: NDArray[np.int64]
    mean_x: Any
    mean_z: Any
    second_x: Any
    second_z: Any
    second_zx: Any
    error: Any
    unstable: Any
    threshold: Any
    multiplicative: float = 0.0
    momentum: float = 0.0

    @property
    def variance_x(self) -> Any:
        """loss_x - bias_x, (..., N + 1); inf where the run has overflowed."""
        if not isinstance(self.loss_x, np.ndarray):
            return self.loss_x - self.bias_x
        finite = np.isfinite(self.loss_x)
        return np.subtract(
            self.loss_x, self.bias_x, out=np.full(self.loss_x.shape, np.inf), where=finite
        )

    def __repr__(self) -> str:
        return f"Moments(N={self.loss_x.shape[-1] - 1}, batch {self.loss_x.shape[:-1]})"


def moments(
    problem: Any,
    tableau: Tableau,
    *,
    multiplicative: float = 0.0,
    momentum: float = 0.0,
    keep: ArrayLike | None = None,
    group: int | None = None,
) -> Moments:
    r"""Exact mean and second moments of a tableau on a quadratic with gradient noise.

    Problem: f(x) = ½ Σ λ_i (x_i - x_star_i)², gradients λ (y - x_star) + ξ with E ξ = 0,
        E ξ_i² = noise_i² + κ λ_i² E y_i² + (λ_i / B) Σ_j λ_j E y_j²; κ is `multiplicative`, the
        last term is a problem's `batch` (least squares on Gaussian rows, where κ is 1/B as well).
    Update: the tableau's, with m_t = μ m_{t-1} + (1 - μ) g_t in place of the gradient; μ is
        `momentum`. Steps, weights and β do not depend on the noise.
    Cost: O(d N), compiled; some nanoseconds for a mode and a step.

    Args:
        problem: NoisyQuadratic, Quadratic, PowerLawRegression, or anything with `eigenvalues`,
            `noise`, `x1`, `x_star` as (d,). Torch tensors stay tensors, on their device.
        tableau: any; a batch of methods runs as a batch.
        multiplicative: >= 0.
        momentum: in [0, 1), inside the method.
        keep: steps 0, ..., N at which per-mode moments are kept; None takes some 50, log-spaced.
        group: Gauss nodes for each group of modes (6 is good), for very many modes; the totals
            are then approximate, `error` says how. None runs every mode.

    Raises:
        InputError: momentum or multiplicative is out of range, or the problem is no diagonal
            quadratic.

    References: zhang2019 for the model.

    Example:
        >>> from sftheory import methods, problems
        >>> problem = problems.NoisyQuadratic(eigenvalues=[2.0], noise=1.0, x1=0.0)
        >>> sgd = methods.LastIterate().tableau(np.full(2000, 0.1))
        >>> at_rest = 0.1 / (2 * (2 - 0.1 * 2.0))  # γ s² / (2 (2 - γ λ))
        >>> bool(abs(moments(problem, sgd).loss_x[-1] / at_rest - 1) < 1e-12)
        True
    """
    if not isinstance(tableau, Tableau):
        raise InputError(
            f"moments needs a Tableau, but got {type(tableau).__name__}; call a method's "
            f"tableau(gamma) first (a controller's steps depend on the noise)."
        )
    mu = real("momentum", momentum, 0)
    if mu >= 1:
        raise InputError(f"momentum must be in [0, 1), but got {momentum!r}.")
    kappa = real("multiplicative", multiplicative, 0) + getattr(problem, "multiplicative", 0.0)
    lam, noise, start = _modes(problem)
    mixing = getattr(problem, "mixing", 0.0)
    steps = _kept(keep, tableau.steps)
    if not isinstance(lam, np.ndarray):
        if group is not None:
            raise InputError("Tensors cannot be grouped; pass group=None, or NumPy arrays.")
        return _on_tensors(lam, noise, start, tableau, kappa, mixing, mu, steps)
    groups = None
    if group is not None:
        if mixing:
            raise InputError("Modes that share minibatch noise cannot be grouped; pass group=None.")
        groups = group_modes(lam, noise, start, count("group", group, 2))
    rows = [
        _one(lam, noise, start, tableau[i], kappa, mixing, mu, steps, groups)
        for i in np.ndindex(*tableau.batch)
    ]
    broken = np.array([threshold_broken(tableau[i], lam, mu) for i in np.ndindex(*tableau.batch)])
    overflowed = np.array([not np.isfinite(row[0]).all() for row in rows])

    def gather(parts: list[Any]) -> Any:
        stacked = np.array(parts)
        return stacked.reshape((*tableau.batch, *stacked.shape[1:]))

    losses = gather([row[0] for row in rows])
    per_mode: dict[str, Any] = dict.fromkeys(PER_MODE)
    if groups is None:
        means, seconds = gather([row[1] for row in rows]), gather([row[2] for row in rows])
        per_mode = {
            "mean_z": means[..., 0, :, :],
            "mean_x": means[..., 1, :, :],
            "second_z": seconds[..., 0, :, :],
            "second_zx": seconds[..., 1, :, :],
            "second_x": seconds[..., 2, :, :],
        }
    return Moments(
        **{name: losses[..., i] for i, name in enumerate(TOTALS)},
        step=steps,
        **per_mode,
        error=gather([row[3] for row in rows]),
        unstable=gather(list((broken > 1) | overflowed)),
        threshold=gather(list(broken)),
        multiplicative=kappa,
        momentum=mu,
    )


def _modes(problem: Any) -> tuple[Any, Any, Any]:
    """Eigenvalues, variances of the noise and starting deviations, each (d,)."""
    lam = getattr(problem, "eigenvalues", None)
    if lam is None:
        raise InputError(
            f"moments needs a diagonal quadratic with eigenvalues, not {type(problem).__name__}; "
            f"pass its quadratic part as a NoisyQuadratic."
        )
    for name in ("x1", "x_star"):
        if not hasattr(problem, name):
            raise InputError(f"moments needs the problem's {name}; give it that attribute.")
    if hasattr(lam, "new_tensor"):  # torch
        start = problem.x1 - problem.x_star + 0 * lam
        noise = problem.noise**2 + 0 * lam
        if not bool((lam >= 0).all()) or not bool((noise + start * start < np.inf).all()):
            raise InputError("moments needs finite tensors with eigenvalues >= 0; check them.")
        return lam, noise, start
    lam = numbers("eigenvalues", lam, "mode")
    if lam.ndim != 1 or (lam < 0).any():
        raise InputError(
            f"moments needs one list of eigenvalues >= 0 (an indefinite f has no minimum), but got "
            f"shape {lam.shape} with least {lam.min():g}; pass the positive part."
        )
    noise = numbers("noise", np.atleast_1d(getattr(problem, "noise", 0.0)), "mode")
    start = numbers(
        "x1 - x_star", np.atleast_1d(np.asarray(problem.x1) - np.asarray(problem.x_star)), "mode"
    )
    for name, given in (("noise", noise), ("x1 - x_star", start)):
        if given.shape not in ((1,), lam.shape):
            raise InputError(
                f"{name} has shape {given.shape} but there are {len(lam)} eigenvalues; pass one "
                f"number, or one for each."
            )
    if (noise < 0).any():
        raise InputError(f"noise is {noise.min():g} somewhere; pass standard deviations >= 0.")
    return (
        lam,
        np.broadcast_to(noise**2, lam.shape).copy(),
        np.broadcast_to(start, lam.shape).copy(),
    )


def _kept(keep: ArrayLike | None, N: int) -> NDArray[np.int64]:
    if keep is None:
        return np.unique(np.append(np.geomspace(1, N, KEPT).astype(np.int64), 0))
    steps = np.unique(np.asarray(keep))
    if steps.dtype.kind not in "iu" or len(steps) == 0 or steps[0] < 0 or steps[-1] > N:
        raise InputError(f"keep must be steps between 0 and N={N}, but got {keep!r}.")
    return steps.astype(np.int64)


def _one(
    lam: Array,
    noise: Array,
    start: Array,
    tableau: Tableau,
    kappa: float,
    mixing: float,
    mu: float,
    steps: NDArray[np.int64],
    groups: Groups | None,
) -> tuple[Array, Array, Array, float]:
    def run(lam: Array, noise: Array, start: Array, weight: Array) -> tuple[Array, Array, Array]:
        losses = np.empty((tableau.steps + 1, 6))
        means, seconds = np.empty((2, len(steps), len(lam))), np.empty((3, len(steps), len(lam)))
        arrays = [np.ascontiguousarray(a) for a in (tableau.gamma, tableau.beta, tableau.c)]
        with np.errstate(all="ignore"):  # an unstable mode overflows, and is said to
            compiled(
                lam,
                noise,
                start,
                weight,
                arrays[0],
                arrays[1],
                arrays[2],
                kappa,
                mixing,
                mu,
                steps,
                losses,
                means,
                seconds,
            )
        return np.where(np.isnan(losses), np.inf, losses), means, seconds

    if groups is None:
        return *run(lam, noise, start, lam / 2), 0.0
    fine, coarse = (run(*nodes)[0] for nodes in (groups.fine, groups.coarse))
    same = (fine[:, :3] == coarse[:, :3]) | ~np.isfinite(fine[:, :3])
    with np.errstate(all="ignore"):
        error = np.where(same, 0.0, np.abs(fine[:, :3] / coarse[:, :3] - 1))
    return fine, np.empty(0), np.empty(0), float(error.max())


def _on_tensors(
    lam: Any,
    noise: Any,
    start: Any,
    tableau: Tableau,
    kappa: float,
    mixing: float,
    mu: float,
    steps: NDArray[np.int64],
) -> Moments:
    if tableau.batch:
        raise InputError(
            "On torch tensors moments takes one tableau at a time; loop over the batch."
        )
    losses, means, seconds = by_arrays(
        lam,
        noise,
        start,
        lam / 2,
        tableau.gamma,
        tableau.beta,
        tableau.c,
        kappa,
        mixing,
        mu,
        set(steps.tolist()),
    )
    broken = threshold_broken(tableau, np.array([float(lam.max())]), mu)
    library = sys.modules[type(lam).__module__.partition(".")[0]]
    together = library.stack
    overflowed = library.isnan(losses)
    losses = library.where(overflowed, np.inf + 0 * lam.sum(), losses)
    mean, second = together(means), together(seconds)
    return Moments(
        **{name: losses[:, i] for i, name in enumerate(TOTALS)},
        step=steps,
        mean_z=mean[:, 0],
        mean_x=mean[:, 1],
        second_z=second[:, 0],
        second_zx=second[:, 1],
        second_x=second[:, 2],
        error=0.0,
        unstable=broken > 1 or not bool(library.isfinite(losses).all()),
        threshold=broken,
        multiplicative=kappa,
        momentum=mu,
    )
