// The frame that explorers share: native controls, a sentence for what is wrong, facts, pictures.
import { html } from "./plots.js";

// Builds an explorer in `el` over a `model` that holds `inputs` and `data`, as anywidget's does.
//   controls: [{key, label, kind: "slider" | "choice" | "check" | "number", ...}] or {node}
//   parts: the elements below the controls
//   draw(data, inputs): shows what was computed; it returns the facts, [[name, value], ...]
//   used(key, inputs): whether a control has an effect
//   show(inputs): shows what needs no computing, at once
//   always(data): shows what is known even where the data are an error
//   before: elements above the pictures
export function explorer({ model, el, controls, parts, draw, used = () => true, show = () => {},
  always = () => {}, before = [] }) {
  const error = html("p", { className: "error", hidden: true });
  error.setAttribute("role", "alert");
  const facts = html("p", { className: "facts" });
  facts.setAttribute("role", "status");
  const made = controls.map((one) =>
    (one.node ? { node: one.node, show() {} } : control(one, model)));
  const panels = html("div", { className: "panels" }, ...parts);
  el.classList.add("sftx");
  el.replaceChildren(
    html("div", { className: "controls" }, ...made.map((one) => one.node)), error, facts,
    ...before, panels);

  function onInputs() {
    const inputs = model.get("inputs");
    made.forEach((one, i) => one.show(inputs[controls[i].key], used(controls[i].key, inputs)));
    show(inputs);
  }
  function onData() {
    const data = model.get("data"), wrong = data.error !== undefined;
    error.hidden = !wrong;
    error.textContent = wrong ? data.error : "";
    panels.classList.toggle("stale", wrong);
    facts.classList.toggle("stale", wrong);
    for (const one of before) one.classList.toggle("stale", wrong);
    always(data);
    if (wrong) return;
    facts.replaceChildren(...draw(data, model.get("inputs")).map(([name, value]) =>
      html("span", {}, `${name} `, html("b", { textContent: value }))));
  }
  model.on("change:inputs", onInputs);
  model.on("change:data", onData);
  onInputs();
  onData();
  return () => {
    model.off("change:inputs", onInputs);
    model.off("change:data", onData);
  };
}

// Changes one input; what follows from it comes back as the model's data.
export function change(model, key, value) {
  model.set("inputs", { ...model.get("inputs"), [key]: value });
  model.save_changes();
}

const KINDS = { slider, choice, check, number };

function control(one, model) {
  return KINDS[one.kind](one, (value) => change(model, one.key, value));
}

function field(label, className, ...children) {
  return html("label", { className: `control ${className}` },
    html("span", { textContent: label }), ...children);
}

// min, max, step; with `log` they are logarithms to base 10, and values have three digits
function slider({ label, min, max, step, log, shown = String }, set) {
  const input = html("input", { type: "range", min, max, step });
  const output = html("b");  // an <output> would be what the label names, instead of the input
  const node = field(label, "slider", output, input);
  const read = () => (log ? Number((10 ** input.value).toPrecision(3)) : Number(input.value));
  input.oninput = () => { say(read()); set(read()); };
  function say(value) {
    output.textContent = shown(value);
    input.setAttribute("aria-valuetext", shown(value));
  }
  return {
    node,
    show(value, used) {
      if (read() !== value) input.value = log ? Math.log10(value) : value;
      say(value);
      input.disabled = !used;
      node.classList.toggle("unused", !used);
    },
  };
}

function choice({ label, options }, set) {
  const input = html("select");
  const node = field(label, "choice", input);
  fill(options);
  input.onchange = () => set(input.value);
  function fill(names) {
    input.replaceChildren(...names.map((name) =>
      html("option", { value: name, textContent: name })));
  }
  return {
    node, fill,
    show(value, used) {
      input.value = value;
      node.hidden = !used;
    },
  };
}

function check({ label }, set) {
  const input = html("input", { type: "checkbox" });
  input.onchange = () => set(input.checked);
  return {
    node: html("label", { className: "control check" }, input,
      html("span", { textContent: label })),
    show(value) { input.checked = value; },
  };
}

// a number that may be left out: null
function number({ label, hint = "" }, set) {
  const input = html("input", { type: "number", min: 0, step: "any", placeholder: hint });
  input.onchange = () => set(input.value === "" ? null : Number(input.value));
  return {
    node: field(label, "number", input),
    show(value) { input.value = value ?? ""; },
  };
}

// A value as facts say it.
export const digits = (value, count = 4) =>
  (Math.abs(value) >= 1e5 || (value !== 0 && Math.abs(value) < 1e-3)
    ? value.toExponential(count - 1) : String(Number(value.toPrecision(count))));
