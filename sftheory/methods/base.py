r"""What every method is, and the averaging weights that most of them share.

A weighted average x_{t+1} = Σ w_i z_i / Σ w_i is the recursion with c_t = (newest weight) / (sum of
the weights so far). Two conventions are in use:

    start_counts=True   N + 1 weights w_1, ..., w_{N+1}, the start z_1 = x_1 has w_1:
                        c_t = w_{t+1} / (w_1 + ... + w_{t+1}); uniform weights give 1 / (t + 1).
    start_counts=False  N weights v_1, ..., v_N, the start has none (the published package):
                        c_t = v_t / (v_1 + ... + v_t), so c_1 = 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, constant, steps
from sftheory.core.tableau import Tableau

Array = NDArray[np.float64]
Weights = Literal["uniform", "polynomial", "gamma"]


class Method(ABC):
    """A rule that turns N step sizes into a tableau."""

    @abstractmethod
    def tableau(self, gamma: ArrayLike) -> Tableau:
        """The method with steps `gamma`.

        Args:
            gamma: (..., N), >= 0.

        Raises:
            InputError: gamma is empty, negative or not finite.
        """


class Controller(ABC):
    """A method whose steps depend on the run; the realised tableau is stored in the trajectory.

    One without memory defines `step`. One with memory, or that also chooses its averaging, defines
    `start` instead.

    Attributes:
        needs_f_star: whether it looks at `gap`.
        preconditioned: whether it needs a preconditioner; otherwise its steps are Euclidean.
    """

    needs_f_star: ClassVar[bool] = True
    preconditioned: bool = False

    @abstractmethod
    def template(self, N: int) -> Tableau:
        """The tableau whose gamma multiplies the controller's own steps."""

    def step(self, *, gap: Any, slope: Any, squared_norm: Any) -> Any:
        """The step of size 1.

        Args:
            gap: f(y_t) - f_star.
            slope: beta_t <g_t, z_t - x_t>.
            squared_norm: |g_t|².
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither step nor start.")

    def start(self) -> Callable[..., tuple[Any, Any]]:
        """A fresh function for one run, called at every step; it returns (gamma_t, c_t).

        c_t = None is the template's. It is called with the arguments of `step` and these, each
        (..., seed):
            scale: the template's gamma_t, which it must apply itself.
            one_norm: Σ |g_t,i|.
            back: <g_t, z_1 - z_t>.
        """

        def choose(*, scale: Any, one_norm: Any, back: Any, **seen: Any) -> tuple[Any, Any]:
            return scale * self.step(**seen), None

        return choose


def average(
    gamma: ArrayLike,
    weights: Weights,
    *,
    power: float,
    start_counts: bool,
    last_weight: float | None,
) -> tuple[Array, Array]:
    """Checked steps and the c of one of the named averages.

    Args:
        gamma: (..., N), >= 0.
        weights: "uniform", "polynomial" (t^power) or "gamma" (gamma_t^power).
        power: that exponent.
        start_counts: see the module's docstring.
        last_weight: w_{N+1} where the start counts; None repeats w_N of weights made from gamma.

    Returns:
        gamma and c, both (..., N).
    """
    gamma = steps("gamma", gamma)
    N = gamma.shape[-1]
    t = np.arange(1, N + 2, dtype=float)
    if weights == "uniform":
        w = np.ones(N + 1)
    elif weights == "polynomial":
        w = t**power
    elif weights == "gamma":
        w = with_last(gamma**power)
    else:
        raise InputError(
            f"There are no {weights!r} weights; choose 'uniform', 'polynomial' or 'gamma'."
        )
    w = np.broadcast_to(w, (*gamma.shape[:-1], N + 1))
    return gamma, coefficients(w, start_counts=start_counts, last_weight=last_weight)


def with_last(w: Array) -> Array:
    """N weights and the last one again, for the point after the last step."""
    return np.concatenate([w, w[..., -1:]], axis=-1)


def coefficients(w: Array, *, start_counts: bool, last_weight: float | None = None) -> Array:
    """c of the weighted average with the N + 1 weights w (the first N if the start has none).

    While all weights so far are zero, c_t = 0: the average stays at the start.

    Raises:
        InputError: last_weight is not > 0, or is given where the start does not count.
    """
    if not start_counts:
        if last_weight is not None:
            raise InputError("last_weight is w_{N+1}, which start_counts=False does not have.")
        w = w[..., :-1]
    elif last_weight is not None:
        w = w.copy()
        w[..., -1] = constant("last_weight", "last_weight", last_weight)
    total = np.cumsum(w, axis=-1)
    c = np.divide(w, total, out=np.zeros_like(w), where=total > 0)
    return c[..., 1:] if start_counts else c


def in_unit(what: str, value: ArrayLike, *, below_one: bool = False) -> Array:
    """`value` as an array of numbers in [0, 1], or in [0, 1).

    Raises:
        InputError: it is not.
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what} must be a number, but got {value!r}.") from None
    inside = (array >= 0) & ((array < 1) if below_one else (array <= 1))
    if not inside.all():
        interval = "[0, 1)" if below_one else "[0, 1]"
        raise InputError(f"{what} must lie in {interval}, but got {value!r}.")
    return array
