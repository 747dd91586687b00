"""One page from a probe: norms, effective learning rates and distances of x, y and z by layer."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sftheory.core.errors import InputError
from sftheory.figures.base import Curve

WHOLE = "whole model"
MOST = 600  # points that a curve is drawn with
ROWS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Norms",
        (("weight_norm", "weights ‖w‖"), ("grad_norm", "gradient ‖g‖"), ("update_norm", "‖Δw‖")),
    ),
    (
        "Effective learning rate",
        (
            ("effective_lr_y", "on y: γ (1 − β (1 − c))"),
            ("lr_over_w2", "if the scale of w is free: γ / ‖w‖²"),
            ("angle", "turn per step, radians"),
        ),
    ),
    (
        "Distance from the start",
        (("distance.x", "x"), ("distance.y", "y"), ("distance.z", "z"), ("distance", "w")),
    ),
    (
        "Updates and averaging",
        (
            ("update_ratio", "‖Δw‖ / ‖w‖"),
            ("cosine", "cos(Δw, −g)"),
            ("z_minus_x", "‖z − x‖"),
        ),
    ),
    (
        "Asked for",
        (
            ("sharpness", "sharpness λ(H)"),
            ("preconditioned_sharpness", "sharpness λ(P½ H P½)"),
            ("polyak_numerator", "f(y) − f* + <g, z − y>"),
            ("noise_scale", "gradient noise scale"),
        ),
    ),
)
LOGARITHMIC = {"grad_norm", "update_norm", "lr_over_w2", "angle", "update_ratio", "sharpness"}
TOGETHER = {"Distance from the start"}  # rows whose panels are compared, on one scale


@dataclass(frozen=True, eq=False)
class Panel:
    """One metric against the step: a curve for each layer that has it."""

    row: str
    metric: str
    title: str
    curves: tuple[Curve, ...]
    log: bool


@dataclass(frozen=True, eq=False)
class Dashboard:
    """What `dashboard` returns: it shows itself in a notebook, and saves itself as PNG or HTML.

    Attributes:
        panels: in reading order.
        layers: the names of the modules that are drawn, in the model's order.
        steps: the first and the last step.
        last: the last value of every metric and layer that has one, for the table.
    """

    panels: tuple[Panel, ...]
    layers: tuple[str, ...]
    steps: tuple[int, int]
    last: dict[str, dict[str, float]]

    def figure(self, dark: bool = False) -> Any:
        """The page as a matplotlib figure, which belongs to the caller."""
        from sftheory.figures.dashboard_picture import draw

        return draw(self, dark)

    def html(self) -> str:
        """The page as one self-contained file that needs no network."""
        from sftheory.figures.dashboard_page import page

        return page(self)

    def save(self, path: str | Path, dark: bool = False) -> Path:
        """Write .png, .pdf, .svg or .html; an .html page is light or dark as its reader's screen.

        Raises:
            InputError: another ending, or there is no such folder.
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise InputError(f"There is no folder {str(path.parent)!r}; make it first.")
        if path.suffix == ".html":
            path.write_text(self.html(), encoding="utf-8")
        elif path.suffix in (".png", ".pdf", ".svg"):
            path.write_bytes(self._picture(path.suffix[1:], dark))
        else:
            raise InputError(
                f"{path.name!r} ends in none of .png, .pdf, .svg and .html; rename it."
            )
        return path

    def _repr_png_(self) -> bytes:
        return self._picture("png", dark=False)

    def _picture(self, kind: str, dark: bool) -> bytes:
        import matplotlib as mpl
        import matplotlib.pyplot as plt

        drawing, out = self.figure(dark), io.BytesIO()
        with mpl.rc_context({"pdf.fonttype": 42, "svg.hashsalt": "sftheory"}):
            drawing.savefig(out, format=kind, dpi=150, facecolor=drawing.get_facecolor())
        plt.close(drawing)
        return out.getvalue()


def dashboard(source: Any, modules: Sequence[str] | None = None) -> Dashboard:
    """One page of what a probe saw: norms, effective learning rates, and x, y and z by layer.

    Panels are there for the metrics that were logged and have values; curves of more than 600
    points are thinned, and every 300th part keeps its least and its largest value.

    Args:
        source: a probe, its `frame()`, or the path of a .parquet or .jsonl that a probe wrote or
            that holds such a frame.
        modules: names of the modules to draw; None draws all that were logged.

    Raises:
        InputError: the source is none of these, holds no rows, or lacks a column.
        UnknownNameError: a module that was not logged; the sentence suggests the nearest.

    Example:
        >>> import polars as pl
        >>> rows = {"step": [0, 1], "module": ["", ""], "metric": ["grad_norm"] * 2}
        >>> page = dashboard(pl.DataFrame({**rows, "value": [2.0, 1.0]}))
        >>> [(panel.metric, panel.curves[0].y) for panel in page.panels]
        [('grad_norm', array([2., 1.]))]
    """
    from sftheory.figures.logged import read

    frame = read(source, modules)
    order = frame["module"].unique(maintain_order=True).to_list()
    layers = tuple(name for name in order if name)
    steps = (int(frame["step"].min()), int(frame["step"].max()))
    series: dict[str, dict[str, tuple[Any, Any]]] = {}
    groups = frame.sort("step").group_by(["metric", "module"], maintain_order=True)
    for (metric, module), rows in groups:
        series.setdefault(metric, {})[module] = rows["step"].to_numpy(), rows["value"].to_numpy()
    panels = []
    for row, metrics in ROWS:
        for metric, title in metrics:
            found = series.get(metric, {})
            if metric == "distance" and "distance.y" in series:
                continue  # it is y's
            if found:
                panels.append(
                    _panel(row, metric, title, {m: found[m] for m in order if m in found})
                )
    if not panels:
        raise InputError(
            f"The probe logged only {', '.join(sorted(series))}, which the dashboard does not "
            f"draw; log grad_norm, or pass metrics=None to the probe."
        )
    last = {
        module: {
            metric: float(found[module][1][-1])
            for metric, found in series.items()
            if module in found
        }
        for module in order
    }
    return Dashboard(tuple(panels), layers, steps, last)


def _panel(row: str, metric: str, title: str, found: dict[str, tuple[Any, Any]]) -> Panel:
    alike = _all_equal(list(found.values())) and len(found) > 1
    if alike:
        found = {"": next(iter(found.values()))}
    curves = []
    for module, (step, value) in found.items():
        kept = thinned(value)
        name = module or ("every layer" if alike else WHOLE)
        curves.append(Curve(title, name, step[kept], value[kept]))
    shown = np.concatenate([np.asarray(curve.y) for curve in curves])
    positive = shown[np.isfinite(shown) & (shown != 0)]
    log = metric in LOGARITHMIC and positive.size > 0 and positive.min() > 0
    return Panel(row, metric, title, tuple(curves), bool(log))


def _all_equal(found: list[tuple[Any, Any]]) -> bool:
    first = found[0]
    return all(
        np.array_equal(step, first[0]) and np.array_equal(value, first[1]) for step, value in found
    )


def thinned(value: NDArray[np.float64], most: int = MOST) -> NDArray[np.int64]:
    """Indices of at most `most` entries: the ends' parts, each with its least and largest entry."""
    n = len(value)
    if n <= most:
        return np.arange(n)
    parts = np.array_split(np.arange(n), most // 2)
    kept = {int(part[pick(value[part])]) for part in parts for pick in (np.argmin, np.argmax)}
    return np.array(sorted(kept))
