// What sftheory.explore.law_data returns, computed here; intervals are Python's alone.
import { number, Sentence } from "./checks.js";
import { curveOf } from "./log_reading.js";
import { cutTo } from "./phases.js";
import { parametersOf, valueAt } from "./projection.js";
import { judged } from "./verdicts.js";

const LARGEST = 5000000, SHOWN = 600, GRID = 200;

export function lawData({ text, name, size, y, start, stop, cut, at }) {
  const long = Math.max(text.length, size);
  if (long > LARGEST)
    throw new Sentence(`${name} has ${long} characters and at most ${LARGEST} are taken here; ` +
      `use sftheory fit ${name}.`);
  if (!text) return { waiting: "Drop a log here, or choose a file.", losses: [] };
  let curve;
  try {
    curve = curveOf(text, name, y);
  } catch (error) {
    if (error.losses) return { error: error.message, losses: error.losses };
    throw error;
  }
  const part = cutTo(curve, start, stop);
  if (!part.step.length)
    throw new Sentence(`No point lies between start=${start} and stop=${stop}; the steps of this ` +
      `curve go from ${curve.step[0]} to ${curve.step.at(-1)}.`);
  const found = judged(part, cut), n = curve.step.length, every = Math.ceil(n / SHOWN);
  const shown = curve.step.map((_, i) => i).filter((i) => i % every === 0 || i === n - 1);
  const { step } = found.curve;
  return {
    name, x: curve.x, y: curve.y, lr: curve.lr && curve.lrName, losses: curve.losses,
    account: `y = '${curve.y}'; x = '${curve.x}'; ` +
      `${curve.lr ? `lr = '${curve.lrName}'` : "no lr"}; ${n} rows.`,
    points: { step: shown.map((i) => curve.step[i]), loss: shown.map((i) => curve.loss[i]) },
    count: n,
    fitted: { first: step[0], last: step.at(-1), count: step.length },
    verdicts: found.verdicts,
    notes: found.notes,
    limits: `This page gives no intervals; sftheory fit ${name} does.`,
    ...answers(found, at),
  };
}

function answers({ law, curve: { step }, verdicts, p, error }, at) {
  if (["diverging", "phases"].includes(verdicts[0].verdict))
    return { parameters: null, intervals: null, exponent: null, curve: null, forecast: null };
  const first = law.step[0], last = step.at(-1);
  const later = at === null ? 2 * last : number("at", at, first, 1e300);
  const low = first || step[1], high = Math.max(later, last);
  const grid = Array.from({ length: GRID }, (_, i) => low * (high / low) ** (i / (GRID - 1)));
  const { a, b, c } = parametersOf(law);
  return {
    parameters: { a, b, c }, intervals: null, exponent: { value: p, error },
    curve: { step: grid, loss: grid.map((t) => valueAt(law, Math.max(t, first))), low: null,
      high: null },
    forecast: { step: later, loss: valueAt(law, later), low: null, high: null },
  };
}
