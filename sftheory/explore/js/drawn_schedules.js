// The worst-case explorer: draw a schedule, see the worst that a convex function makes of it.
import { change, digits, explorer } from "./controls.js";
import { editor } from "./dragging.js";
import { html, panel } from "./plots.js";

const even = Array.from({ length: 9 }, (_, i) => i / 8);
const PRESETS = {
  "linear decay": even.map((u) => [u, 1 - u]),
  constant: even.map((u) => [u, 0.5]),
  cosine: even.map((u) => [u, (1 + Math.cos(Math.PI * u)) / 2]),
  "WSD, 20% cooldown": [0, 0.2, 0.4, 0.6, 0.8, 0.85, 0.9, 0.95, 1].map((u) =>
    [u, Math.min(1, (1 - u) / 0.2)]),
  "warm-up and decay": [0, 0.05, ...even.slice(1)].map((u) => [u, Math.min(u / 0.05, 1 - u)]),
};
const round = (v) => Number(v.toFixed(4));

export function render({ model, el }) {
  const chart = editor("Your schedule: drag a point, or focus it and use the arrow keys",
    (points) => change(model, "points", points));
  const losses = panel("The run on its worst function");
  const section = panel("The worst function from start to report");
  const slopes = panel("How W changes with each step");

  const preset = html("select", {}, html("option", { textContent: "choose …", value: "" }),
    ...Object.keys(PRESETS).map((name) => html("option", { textContent: name, value: name })));
  preset.onchange = () => {
    if (preset.value)
      change(model, "points", PRESETS[preset.value].map((p) => p.map(round)));
    preset.value = "";
  };
  const scale = html("button", { type: "button", textContent: "scale to the best" });
  scale.onclick = () => {
    const { scale: factor } = model.get("data"), { points } = model.get("inputs");
    if (factor) change(model, "points", points.map(([u, h]) => [u, h * factor]));
  };
  const controls = [
    { node: html("label", { className: "control choice" },
      html("span", { textContent: "start from" }), preset) },
    { kind: "slider", key: "steps", label: "steps N", min: 1, max: 400, step: 1 },
    { node: html("div", { className: "control" }, scale) },
  ];

  function draw(data) {
    const t = data.run.map((_, i) => i), k = data.gamma.map((_, i) => i + 1);
    const end = t.length - 1;
    const level = (name, value, color, dash) =>
      ({ name, x: [0, end], y: [value, value], color, dash });
    losses.draw({
      x: { label: "step t" }, y: { label: "f − f* (log)", log: true, least: 1e-6 },
      series: [
        level("bound Ω", data.omega, 1, 3), level("least possible", data.minimax, 2, 1),
        { name: "f at x", x: t, y: data.run, color: 0, width: 2.2 },
        { name: "report: the worst case", x: [end], y: [data.value], color: 0, dots: 5 },
      ],
      summary: `It ends at ${digits(data.value)}, the worst case.`,
    });
    section.draw({
      x: { label: "s, place on the line" }, y: { label: "f − f*", range: [0, null] },
      series: data.section ? [{ x: data.section.s, y: data.section.f, color: 3, width: 2.2 }] : [],
      marks: data.section ? [{ x: 0, name: "start" }, { x: 1, name: "report" }] : [],
      summary: data.section ? `${data.pieces} linear pieces.` : "The run does not move.",
    });
    slopes.draw({
      x: { label: "step k" }, y: { label: "∂W / ∂γ" },
      series: [{ x: [1, k.length], y: [0, 0], color: 5, width: 1 },
        { name: "below 0 a longer step helps", x: k, y: data.gradient, color: 4, width: 2 }],
      summary: "Zero throughout for the minimax schedule.",
    });
    scale.disabled = !data.scale;
    return [
      ["worst case W", digits(data.value, 6)],
      ["times the least possible", digits(data.value / data.minimax, 5)],
      ["bound Ω", digits(data.omega, 5)], ["Ω / W", digits(data.omega / data.value)],
      ["best scale",
        data.scale ? `× ${digits(data.scale)}, then W ${digits(data.scaled, 5)}` : "none"],
      ["pieces of the worst function", String(data.pieces)],
    ];
  }
  const show = ({ points, steps }) => chart.show(points, {
    name: "minimax: linear decay", x: [0, 1], y: [steps / (steps + 1), 0], color: 2, dash: 1 });

  chart.figure.classList.add("wide");
  return explorer({ model, el, controls, draw, show,
    parts: [chart.figure, losses.figure, section.figure, slopes.figure] });
}
