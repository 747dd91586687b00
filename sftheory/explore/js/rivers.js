// The river explorer: a run in a valley whose floor descends, and what its averaging amounts to.
import { digits, explorer } from "./controls.js";
import { panel } from "./plots.js";
import { methodNames, scheduleNames } from "./tableaus.js";

const count = (n) => Array.from({ length: n }, (_, i) => i);

export function render({ model, el }) {
  const valley = panel("The path");
  const split = panel("The loss: hill and river");
  const schedule = panel("Steps and effective schedule");
  const controls = [
    { kind: "choice", key: "method", label: "method", options: methodNames },
    { kind: "choice", key: "schedule", label: "schedule", options: scheduleNames },
    { kind: "slider", key: "gamma", label: "largest step γ", min: -3, max: 0, step: 0.01,
      log: true },
    { kind: "slider", key: "beta", label: "β, weight of x in y",
      min: 0, max: 0.99, step: 0.01 },
    { kind: "slider", key: "C", label: "C, window of the average", min: 0, max: 3, step: 0.01,
      log: true },
    { kind: "slider", key: "noise", label: "noise across the river", min: 0, max: 5, step: 0.1 },
    { kind: "slider", key: "steps", label: "steps N", min: 10, max: 500, step: 10 },
    { kind: "slider", key: "seed", label: "seed of the noise", min: 0, max: 7, step: 1 },
  ];

  function used(key, { method }) {
    if (key === "C") return method === "refined schedule-free";
    return key !== "beta" || method.endsWith("schedule-free");
  }

  function draw(data, { method }) {
    const t = count(data.steps + 1), s = count(data.steps).map((i) => i + 1);
    const averages = method !== "last iterate";
    const base = (one) => (averages ? [{ name: "base point z", color: 1, faint: true, width: 1,
      ...one }] : []);
    const report = averages ? "average x" : "last iterate x";
    const [hill, river] = [data.hill.x.at(-1), data.river.x.at(-1)];
    valley.draw({
      x: { label: "r, along the river" }, y: { label: "h, across" },
      series: [
        ...contours(Math.max(...data.x.r, ...data.z.r), Math.max(...data.z.h.map(Math.abs))),
        ...base({ x: data.z.r, y: data.z.h }),
        { name: report, color: 0, x: data.x.r, y: data.x.h, width: 2 },
        { name: "report", color: 0, dots: 5, x: [data.x.r.at(-1)], y: [data.x.h.at(-1)] },
      ],
      summary: `The report ends at r = ${digits(data.x.r.at(-1))}, h = ${digits(data.x.h.at(-1))}.`,
    });
    split.draw({
      x: { label: "step t" }, y: { label: "loss (log)", log: true, least: 1e-6 },
      series: [
        ...base({ name: "hill at z", x: t, y: data.hill.z }),
        { name: `hill at ${report}`, color: 0, x: t, y: data.hill.x },
        { name: "river at x", color: 2, dash: 1, x: t, y: data.river.x, width: 2.2 },
      ],
      summary: `At the end the hill has ${digits(hill)} and the river ${digits(river)}.`,
    });
    schedule.draw({
      x: { label: "step s" }, y: { label: "step size", range: [0, null] },
      series: [
        { name: "steps γ", color: 4, dash: 1, x: s, y: data.gamma },
        { name: "effective schedule h", color: 3, x: s, y: data.effective, width: 2.2 },
      ],
      summary: "x ends at its start less the gradients, each times its entry of h.",
    });
    return [["loss", digits(hill + river)], ["hill", digits(hill)], ["river", digits(river)],
      ["along the river, r", digits(data.x.r.at(-1))]];
  }

  return explorer({ model, el, controls, used, draw,
    parts: [valley.figure, split.figure, schedule.figure] });
}

// Level lines of 10 h² + 1/(1 + r): they narrow where the river has descended.
function contours(far, wide) {
  const r = count(61).map((i) => (i / 60) * far * 1.05);
  const levels = count(7).map((i) => 1 / (1 + (far * i) / 6) + 0.02);
  for (let extra = 2; extra < 12 * wide * wide && levels.length < 16; extra *= 2)
    levels.push(extra);
  const half = (level) => r.map((one) => {
    const left = level - 1 / (1 + one);
    return left >= 0 ? Math.sqrt(left / 10) : null;
  });
  return levels.flatMap((level) => {
    const h = half(level);
    return [1, -1].map((side) => ({ x: r, y: h.map((v) => v && side * v), color: "level",
      width: 1, loose: true }));
  });
}
