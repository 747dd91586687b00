// The law explorer: drop a log, get a/sqrt(t + b) + c and whether it holds.
import { change, digits, explorer } from "./controls.js";
import { html, panel } from "./plots.js";

const LARGEST = 5000000;

export function render({ model, el }) {
  const picture = panel("The loss and the law", { height: 320 });
  const verdict = html("p", { className: "verdict" });
  const notes = html("p", { className: "note" });
  const spot = html("p", { className: "note", textContent: "Drop a log here, or choose a file." });

  const chosen = html("input", { type: "file" });
  const zone = html("label", { className: "control drop" },
    html("span", { textContent: "a log: drop it here, or" }), chosen);
  chosen.onchange = () => chosen.files[0] && take(chosen.files[0]);
  for (const event of ["dragenter", "dragover"])
    el.addEventListener(event, (e) => { e.preventDefault(); zone.classList.add("over"); });
  for (const event of ["dragleave", "drop"])
    el.addEventListener(event, () => zone.classList.remove("over"));
  el.addEventListener("drop", (e) => {
    e.preventDefault();
    if (e.dataTransfer.files[0]) take(e.dataTransfer.files[0]);
  });
  async function take(file) {
    const text = file.size > LARGEST ? "" : await file.text().catch(() => "\0");  // a folder
    model.set("inputs", { ...model.get("inputs"), text, name: file.name, size: file.size, y: null,
      start: null, stop: null, cut: false, at: null });
    model.save_changes();
  }

  const example = html("button", { type: "button", textContent: "use an example" });
  example.onclick = () => take(new File([exampleLog()], "example.csv"));
  const series = html("select");
  const loss = html("label", { className: "control choice" },
    html("span", { textContent: "which loss" }), series);
  series.onchange = () => series.value && change(model, "y", series.value);
  const controls = [
    { node: zone },
    { node: html("div", { className: "control" }, example) },
    { node: loss },
    { kind: "number", key: "start", label: "first step to fit", hint: "all" },
    { kind: "number", key: "stop", label: "last step to fit", hint: "all" },
    { kind: "number", key: "at", label: "forecast at step", hint: "twice the run" },
    { kind: "check", key: "cut", label: "fit only the plateau that is found" },
  ];

  let drawn = false;
  function always({ losses = [], waiting }) {
    loss.hidden = losses.length < 2;
    series.replaceChildren(html("option", { value: "", textContent: "choose …" }),
      ...losses.map((name) => html("option", { value: name, textContent: name })));
    series.value = model.get("inputs").y ?? "";
    for (const part of [picture.figure, verdict, notes]) part.hidden = Boolean(waiting) || !drawn;
    spot.hidden = !waiting;
  }

  function draw(data) {
    if (data.waiting) return [];
    drawn = true;
    always(data);
    const { points, curve, fitted, verdicts, forecast } = data, band = curve?.low;
    verdict.replaceChildren(...verdicts.map((one) => html("span", {},
      html("b", { textContent: one.verdict,
        className: one.verdict === "fits" ? "good" : "doubt" }), ` ${one.reason}.`,
      one.verdict === "phases" ? " For numbers, fit only the plateau." : "")));
    notes.textContent = [`${data.name}: ${data.account}`, ...data.notes, data.limits]
      .filter(Boolean).join(" ");
    const from = fitted.first > 0;
    picture.draw({
      x: { label: from ? `${data.x} (log)` : data.x, log: from }, y: { label: data.y },
      bands: band ? [{ x: curve.step, low: curve.low, high: curve.high, color: 1 }] : [],
      series: [
        { name: `${data.count} points of ${data.y}`, x: points.step, y: points.loss, color: 0,
          dots: points.step.length > 150 ? 1.5 : 2.5 },
        ...(curve ? [{ name: "a/√(t + b) + c" + (band ? " with its 95% interval" : ""),
          x: curve.step, y: curve.loss, color: 1, width: 2.4 }] : []),
        ...(forecast ? [{ name: "forecast", x: [forecast.step], y: [forecast.loss], color: 3,
          dots: 5 }] : []),
      ],
      marks: fitted.count < data.count ? [{ x: fitted.first, name: "" },
        { x: fitted.last, name: "fitted" }] : [],
      summary: `Verdict: ${verdicts[0].verdict}.`,
    });
    return facts(data);
  }

  return explorer({ model, el, controls, draw, always, parts: [spot, picture.figure],
    before: [verdict, notes] });
}

function facts({ parameters, intervals, exponent, forecast, fitted }) {
  const within = (ends) => (ends ? ` [${ends.map((v) => digits(v)).join(", ")}]` : "");
  if (!parameters) return [["points", String(fitted.count)]];
  const found = Object.entries(parameters).map(([name, v]) =>
    [name, digits(v, 5) + within(intervals?.[name])]);
  found.push([`loss at ${digits(forecast.step, 6)}`, digits(forecast.loss, 5)
    + within(forecast.low === null ? null : [forecast.low, forecast.high])]);
  const p = `${exponent.value.toFixed(3)} ± ${exponent.error.toFixed(3)}`;
  return [...found, ["free exponent p", p], ["points fitted", String(fitted.count)]];
}

// A curve with a warm-up, on which the law holds afterwards.
function exampleLog() {
  const rows = ["step,train_loss,lr"];
  for (let t = 50; t <= 10000; t += 50) {
    const noise = 0.004 * Math.cos(2.399 * (t / 50) ** 1.5), rate = Math.min(1, t / 500);
    const loss = 28 / Math.sqrt(t + 60) + 2.95 + 1.5 * Math.exp(-t / 150) + noise;
    rows.push(`${t},${loss.toFixed(4)},${(0.001 * rate).toFixed(6)}`);
  }
  return `${rows.join("\n")}\n`;
}
