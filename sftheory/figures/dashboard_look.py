"""Style and script of the dashboard's page."""

CSS = """
:root { --ink: #1a1a1a; --soft: #5b6068; --paper: #ffffff; --card: #f6f7f9; --line: #dfe2e6;
  color-scheme: light dark; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --soft: #a3a9b3; --paper: #0e1013;
  --card: #14171c; --line: #2a2f37; } }
[style] { --here: var(--light); }
@media (prefers-color-scheme: dark) { [style] { --here: var(--dark); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 14px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.35rem; margin: .2rem 0; } h2 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .2rem 0; color: var(--soft); }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: .8rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; padding: .5rem .6rem; }
figcaption { display: flex; justify-content: space-between; gap: 1rem; min-height: 1.5em; }
figcaption output { color: var(--soft); text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; display: block; overflow: visible; touch-action: pan-y; }
svg text { fill: var(--soft); font-size: 11px; } .grid { stroke: var(--line); }
path { fill: none; stroke-width: 1.2; stroke: var(--here); } path.whole { stroke-width: 2; }
.faded path:not(.on) { opacity: .13; } path.on { stroke-width: 2.6; }
#key { display: flex; flex-wrap: wrap; gap: .3rem; margin: .7rem 0; position: sticky; top: 0;
  background: var(--paper); padding: .4rem 0; max-height: 7.5rem; overflow-y: auto; z-index: 1; }
#key button { font: inherit; color: inherit; background: none; border: 1px solid var(--line);
  border-radius: 1rem; padding: 0 .6rem 0 .4rem; cursor: pointer; }
#key button[aria-pressed=true] { border-color: var(--ink); font-weight: 600; }
#key i { display: inline-block; width: .8em; height: .8em; border-radius: 50%;
  margin-right: .35em; vertical-align: -.06em; background: var(--here); }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .2rem .7rem .2rem 0; border-top: 1px solid var(--line); text-align: right;
  white-space: nowrap; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 600; border: 0; } th:first-child, td:first-child {
  text-align: left; position: sticky; left: 0; background: var(--paper); }
"""

SCRIPT = """
const key = document.getElementById("key");
let kept = null;
const digits = (v) => Number(v.toPrecision(4)).toString();
function show(name) {
  document.body.classList.toggle("faded", name !== null);
  for (const path of document.querySelectorAll("path[data-name]"))
    path.classList.toggle("on", path.dataset.name === name);
  for (const button of key.children)
    button.setAttribute("aria-pressed", String(button.dataset.name === name));
}
const keep = (name) => show(kept = kept === name ? null : name);
for (const button of key.children) {
  button.onclick = () => keep(button.dataset.name);
  button.onmouseenter = () => show(button.dataset.name);
  button.onmouseleave = () => show(kept);
}
for (const figure of document.querySelectorAll("figure")) {
  const svg = figure.querySelector("svg"), out = figure.querySelector("output");
  const panel = DATA[figure.dataset.panel], mark = svg.querySelector("circle");
  const [x0, x1] = panel.x, [y0, y1] = panel.y, [left, right, top, bottom] = panel.box;
  const px = (x) => left + (x - x0) / (x1 - x0) * (right - left);
  const py = (y) => bottom - ((panel.log ? Math.log10(y) : y) - y0) / (y1 - y0) * (bottom - top);
  const near = (event) => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = null;
    for (const curve of panel.curves) {
      const at = curve.x.reduce((b, v, i) => Math.abs(px(v) - x) < Math.abs(px(curve.x[b]) - x)
        ? i : b, 0);
      if (curve.y[at] === null) continue;
      const away = Math.abs(py(curve.y[at]) - y);
      if (best === null || away < best.away) best = { away, curve, at };
    }
    return best;
  };
  svg.onpointermove = (event) => {
    const found = near(event);
    if (!found) return;
    const { curve, at } = found;
    out.value = `${curve.name} · step ${curve.x[at]} · ${digits(curve.y[at])}`;
    mark.setAttribute("cx", px(curve.x[at])); mark.setAttribute("cy", py(curve.y[at]));
    mark.style.display = "inline";
    show(curve.name);
  };
  svg.onpointerleave = () => { out.value = ""; mark.style.display = "none"; show(kept); };
  svg.onclick = (event) => { const found = near(event); if (found) keep(found.curve.name); };
}
"""
