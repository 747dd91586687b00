"""Inner products that an optimizer's own step takes along, so that memory is read once.

An optimizer that offers this has `tallies`, the pairs that it can sum, and `tally`, where it finds
who wants them; `sftheory.optim` says what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sftheory.probes.reading import Pair


class Tally:
    """The sums of one step: of parameters that it could sum, and notice of those that it could not.

    Attributes:
        starts: w_0 by the id of a parameter, or empty.
        few: whether the optimizer's cheapest sums are enough.
        sums: by the id of a parameter, in the optimizer's order of pairs.
        kept: indices of parameters that were copied because they moved without sums.
    """

    def __init__(
        self,
        offered: Sequence[Pair],
        few: bool,
        starts: dict[int, Tensor],
        keep: Callable[[int], None],
        parameters: Sequence[Tensor],
    ) -> None:
        self.starts, self.few, self._keep = starts, few, keep
        self._place = {pair: k for k, pair in enumerate(offered)}
        self._index = {id(p): i for i, p in enumerate(parameters)}
        self.begin()

    @staticmethod
    def of(
        optimizer: Any,
        pairs: Sequence[Pair],
        starts: dict[int, Tensor],
        keep: Callable[[int], None],
        parameters: Sequence[Tensor],
    ) -> Tally | None:
        """None where the optimizer does not offer all these pairs, or is not on processors."""
        offered = getattr(optimizer, "tallies", ())
        here = all(type(p) is torch.nn.Parameter and p.device.type == "cpu" for p in parameters)
        wanted = {as_used(pair) for pair in pairs}
        if not here or not wanted <= {*offered}:
            return None
        few = wanted <= {*getattr(optimizer, "tallies_few", ())}
        return Tally(offered, few, starts, keep, parameters)

    def begin(self) -> None:
        """Forget the last step."""
        self.sums: dict[int, Any] = {}
        self.kept: set[int] = set()
        self._table: np.ndarray | None = None

    @torch.compiler.disable
    def keep(self, p: Tensor) -> None:
        """The step is about to move p, and will not sum."""
        i = self._index[id(p)]
        self.kept.add(i)
        self._keep(i)

    def summed(self) -> list[int]:
        """Indices of the parameters with sums."""
        return [self._index[key] for key in self.sums]

    def products(self, pairs: Sequence[Pair]) -> Tensor:
        """(pairs, summed parameters), float64."""
        places = [self._place[as_used(pair)] for pair in pairs]
        if self._table is None:
            self._table = np.array(list(self.sums.values())).T
        return torch.from_numpy(self._table[places])


def as_used(pair: Pair) -> Pair:
    """The pair with the step's own gradient for the true one."""
    first, second = sorted("used" if name in ("g", "first") else name for name in pair)
    return first, second
