r"""A method is data: three sequences, one loop that runs them, and two ways of reading them.

    y_t     = (1 - beta_t) z_t + beta_t x_t       where the gradient is taken
    z_{t+1} = z_t - gamma_t g_t,  g_t in ∂f(y_t)  the base step
    x_{t+1} = (1 - c_t) x_t + c_t z_{t+1}         the average that is reported

with z_1 = x_1 and t = 1, ..., N. The report is x_{N+1}, the point after N steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.errors import InputError, numbers, steps, within

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tableau:
    r"""A method for N steps: the steps gamma, the interpolation beta, the averaging c.

    Shapes and units:
        gamma: (..., N), >= 0, step sizes.  beta: (..., N), in [0, 1].  c: (..., N), in [0, 1].
        The three are broadcast against each other; leading axes are a batch of methods. They are
        stored as read-only float64.

    Raises:
        InputError: an array is empty, not finite, out of its range, or the shapes do not fit.

    References: defazio2024 for schedule-free; every method of `sftheory.methods` is one of these.

    Example:
        >>> sgd = Tableau(gamma=[0.1, 0.1], beta=0.0, c=1.0)
        >>> sgd.steps, sgd.effective_schedule().tolist()
        (2, [0.1, 0.1])
    """

    gamma: Array
    beta: Array
    c: Array

    def __init__(self, gamma: ArrayLike, beta: ArrayLike, c: ArrayLike) -> None:
        parts = {
            "gamma": steps("gamma", gamma),
            "beta": numbers("beta", np.atleast_1d(np.asarray(beta))),
            "c": numbers("c", np.atleast_1d(np.asarray(c))),
        }
        within("beta", parts["beta"], 0, 1)
        within("c", parts["c"], 0, 1)
        N = parts["gamma"].shape[-1]
        for name, part in parts.items():
            if part.shape[-1] not in (1, N):
                raise InputError(
                    f"{name} has {part.shape[-1]} entries but gamma has N={N}; "
                    f"pass one entry per step."
                )
        try:
            arrays = np.broadcast_arrays(*parts.values())
        except ValueError:
            shapes = ", ".join(f"{k} {v.shape}" for k, v in parts.items())
            raise InputError(f"The batch axes of {shapes} do not fit; make them equal.") from None
        for name, array in zip(parts, arrays, strict=True):
            own = array.copy()
            own.flags.writeable = False
            object.__setattr__(self, name, own)

    def __repr__(self) -> str:
        batch = f", batch {self.batch}" if self.batch else ""
        return f"Tableau(N={self.steps}{batch})"

    @property
    def steps(self) -> int:
        """N, the number of gradient steps."""
        return self.gamma.shape[-1]

    @property
    def batch(self) -> tuple[int, ...]:
        """The leading axes: one method for each index."""
        return self.gamma.shape[:-1]

    def __getitem__(self, index: Any) -> Tableau:
        """The methods at `index` of the batch axes; every one keeps its N steps."""
        index = index if isinstance(index, tuple) else (index,)
        if len(index) > len(self.batch):
            raise InputError(
                f"This tableau has {len(self.batch)} batch axes and {len(index)} were indexed; "
                f"steps cannot be indexed, build the tableau from fewer steps instead."
            )
        index = (*index, *(slice(None),) * (len(self.batch) + 1 - len(index)))
        return Tableau(self.gamma[index], self.beta[index], self.c[index])

    @staticmethod
    def stack(tableaus: Sequence[Tableau]) -> Tableau:
        """Tableaus of equal shape as one batch: a new leading axis.

        Raises:
            InputError: there is none, or their shapes differ.
        """
        shapes = {t.gamma.shape for t in tableaus}
        if len(shapes) != 1:
            raise InputError(
                f"Only tableaus of one shape can be stacked, but got {shapes or 'none'}."
            )
        return Tableau(
            np.stack([t.gamma for t in tableaus]),
            np.stack([t.beta for t in tableaus]),
            np.stack([t.c for t in tableaus]),
        )

    def step_matrices(self) -> tuple[Array, Array]:
        r"""The method as a linear map of the gradients: `(Y, h)` with

            y_t = x_1 - Σ_{s<t} Y[t, s] g_s,    x_{N+1} = x_1 - Σ_s h_s g_s.

        Returns:
            Y: (..., N, N), strictly lower triangular.  h: (..., N).  Both in units of gamma.
        """
        Y = np.zeros((*self.batch, self.steps, self.steps))
        share = np.zeros(self.gamma.shape)  # of z's displacement by g_s, the part that x_t has
        for t in range(self.steps):
            beta, c = self.beta[..., t, None], self.c[..., t, None]
            Y[..., t, :t] = self.gamma[..., :t] * ((1 - beta) + beta * share[..., :t])
            share[..., : t + 1] = (1 - c) * share[..., : t + 1] + c
        return Y, self.gamma * share

    def effective_schedule(self) -> Array:
        r"""The learning-rate schedule that this averaging is equivalent to, in O(N):

            h_s = gamma_s (1 - Π_{t>=s} (1 - c_t)),    x_{N+1} = x_1 - Σ_s h_s g_s.

        Uniform averaging of constant steps gives linear decay, gamma (1 - s / (N + 1)).

        Returns:
            h: (..., N), units of gamma; the last row of `step_matrices`, for any beta.
        """
        with np.errstate(divide="ignore"):  # c = 1 forgets everything before: log 0
            log_kept = np.log1p(-self.c)
        return self.gamma * -np.expm1(np.cumsum(log_kept[..., ::-1], axis=-1)[..., ::-1])


def iterate(
    tableau: Tableau,
    x1: Any,
    oracle: Callable[[Any], Any],
    base_step: Callable[[Any, Any, Any, Any, Any], Any] | None = None,
) -> Iterator[tuple[Any, Any, Any, Any]]:
    r"""Run a tableau, step by step, on anything that has + and *.

    The same text runs on NumPy arrays, torch tensors and symbolic points. Numbers of a single
    tableau reach the points as Python floats; those of a batch as arrays like x1.

    Args:
        tableau: the method; a batch needs x1 with the batch axes first, (*batch, ...).
        x1: the start, z_1 = x_1.
        oracle: y_t -> g_t.
        base_step: (gamma_t, x_t, y_t, z_t, g_t) -> z_t - z_{t+1}; None is gamma_t g_t.

    Yields:
        (x_{t+1}, y_t, z_{t+1}, g_t) for t = 1, ..., N.

    Example:
        >>> halving = Tableau([0.5, 0.5], beta=0.0, c=1.0)
        >>> [x for x, *_ in iterate(halving, 8.0, oracle=lambda y: y)]
        [4.0, 2.0]
    """
    x = z = x1
    for gamma, beta, c in _coefficients(tableau, x1):
        y = mix(z, x, beta)
        g = oracle(y)
        z = z - (gamma * g if base_step is None else base_step(gamma, x, y, z, g))
        x = mix(x, z, c)
        yield x, y, z, g


def mix(a: Any, b: Any, weight: Any) -> Any:
    """(1 - weight) a + weight b; a weight that is the float 0 or 1 selects the point itself."""
    if isinstance(weight, float) and weight in (0.0, 1.0):
        return b if weight else a
    return (1 - weight) * a + weight * b


def _coefficients(tableau: Tableau, x1: Any) -> Iterator[tuple[Any, Any, Any]]:
    arrays = (tableau.gamma, tableau.beta, tableau.c)
    if not tableau.batch:
        return zip(*(a.tolist() for a in arrays), strict=True)
    axes = len(tableau.batch)
    if x1.ndim < axes:
        raise InputError(
            f"x1 has {x1.ndim} axes but the tableau has {axes} batch axes; "
            f"give x1 the shape (*batch, ...)."
        )
    x1 = x1 * 1.0  # whole numbers become the floats that the points will be
    like = getattr(x1, "new_tensor", None) or (lambda a: np.asarray(a, dtype=x1.dtype))
    shape = (tableau.steps, *tableau.batch, *(1,) * (x1.ndim - axes))
    return zip(*(like(np.moveaxis(a, -1, 0).reshape(shape)) for a in arrays), strict=True)
