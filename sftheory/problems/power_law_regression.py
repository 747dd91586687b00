"""Least squares on a stream of normal rows whose spectrum is a power law."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sftheory.core.errors import count, real
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem


@PROBLEMS.register(
    ref="meterez2026",
    tex=r"f(w) = \tfrac12 E (\langle a, w - w_\star \rangle - \sigma \varepsilon)^2,\quad"
    r" a \sim \mathcal N(0, \mathrm{diag}\, i^{-a}),\quad \lambda_i w_{\star i}^2 = i^{-b}",
)
@dataclass(frozen=True)
class PowerLawRegression(Problem):
    r"""Streaming least squares: lambda_i = i^-a, lambda_i w_star_i² = i^-b, from w = 0.

    A step draws `batch` fresh rows a ~ N(0, diag(lambda)) with labels <a, w_star> + sigma e, e
    normal; its gradient is the mean of a (<a, w> - label). The oracle's value is the sample's.
    f(w) = ½ Σ lambda_i (w_i - w_star_i)² + sigma²/2. The coordinates of w_star are positive; random
    signs give the same E f, since only squared deviations enter.

    `moments` takes it as it is and is exact: the noise of mode i has the variance
        (sigma² lambda_i + lambda_i² E y_i² + lambda_i Σ_j lambda_j E y_j²) / batch,
    of which `noise` is the root of the first part, and `multiplicative` and `mixing`, both
    1/batch, are the other two (the fourth moments of a normal row).

    Known: L = 1, mu = d^-a, D, f_star = sigma²/2, x_star; G does not exist.

    Raises:
        InputError: d or batch is not a whole number >= 1, or a, b or sigma is negative.
    """

    d: int = 100
    a: float = 1.5
    b: float = 1.5
    sigma: float = 0.1
    batch: int = 1

    samples_loss: ClassVar[bool] = True
    L = 1.0

    def __post_init__(self) -> None:
        count("PowerLawRegression's d", self.d)
        count("PowerLawRegression's batch", self.batch)
        for name in ("a", "b", "sigma"):
            real(f"PowerLawRegression's {name}", getattr(self, name), 0)

    @cached_property
    def eigenvalues(self) -> Array:
        """i^-a, (d,)."""
        return np.arange(1.0, self.d + 1) ** -float(self.a)

    @cached_property
    def x_star(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser, i^((a - b)/2)."""
        return np.arange(1.0, self.d + 1) ** ((self.a - self.b) / 2)

    @property
    def x1(self) -> Array:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start, zero."""
        return np.zeros(self.d)

    @property
    def f_star(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The labels' noise, sigma²/2."""
        return self.sigma**2 / 2

    @property
    def mu(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Smallest eigenvalue."""
        return float(self.eigenvalues[-1])

    @property
    def noise(self) -> Array:
        """Standard deviation of the gradient's noise at the minimiser, (d,)."""
        return self.sigma * np.sqrt(self.eigenvalues / self.batch)

    @property
    def multiplicative(self) -> float:
        """1/batch: noise that grows with a mode's own distance."""
        return 1 / self.batch

    @property
    def mixing(self) -> float:
        """1/batch: noise that grows with the distance of all modes."""
        return 1 / self.batch

    def value(self, x: Any) -> Any:
        return (x - self.x_star) ** 2 @ self.eigenvalues / 2 + self.f_star

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x, noise)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        if noise is None:
            return self.value(x), self.eigenvalues * (x - self.x_star)
        rows = noise[..., :-1] * np.sqrt(self.eigenvalues)
        residual = (rows * (x - self.x_star)[..., None, :]).sum(axis=-1)
        residual = residual - self.sigma * noise[..., -1]
        return (residual**2).mean(axis=-1) / 2, (rows * residual[..., None]).mean(axis=-2)

    def draw(self, rng: np.random.Generator, steps: int) -> Array:
        return rng.standard_normal((steps, self.batch, self.d + 1))
