// Pictures as SVG: axes with labels, lines that differ in colour and dash, drawn to fit the width.

const NS = "http://www.w3.org/2000/svg";
const DASHES = ["", "7 4", "1.5 3", "9 3 2 3"];

export function svg(name, attributes = {}, parent = null) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

export function html(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

// A number as a tick says it.
export function label(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [digits, power] = value.toExponential(3).split("e");
    return `${Number(digits)}e${Number(power)}`;
  }
  return String(Number(value.toPrecision(4)));
}

// Ticks of [low, high]: {at, text}, at in the unit of the axis, logarithms where `log`.
export function ticks(low, high, log, most) {
  if (!log) {
    const rough = (high - low) / most;
    let unit = 10 ** Math.floor(Math.log10(rough));
    unit *= [1, 2, 5, 10].find((m) => m * unit >= rough * (1 - 1e-9));
    const found = [];
    for (let k = Math.ceil(low / unit - 1e-9); k * unit <= high + 1e-9 * unit; k++)
      found.push({ at: k * unit, text: label(k * unit) });
    return found;
  }
  const decades = Math.floor(high + 1e-9) - Math.ceil(low - 1e-9) + 1;
  const found = [];
  if (decades >= 3) {
    const every = Math.ceil(decades / most);
    for (let k = Math.ceil(low - 1e-9); k <= high + 1e-9; k++)
      if (k % every === 0) found.push({ at: k, text: label(10 ** k) });
    return found;
  }
  for (let k = Math.floor(low); k <= high; k++)
    for (const m of [1, 2, 5]) {
      const at = k + Math.log10(m);
      if (at >= low - 1e-9 && at <= high + 1e-9)
        found.push({ at, text: label(Number((m * 10 ** k).toPrecision(1))) });
    }
  return found.length >= 2 ? found : ticks(10 ** low, 10 ** high, false, most)
    .filter(({ at }) => at > 0).map(({ at, text }) => ({ at: Math.log10(at), text }));
}

