"""The dashboard as one self-contained page: hover names a layer, a click keeps it, no network."""

from __future__ import annotations

import html
import json
import math
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from sftheory.figures.dashboard_look import CSS, SCRIPT
from sftheory.figures.dashboard_picture import layer_colors
from sftheory.figures.dashboards import TOGETHER, WHOLE, Dashboard, Panel

BOX = (46.0, 392.0, 8.0, 178.0)  # left, right, top and bottom of a panel's axes


def page(board: Dashboard) -> str:
    """The file's text; names of modules are escaped, so that no name can be markup."""
    count = len(board.layers)
    pairs = zip(layer_colors(count), layer_colors(count, dark=True), strict=True)
    colors = dict(zip(board.layers, [[to_hex(a), to_hex(b)] for a, b in pairs], strict=False))
    scales = [_scale(panel, board) for panel in board.panels]
    for row in TOGETHER:
        same = [i for i, panel in enumerate(board.panels) if panel.row == row]
        if same:
            low, high = min(scales[i][0] for i in same), max(scales[i][1] for i in same)
            scales = [(low, high) if i in same else s for i, s in enumerate(scales)]
    sections, row = [], ""
    for i, panel in enumerate(board.panels):
        if panel.row != row:
            sections.append(f"{'</div>' if row else ''}<h2>{panel.row}</h2><div class=row>")
            row = panel.row
        sections.append(_figure(i, panel, colors, scales[i], board.steps))
    data = [_data(*both, board.steps) for both in zip(board.panels, scales, strict=True)]
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    first, last = board.steps
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>sftheory: dashboard</title><style>{CSS}</style></head><body>"
        f"<h1>What the probe saw</h1><p>Steps {first} to {last}, {count} layers. Point at a curve "
        f"or a name to see it everywhere, click to keep it.</p>{_key(board, colors)}"
        f"{''.join(sections)}</div><h2>Last values</h2>{_table(board)}"
        f"<script>const DATA = {text};{SCRIPT}</script></body></html>"
    )


def _key(board: Dashboard, colors: dict[str, list[str]]) -> str:
    names = [(WHOLE, None), *((name, colors[name]) for name in board.layers)]
    return "<div id=key>" + "".join(_button(*name) for name in names) + "</div>"


def _button(name: str, color: list[str] | None) -> str:
    safe = html.escape(name, quote=True)
    return f'<button data-name="{safe}" aria-pressed=false><i {_look(color)}></i>{safe}</button>'


def _look(color: list[str] | None) -> str:
    light, dark = color or ("var(--ink)", "var(--ink)")
    return f'style="--light:{light};--dark:{dark}"'


def _scale(panel: Panel, board: Dashboard) -> tuple[float, float]:
    """The least and the largest drawn value, of logarithms where the panel has them."""
    y = np.concatenate([np.asarray(curve.y, float) for curve in panel.curves])
    y = y[np.isfinite(y)]
    y = np.log10(y) if panel.log else y
    low, high = (float(y.min()), float(y.max())) if y.size else (0.0, 1.0)
    room = 0.04 * (high - low) or (0.5 if panel.log else 0.05 * abs(high) or 1.0)
    return low - room, high + room


def _figure(
    i: int,
    panel: Panel,
    colors: dict[str, list[str]],
    scale: tuple[float, float],
    steps: tuple[int, int],
) -> str:
    left, right, top, bottom = BOX
    span = max(steps[1] - steps[0], 1)

    def px(x: Any) -> Any:
        return left + (np.asarray(x, float) - steps[0]) / span * (right - left)

    def py(y: Any) -> Any:
        return bottom - (np.asarray(y, float) - scale[0]) / (scale[1] - scale[0]) * (bottom - top)

    parts = []
    for tick, name in _ticks(scale, panel.log):
        y = float(py(tick))
        parts.append(f"<line class=grid x1={left} x2={right} y1={y:.1f} y2={y:.1f} />")
        parts.append(f'<text x={left - 5} y={y + 4:.1f} text-anchor="end">{name}</text>')
    for tick in _steps_to_mark(steps):
        x = float(px(tick))
        parts.append(f"<line class=grid x1={x:.1f} x2={x:.1f} y1={top} y2={bottom} />")
        parts.append(f'<text x={x:.1f} y={bottom + 14} text-anchor="middle">{tick}</text>')
    for curve in sorted(panel.curves, key=lambda c: c.series in colors):
        y = np.asarray(curve.y, float)
        known = np.isfinite(y)
        y = np.log10(y[known]) if panel.log else y[known]
        points = zip(px(np.asarray(curve.x)[known]), py(y), strict=True)
        line = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points) if known.any() else ""
        look = _look(colors.get(curve.series))
        look += "" if curve.series in colors else " class=whole"
        parts.append(
            f'<path {look} data-name="{html.escape(curve.series, quote=True)}" d="{line}"/>'
        )
    parts.append('<circle r=3.5 style="display:none;fill:var(--ink)"/>')
    title, drawn = html.escape(panel.title, quote=True), "".join(parts)
    return (
        f"<figure data-panel={i}><figcaption><span>{title}</span><output></output></figcaption>"
        f'<svg viewBox="0 0 400 198" role="img" aria-label="{title}">{drawn}</svg></figure>'
    )


def _data(panel: Panel, scale: tuple[float, float], steps: tuple[int, int]) -> dict[str, Any]:
    curves = []
    for curve in panel.curves:
        y = [
            None if not math.isfinite(v) else float(f"{v:.6g}")
            for v in np.asarray(curve.y).tolist()
        ]
        curves.append({"name": curve.series, "x": np.asarray(curve.x).tolist(), "y": y})
    x = [steps[0], max(steps[1], steps[0] + 1)]
    return {"x": x, "y": list(scale), "box": list(BOX), "log": panel.log, "curves": curves}


def _ticks(scale: tuple[float, float], log: bool) -> list[tuple[float, str]]:
    low, high = scale
    if log and high - low > 1:
        every = max(1, math.ceil((high - low) / 5))
        exact = range(math.ceil(low), math.floor(high) + 1, every)
        return [(k, f"{10.0**k:g}" if -4 < k < 5 else f"1e{k}") for k in exact]
    if log:
        values = [
            m * 10.0**k for k in range(math.floor(low), math.ceil(high) + 1) for m in (1, 2, 5)
        ]
        return [(math.log10(v), f"{v:g}") for v in values if low <= math.log10(v) <= high]
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    unit *= next(m for m in (1, 2, 5, 10) if m * unit >= rough)
    ticks = [k * unit for k in range(math.ceil(low / unit), math.floor(high / unit) + 1)]
    return [(tick, f"{tick:.6g}") for tick in ticks]


def _steps_to_mark(steps: tuple[int, int]) -> list[int]:
    first, last = steps
    ticks = [int(tick) for tick, _ in _ticks((first, max(last, first + 1)), log=False)]
    return sorted(set(ticks))


def _table(board: Dashboard) -> str:
    metrics = list(dict.fromkeys(panel.metric for panel in board.panels))
    head = "".join(f"<th>{html.escape(metric)}</th>" for metric in ["layer", *metrics])
    rows = []
    for module, values in board.last.items():
        cells = [f"{values[m]:.4g}" if m in values else "–" for m in metrics]
        name = html.escape(module or WHOLE)
        rows.append(f"<tr><td>{name}</td>" + "".join(f"<td>{c}</td>" for c in cells) + "</tr>")
    body = "".join(rows)
    return (
        f"<div class=table><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
