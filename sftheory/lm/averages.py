r"""Many averages of one trajectory θ_1, θ_2, ..., each in one buffer, updated in one pass.

a <- a + c_k (θ - a)        at the k-th update, c_1 = 1; the start θ_0 has no weight

uniform       c_k = 1 / k
poly:r        c_k = (r + 1) / (k + r)                  weights near k^r
lr2           c_k = lr_k² / Σ_{i<=k} lr_i²
ema:d         c_k = (1 - d^e) / (1 - d^{ek})           bias-corrected; e steps between updates
tail:f        c_j = 1 / j over the last fraction f of the run's own steps, not defined before
lawa:W:m      mean of the last m snapshots (default 5), one every W / m steps
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sftheory.core.errors import InputError, nearest

KINDS = ("uniform", "poly:r", "lr2", "ema:d", "tail:f", "lawa:W:m")


@dataclass
class _Average:
    """The counters of one average, which are floats and whole numbers on the host."""

    name: str
    kind: str
    number: float = 0.0  # r, d, f or W
    snapshots: int = 0  # m
    count: int = 0  # k
    total: float = 0.0  # Σ lr²

    def coefficient(self, lr: float, every: int) -> float:
        """c of the coming update, which is counted."""
        self.count += 1
        k = self.count
        if self.kind == "poly":
            return (self.number + 1) / (k + self.number)
        if self.kind == "ema":
            return (1 - self.number**every) / (1 - self.number ** (every * k))
        if self.kind == "lr2":
            self.total += lr * lr
            return lr * lr / self.total if self.total else 0.0
        return 1 / k


def read_average(name: str) -> Any:
    """The average that a name means.

    Raises:
        InputError: its number is missing or out of range.
        UnknownNameError: no such kind.
    """
    kind, *rest = name.split(":")
    known = {k.split(":")[0]: k for k in KINDS}
    if name in ("last", "x"):
        raise InputError(f"{name!r} is always measured; leave it out of averages.names.")
    if kind not in known:
        raise nearest("average", name, KINDS)
    wanted = known[kind].count(":")
    try:
        numbers = [float(part) for part in rest]
    except ValueError:
        numbers = []
    if kind == "lawa" and len(numbers) == 1:
        numbers.append(5.0)
    good = len(numbers) == wanted and {
        "poly": lambda r: r >= 0,
        "ema": lambda d: 0 <= d < 1,
        "tail": lambda f: 0 < f <= 1,
        "lawa": lambda W, m: m >= 1 and W >= m and m.is_integer() and W % m == 0,
    }.get(kind, lambda: True)(*numbers)
    if not good:
        raise InputError(
            f"Average {name!r} is not {known[kind]!r} with r >= 0, 0 <= d < 1, 0 < f <= 1, W a "
            f"multiple of m; write for example 'poly:3', 'ema:0.99', 'tail:0.25' or 'lawa:200:5'."
        )
    number = numbers[0] if numbers else 0.0
    return _Average(name, kind, number, int(numbers[1]) if kind == "lawa" else 0)


class AverageBank:
    """Averages of the vectors that `update` is shown.

    Args:
        names: of the averages.
        like: a vector of the size, dtype and device of theirs.
        steps: N of this run; `start` of them were taken before it.
        every: steps between updates.

    Raises:
        InputError: a name that means nothing.

    Example:
        >>> bank = AverageBank(["uniform", "ema:0.5"], torch.zeros(1), steps=3)
        >>> for t in (1, 2, 3):
        ...     bank.update(t, torch.tensor([float(t)]), lr=0.1)
        >>> bank.value("uniform").item(), round(bank.value("ema:0.5").item(), 6)
        (2.0, 2.428571)
    """

    def __init__(
        self, names: Sequence[str], like: Tensor, steps: int, *, start: int = 0, every: int = 1
    ) -> None:
        self._every, self._start, self._steps = every, start, steps
        self._averages = [read_average(name) for name in names]
        self._means = [a for a in self._averages if a.kind != "lawa"]
        self._bank = like.new_zeros(len(self._means), len(like))
        self._rings = {
            a.name: like.new_zeros(a.snapshots, len(like))
            for a in self._averages
            if a.kind == "lawa"
        }

    @torch.no_grad()
    def update(self, step: int, theta: Tensor, lr: float) -> None:
        """Show the point after `step` steps, the last of them of size lr."""
        if step % self._every == 0:
            if theta.is_cuda:
                self._at_once(step, theta, lr)
            else:
                for row, average in zip(self._bank, self._means, strict=True):
                    if self._wants(average, step):
                        row.lerp_(theta, average.coefficient(lr, self._every))
        for average in self._averages:
            if average.kind == "lawa" and step % (average.number // average.snapshots) == 0:
                self._rings[average.name][average.count % average.snapshots].copy_(theta)
                average.count += 1

    def _at_once(self, step: int, theta: Tensor, lr: float) -> None:
        """One launch; a weight of 0 leaves an average alone."""
        c = [a.coefficient(lr, self._every) if self._wants(a, step) else 0.0 for a in self._means]
        if c:
            weights = torch.tensor(c, dtype=theta.dtype, pin_memory=True)
            self._bank.lerp_(theta, weights.to(theta.device, non_blocking=True)[:, None])

    def _wants(self, average: Any, step: int) -> bool:
        if average.kind != "tail":
            return True
        first = self._steps - int(average.number * self._steps + 1e-9)
        return step - self._start > first

    def ready(self) -> list[str]:
        """The names of the averages that are defined now."""
        return [
            a.name
            for a in self._averages
            if (a.count >= a.snapshots if a.kind == "lawa" else a.count > 0)
        ]

    def value(self, name: str) -> Tensor:
        """(n,): the average as it is; of a window it is a copy."""
        if name in self._rings:
            return self._rings[name].mean(0)
        names = [a.name for a in self._means]
        if name not in names:
            raise nearest("average", name, [a.name for a in self._averages])
        return self._bank[names.index(name)]

    def state(self) -> dict[str, Any]:
        """Everything that continuing needs, by the name of the average."""
        values = {a.name: row for a, row in zip(self._means, self._bank, strict=True)}
        return {
            a.name: {
                "count": a.count,
                "total": a.total,
                "value": self._rings.get(a.name, values.get(a.name)),
            }
            for a in self._averages
        }

    @torch.no_grad()
    def load(self, state: dict[str, Any]) -> None:
        """Continue those averages that the state has; others begin anew."""
        own = self.state()
        for average in self._averages:
            saved = state.get(average.name)
            if saved is not None:
                average.count, average.total = saved["count"], saved["total"]
                own[average.name]["value"].copy_(saved["value"])


def averaged_later(
    points: Iterable[tuple[int, Tensor, float]],
    name: str,
    *,
    steps: int,
    every: int,
    start: int = 0,
) -> Tensor:
    """An average of stored points (step, θ, lr) that the run did not keep.

    Args:
        points: in the order of their steps, `every` steps apart.
        name: of the average.
        steps: N of the run.
        every: steps between the points.
        start: steps before the run.

    Raises:
        InputError: there are no points, or too few for this average.
    """
    bank: AverageBank | None = None
    for step, theta, lr in points:
        theta = theta.float()
        bank = bank or AverageBank([name], theta, steps, start=start, every=every)
        bank.update(step, theta, lr)
    if bank is None or not bank.ready():
        raise InputError(
            f"There are too few stored points for {name!r}; set averages.trajectory to a smaller "
            f"number of steps."
        )
    return bank.value(name)