function range(axis, series, key) {
  let low = Infinity, high = -Infinity;
  for (const one of series) {
    if (one.loose) continue;
    for (const v of one[key]) {
      if (v === null || !Number.isFinite(v) || (axis.log && v <= 0)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  if (axis.range) [low, high] = axis.range.map((v, i) => v ?? [low, high][i]);
  if (axis.least && high / axis.least > low) low = Math.max(low, high * axis.least);
  if (!(low <= high)) [low, high] = axis.log ? [0.1, 1] : [0, 1];
  if (axis.log) [low, high] = [Math.log10(low), Math.log10(high)];
  const room = (high - low) * 0.04 || (axis.log ? 0.2 : 0.05 * Math.abs(high) || 0.5);
  if (!axis.range || axis.range[0] === null) low -= room;
  if (!axis.range || axis.range[1] === null) high += room;
  return [low, high];
}

// A figure with a title, a legend and axes. draw(spec) draws
//   {x: {label, log, range, least}, y: the same, series: [{name, x, y, color, dash, width, faint,
//    loose, dots}], bands: [{x, low, high, color}], marks: [{x, name}], summary}
// `scale` turns numbers into pixels and back, `front` is a layer above the lines, and `ondraw` is
// called after each drawing.
export function panel(title, { height = 240 } = {}) {
  const legend = html("div", { className: "legend" });
  const picture = svg("svg", { role: "img" });
  const figure = html("figure", {}, html("figcaption", { textContent: title }), legend, picture);
  const back = svg("g", {}, picture), inside = svg("svg", {}, picture);
  const front = svg("g", {}, picture);
  const made = { figure, picture, front, scale: null, draw, ondraw: null };
  let last = null, wide = 0;

  function draw(spec) {
    last = spec;
    const width = picture.clientWidth || figure.clientWidth;
    if (width < 120) return;  // not laid out yet; drawn when it is
    wide = width;
    picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
    picture.setAttribute("height", height);
    picture.setAttribute("aria-label", `${title}. ${spec.summary ?? ""}`);
    const [x0, x1] = range(spec.x, spec.series, "x"), [y0, y1] = range(spec.y, spec.series, "y");
    const yTicks = ticks(y0, y1, spec.y.log, 5);
    const left = 24 + 6.2 * Math.max(...yTicks.map(({ text }) => text.length));
    const right = width - 10, top = 8, bottom = height - 36;
    const px = (x) => left + ((spec.x.log ? Math.log10(x) : x) - x0) / (x1 - x0) * (right - left);
    const py = (y) => bottom - ((spec.y.log ? Math.log10(y) : y) - y0) / (y1 - y0) * (bottom - top);
    const value = (v, log) => (log ? 10 ** v : v);
    made.scale = {
      px, py, left, right, top, bottom,
      x: (p) => value(x0 + (p - left) / (right - left) * (x1 - x0), spec.x.log),
      y: (p) => value(y0 + (bottom - p) / (bottom - top) * (y1 - y0), spec.y.log),
    };
    axes(yTicks, ticks(x0, x1, spec.x.log, Math.max(3, Math.round(width / 75))));
    inside.replaceChildren();
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [key, value] of Object.entries(box)) inside.setAttribute(key, value);
    inside.setAttribute("viewBox", `${left} ${top} ${box.width} ${box.height}`);
    for (const band of spec.bands ?? []) {
      const there = band.x.map((x, i) => [px(x), py(band.high[i])]);
      const backwards = band.x.map((x, i) => [px(x), py(band.low[i])]).reverse();
      const d = `M${[...there, ...backwards].map((p) => p.map((v) => v.toFixed(2))).join("L")}Z`;
      svg("path", { d, class: `band c${band.color}` }, inside);
    }
    for (const one of spec.series) {
      const at = one.x.map((x, i) => [x, one.y[i]]).map(([x, y]) => (usable(x, spec.x)
        && usable(y, spec.y) ? [px(x), py(y)] : null));
      if (one.dots)
        for (const p of at) p && svg("circle", { cx: p[0], cy: p[1], r: one.dots,
          class: `dot c${one.color}` }, inside);
      else
        svg("path", { d: path(at), class: `line c${one.color}${one.faint ? " faint" : ""}`,
          "stroke-dasharray": DASHES[one.dash ?? 0], "stroke-width": one.width ?? 1.8 }, inside);
    }
    for (const { x, name } of spec.marks ?? []) {
      svg("line", { x1: px(x), x2: px(x), y1: top, y2: bottom, class: "mark" }, inside);
      const late = px(x) > (left + right) / 2;
      svg("text", { x: px(x) + (late ? -5 : 5), y: top + 11,
        "text-anchor": late ? "end" : "start" }, inside).textContent = name;
    }
    legend.replaceChildren(...spec.series.filter((one) => one.name).map(key));
    made.ondraw?.();

    function axes(yTicks, xTicks) {
      back.replaceChildren();
      let end = -Infinity;
      for (const { at, text } of yTicks) {
        const y = bottom - (at - y0) / (y1 - y0) * (bottom - top);
        svg("line", { x1: left, x2: right, y1: y, y2: y, class: "grid" }, back);
        svg("text", { x: left - 5, y: y + 4, "text-anchor": "end" }, back).textContent = text;
      }
      for (const { at, text } of xTicks) {
        const x = left + (at - x0) / (x1 - x0) * (right - left), half = 3.4 * text.length;
        svg("line", { x1: x, x2: x, y1: top, y2: bottom, class: "grid" }, back);
        if (x - half < end + 6 || x + half > width) continue;
        svg("text", { x, y: bottom + 15, "text-anchor": "middle" }, back).textContent = text;
        end = x + half;
      }
      svg("path", { d: `M${left} ${top}V${bottom}H${right}`, class: "axis" }, back);
      svg("text", { x: (left + right) / 2, y: height - 5, "text-anchor": "middle" }, back)
        .textContent = spec.x.label;
      svg("text", { transform: `translate(11 ${(top + bottom) / 2}) rotate(-90)`,
        "text-anchor": "middle" }, back).textContent = spec.y.label;
    }
  }

  if (typeof ResizeObserver !== "undefined")
    new ResizeObserver(() => last && picture.clientWidth !== wide
      && draw(last)).observe(figure);
  return made;
}

const usable = (v, axis) => v !== null && Number.isFinite(v) && (!axis.log || v > 0);

function path(points) {
  let d = "", pen = "M";
  for (const p of points) {
    if (p) d += `${pen}${p[0].toFixed(2)} ${p[1].toFixed(2)}`;
    pen = p ? "L" : "M";
  }
  return d;
}

function key({ name, color, dash, dots, faint }) {
  const swatch = svg("svg", { viewBox: "0 0 26 10", width: 26, height: 10, "aria-hidden": "true" });
  if (dots) svg("circle", { cx: 13, cy: 5, r: 3, class: `dot c${color}` }, swatch);
  else svg("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: `line c${color}${faint ? " faint" : ""}`,
    "stroke-dasharray": DASHES[dash ?? 0], "stroke-width": 2.2 }, swatch);
  return html("span", {}, swatch, name);
}
