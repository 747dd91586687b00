// The static page: the explorers' own modules over models that compute here.
import { answer } from "./checks.js";
import { render as drawnSchedule } from "./drawn_schedules.js";
import { render as droppedLog } from "./dropped_logs.js";
import { lawData } from "./law_numbers.js";
import { riverData } from "./river_numbers.js";
import { render as river } from "./rivers.js";
import { worstCaseData } from "./worst_numbers.js";

// What anywidget gives to `render`, without a kernel.
export function localModel(compute, inputs) {
  const state = { inputs, data: answer(compute, inputs) }, listeners = new Map();
  const told = (event) => [...(listeners.get(event) ?? [])].forEach((one) => one());
  return {
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      told(`change:${name}`);
    },
    save_changes() {
      state.data = answer(compute, state.inputs);
      told("change:data");
    },
    on(event, one) { listeners.set(event, [...(listeners.get(event) ?? []), one]); },
    off(event, one) {
      listeners.set(event, (listeners.get(event) ?? []).filter((f) => f !== one));
    },
  };
}

// Float64 numbers in base64, in rows of `width`.
export function tableOf(text, width) {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  const numbers = Array.from(new Float64Array(bytes.buffer));
  return Array.from({ length: numbers.length / width }, (_, i) =>
    numbers.slice(i * width, (i + 1) * width));
}

export function start({ noise, width, inputs }) {
  const table = tableOf(noise, width);
  const explorers = {
    river: [river, (one) => riverData(one, table)],
    worst_case: [drawnSchedule, worstCaseData],
    law: [droppedLog, lawData],
  };
  for (const [name, [render, compute]] of Object.entries(explorers))
    render({ model: localModel(compute, inputs[name]), el: document.getElementById(name) });
}
