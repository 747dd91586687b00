"""The convex example of Schaipp et al., on the data of its public script."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import count
from sftheory.core.tableau import Array
from sftheory.problems import PROBLEMS
from sftheory.problems.base import Problem

Float32 = NDArray[np.float32]


@PROBLEMS.register(
    ref="schaipp2025", tex=r"f(w) = \max_i |\langle x_i, w \rangle - y_i|, \quad n = 20,\ d = 2"
)
@dataclass(frozen=True)
class SchaippExample(Problem):
    r"""f(w) = max_i |<x_i, w> - y_i| with n = 20 points in the plane, in float32 as published.

    The data are those of torch's CPU generator with seed 0: X = 2 rand(20, 2) - 1; w_star = randn
    scaled to norm 5; y = X w_star. The start is 0; `start` shifts it (the script starts its
    constant run at 0.001 (1, 1), "visually distinguishable").

    Known: f_star = 0, x_star, D, G = max |x_i|.

    `wsd` and `cosine` are the script's own two shapes. They end at 0, one entry later than
    sftheory.schedules; the script's base steps are 0.02 (WSD, constant) and 0.04 (cosine).
    """

    start: float = 0.0

    f_star = 0.0

    @cached_property
    def _data(self) -> tuple[Float32, Float32, Float32]:
        torch_cpu = TorchCPU(seed=0)
        X = (2 * torch_cpu.rand(20, 2) - 1).astype(np.float32)
        w = torch_cpu.randn(1, 2)
        # torch divides a number by a tensor as reciprocal times number, and takes norms in double
        w = w[0] * (np.float32(5) * (np.float32(1) / np.float32(np.linalg.norm(w.astype(float)))))
        # its product fuses the second multiplication with the sum; doubles hold such products
        y = (X[:, 0] * w[0]).astype(float) + X[:, 1].astype(float) * float(w[1])
        return X, y.astype(np.float32), w

    @property
    def X(self) -> Float32:
        """The points, (20, 2)."""
        return self._data[0]

    @property
    def y(self) -> Float32:
        """The targets, (20,)."""
        return self._data[1]

    @property
    def x1(self) -> Float32:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The start, (2,)."""
        return np.full(2, self.start, np.float32)

    @property
    def x_star(self) -> Float32:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The minimiser, (2,)."""
        return self._data[2]

    @property
    def G(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The largest |x_i|."""
        return float(np.linalg.norm(self.X.astype(float), axis=1).max())

    def value(self, x: Any) -> Any:
        return np.abs(x @ self.X.T - self.y).max(axis=-1)

    def subgradient(self, x: Any, noise: Any = None) -> Any:
        return self.oracle(x)[1]

    def oracle(self, x: Any, noise: Any = None) -> tuple[Any, Any]:
        r = x @ self.X.T - self.y
        i = np.abs(r).argmax(axis=-1)
        r_i = np.take_along_axis(r, i[..., None], axis=-1)
        return np.abs(r_i[..., 0]), np.sign(r_i) * self.X[i]

    @staticmethod
    def wsd(N: int) -> Array:
        """The script's WSD: ones, then 1 - j/K for j = 1..K over the last K = N // 5 steps."""
        K = count("N", N) // 5
        return np.concatenate([np.ones(N - K), 1 - np.arange(1, K + 1) / max(K, 1)])

    @staticmethod
    def cosine(N: int) -> Array:
        """The script's cosine, ½ (1 + cos(πk / (N - 1))) for k = 0..N-1."""
        return (1 + np.cos(np.pi * np.arange(count("N", N)) / max(N - 1, 1))) / 2


class TorchCPU:
    """torch's CPU generator without torch: float32 rand, and randn of fewer than 16 elements.

    The engine is the Mersenne twister. A float32 uniform takes the low 24 bits of one draw; a
    normal takes the Box-Muller transform of two 53-bit uniforms, which torch's scalar path uses for
    small tensors. The second normal of an odd number of them is dropped, which torch keeps for the
    next call: draw them in one call.
    """

    def __init__(self, seed: int) -> None:
        self._engine = np.random.RandomState(seed)

    def rand(self, *shape: int) -> Float32:
        """Uniform on [0, 1)."""
        bits = [self._bits32() & (2**24 - 1) for _ in range(math.prod(shape))]
        return (np.array(bits) / 2**24).astype(np.float32).reshape(shape)

    def randn(self, *shape: int) -> Float32:
        """Standard normal; fewer than 16 elements."""
        n = math.prod(shape)
        assert n < 16, "torch takes another path from 16 elements on"
        values: list[float] = []
        while len(values) < n:
            angle = 2 * math.pi * self._uniform53()  # torch draws the angle first
            radius = math.sqrt(-2 * math.log1p(-self._uniform53()))
            values += [radius * math.cos(angle), radius * math.sin(angle)]
        return np.array(values[:n], np.float32).reshape(shape)

    def _bits32(self) -> int:
        return int(self._engine.randint(0, 2**32, dtype=np.uint32))

    def _uniform53(self) -> float:
        high = self._bits32()
        return (((high << 32) | self._bits32()) & (2**53 - 1)) / 2**53
