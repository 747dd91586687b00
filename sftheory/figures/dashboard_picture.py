"""The dashboard as one picture: rows of small panels, a colour for each layer."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

from sftheory.figures.dashboards import TOGETHER, WHOLE, Dashboard, Panel
from sftheory.figures.style import style

WIDTH, HEAD, ROW, KEY = 9.6, 0.28, 2.22, 0.62  # inches
NAMED = 9  # layers up to which a legend names them; beyond, a bar of colours


def layer_colors(count: int, dark: bool = False) -> Any:
    """(count, 4): from the first layer to the last, readable on the page."""
    low, high = (0.28, 1.0) if dark else (0.0, 0.86)
    return plt.get_cmap("viridis")(np.linspace(low, high, max(count, 1)))


def draw(board: Dashboard, dark: bool) -> Any:
    """The figure; it is closed by whoever asked for it."""
    rows: dict[str, list[Panel]] = {}
    for panel in board.panels:
        rows.setdefault(panel.row, []).append(panel)
    height = HEAD + ROW * len(rows) + KEY
    with style(dark):
        ink = plt.rcParams["text.color"]
        # places are given: to find them would take seconds
        figure = plt.figure(figsize=(WIDTH, height), layout="none")
        colors = dict(zip(board.layers, layer_colors(len(board.layers), dark), strict=False))
        for r, (name, held) in enumerate(rows.items()):
            top = height - HEAD - ROW * r
            figure.text(0.13 / WIDTH, (top - 0.05) / height, name, fontsize=10, weight="bold")
            columns = max(3, len(held))
            shared = None
            for k, panel in enumerate(held):
                left = 0.58 + k * (WIDTH - 0.1) / columns
                wide = (WIDTH - 0.1) / columns - 0.62
                place = (left / WIDTH, (top - 1.88) / height, wide / WIDTH, 1.5 / height)
                axis = figure.add_axes(place, sharey=shared)
                shared = axis if name in TOGETHER else None
                _panel(axis, panel, colors, ink, board.steps)
                if r == len(rows) - 1:
                    axis.set_xlabel("step")
        _key(figure, board, colors, ink, dark)
        return figure


def _panel(axis: Any, panel: Panel, colors: Any, ink: str, steps: tuple[int, int]) -> None:
    crowded = len(panel.curves) > NAMED + 1
    for curve in panel.curves:
        layer = curve.series in colors
        axis.plot(
            curve.x,
            curve.y,
            color=colors[curve.series] if layer else ink,
            linewidth=(0.7 if crowded else 1.0) if layer else 1.5,
            zorder=3 if layer else 2,
            marker="o" if len(np.asarray(curve.x)) < 3 else None,
            markersize=3,
        )
    if panel.log:
        axis.set_yscale("log")
    axis.set_title(panel.title, loc="left", fontsize=8.5)
    axis.set_xlim(steps[0], max(steps[1], steps[0] + 1))
    if len(panel.curves) == 1 and panel.curves[0].series != WHOLE:
        name = panel.curves[0].series
        axis.annotate(
            name, (0.98, 0.06), xycoords="axes fraction", ha="right", fontsize=7.5, alpha=0.8
        )


def _key(figure: Any, board: Dashboard, colors: Any, ink: str, dark: bool) -> None:
    """Which colour is which layer."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=ink, linewidth=1.5, label=WHOLE)]
    if len(board.layers) <= NAMED:
        lines += [Line2D([], [], color=colors[name], label=name) for name in board.layers]
        figure.legend(handles=lines, loc="lower center", ncols=5, fontsize=7.5)
        return
    figure.legend(handles=lines, loc="lower left", fontsize=7.5)
    high = figure.get_figheight()
    axis = figure.add_axes((0.3, 0.3 / high, 0.4, 0.12 / high))
    names = board.layers
    axis.imshow(
        [range(len(names))], cmap=ListedColormap(layer_colors(len(names), dark)), aspect="auto"
    )
    axis.set_xticks([0, len(names) - 1], [names[0], names[-1]])
    axis.set_yticks([])
    axis.grid(False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
