"""What a figure is: data, a drawing of them, and claims about them, kept apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sftheory.core.claim import Claim

if TYPE_CHECKING:
    import polars
    from matplotlib.figure import Figure as MatplotlibFigure

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """One drawn line or set of points: y against x, and a band from low to high if given."""

    panel: str
    series: str
    x: ArrayLike
    y: ArrayLike
    low: ArrayLike | None = None
    high: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Data:
    """Everything that is drawn (`curves`) and the numbers that only claims need (`values`)."""

    curves: Sequence[Curve]
    values: Mapping[str, float] = field(default_factory=dict)

    def panel(self, name: str) -> dict[str, Curve]:
        """The curves of one panel by series, in order."""
        return {c.series: c for c in self.curves if c.panel == name}

    def table(self) -> polars.DataFrame:
        """Tidy: panel, series, x, y, low, high; one row for each drawn point."""
        import polars as pl

        def column(curve: Curve, name: str) -> Any:
            given = getattr(curve, name)
            n = np.size(np.asarray(curve.x))
            return pl.Series(name, [None] * n if given is None else np.asarray(given), pl.Float64)

        frames = [
            pl.DataFrame([column(curve, name) for name in ("x", "y", "low", "high")]).select(
                pl.lit(curve.panel).alias("panel"), pl.lit(curve.series).alias("series"), pl.all()
            )
            for curve in self.curves
        ]
        return pl.concat(frames)


class Figure(ABC):
    """A figure of a paper; the docstring's first line is its title, the rest its caption."""

    @abstractmethod
    def data(self, quick: bool = False) -> Data:
        """Compute what is drawn; `quick` may lower the number of seeds, never a claim's meaning."""

    @abstractmethod
    def draw(self, data: Data) -> MatplotlibFigure:
        """Draw it; nothing is computed here, and the style is set outside."""

    @abstractmethod
    def claims(self, data: Data) -> list[Claim]:
        """What the paper says, and what came out here."""

    @classmethod
    def title(cls) -> str:
        """First line of the docstring, without its full stop."""
        return (cls.__doc__ or "").strip().split("\n")[0].rstrip(".")

    @classmethod
    def caption(cls) -> str:
        """The rest of the docstring as one paragraph."""
        _, _, rest = (cls.__doc__ or "").strip().partition("\n")
        return " ".join(rest.split())
