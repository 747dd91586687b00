"""How figures look, on paper and on a dark page, and the few drawing habits that they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sftheory.figures.base import Curve

# Okabe and Ito's colours, which colour-blind readers can tell apart, and brighter ones for dark
LIGHT = ["#0072B2", "#D55E00", "#009E73", "#B0588F", "#C98A00", "#5A5A5A", "#3A9BD9", "#8C2D04"]
DARK = ["#5BB8F0", "#FF8F57", "#35D6A6", "#EBA3CF", "#FFC94D", "#C9C9C9", "#9AD4FF", "#FFB59A"]

# one colour and one dash pattern for each schedule or method, in every figure
STYLE: dict[str, dict[str, Any]] = {
    name: {"color": f"C{color}", "linestyle": dash}
    for name, color, dash in [
        ("linear", 0, "-"),
        ("cosine", 1, "--"),
        ("WSD 20%", 2, "-"),
        ("WSD 30%", 2, (0, (5, 1, 1, 1))),
        ("constant", 3, "-."),
        ("1/sqrt", 4, (0, (1, 1))),
        ("last iterate, linear decay", 0, "-"),
        ("Polyak average", 3, "-."),
        ("primal average", 4, "--"),
        ("schedule-free", 1, "-"),
    ]
}


@contextmanager
def style(dark: bool = False) -> Iterator[None]:
    """The project's settings for everything drawn and saved inside."""
    ink, paper = ("#E8E8E8", "#14171C") if dark else ("#1A1A1A", "#FFFFFF")
    settings: dict[Any, Any] = {
        "figure.facecolor": paper,
        "axes.facecolor": paper,
        "savefig.facecolor": paper,
        "text.color": ink,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "legend.labelcolor": ink,
        "grid.color": ink,
        "grid.alpha": 0.12,
        "axes.grid": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=DARK if dark else LIGHT),
        "axes.titlesize": 9,
        "axes.labelsize": 8.5,
        "font.size": 8.5,
        "legend.fontsize": 7.5,
        "legend.frameon": False,
        "lines.linewidth": 1.4,
        "xtick.labelsize": 7.5,
        "ytick.labelsize": 7.5,
        "mathtext.fontset": "dejavusans",
        "pdf.fonttype": 42,
        "svg.hashsalt": "sftheory",
        "savefig.dpi": 200,
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(settings):
        yield


def panels(count: int = 2, height: float = 2.7, width: float = 6.8, **kwargs: Any) -> Any:
    """A figure with `count` axes in a row, and the axes in a list."""
    figure = plt.figure(figsize=(width, height))
    axes = figure.subplots(1, count, squeeze=False, **kwargs)
    return figure, list(axes[0])


def lines(axes: Axes, curves: Iterable[Curve], **kwargs: Any) -> None:
    """Draw curves with their own colours and dashes, and their bands."""
    for curve in curves:
        look = {**STYLE.get(curve.series, {}), **kwargs}
        (line,) = axes.plot(curve.x, curve.y, label=curve.series, **look)
        if curve.low is not None and curve.high is not None:
            axes.fill_between(
                curve.x, curve.low, curve.high, color=line.get_color(), alpha=0.18, linewidth=0
            )


def label(axes: Axes, x: str, y: str, title: str = "") -> None:
    """Axis labels, and a title set to the left."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(title, loc="left")


def save(figure: Figure, path: str, **kwargs: Any) -> None:
    """Save without dates, so that the same versions give the same bytes."""
    undated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    metadata = undated.get(path.rpartition(".")[2].lower(), {"Software": None})
    figure.savefig(path, metadata=metadata, **kwargs)  # pyright: ignore[reportArgumentType]
