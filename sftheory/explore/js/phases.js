// Warm-up, plateau and cooldown of a curve, as sftheory.fits.find_phases finds them.
import { g } from "./checks.js";
import { exponentOf, fitted, parametersOf, POWER, SQRT, valueAt } from "./projection.js";
import { errorAt, noiseOf, rootOf } from "./uncertainty.js";

const SAME_RATE = 1e-3, BURN_IN = 2, EARLY = 0.05, SHORTEST = 8, DEVIATIONS = 5, MATERIAL = 0.1;
const STEEPER = 1.5, FALLS = 4, HINT = 1.5, BREAKS = 24, FLAT = 0.2, LINKED = 0.7, SUSPECT = 0.4;
const LONG = 4000;

export const spread = (v) => max(v) - min(v);
export const max = (v) => v.reduce((a, b) => Math.max(a, b), -Infinity);
export const min = (v) => v.reduce((a, b) => Math.min(a, b), Infinity);

export function cutTo({ step, loss, lr }, start, stop) {
  const from = start ?? -Infinity, to = stop ?? Infinity;
  const keep = step.map((t) => t >= from && t <= to);
  const kept = (v) => v && v.filter((_, i) => keep[i]);
  return { step: kept(step), loss: kept(loss), lr: kept(lr) };
}

const all = ({ step }) => ({ start: step[0], stop: step.at(-1), warmup: false, cooldown: false,
  reason: "" });
const isWhole = ({ warmup, cooldown }) => !(warmup || cooldown);

// {start, stop, warmup, cooldown, reason} of a curve {step, loss, lr}; null where nothing fits.
export function findPhases(curve) {
  if (curve.lr && spread(curve.lr) > 0) {
    const found = byRate(curve);
    if (!isWhole(found)) return found;
  }
  if (curve.step.length > LONG) return ofAverages(curve);
  const start = byStart(curve);
  if (curve.lr || curve.step.length < 2 * SHORTEST) return start;
  const end = byEnd(cutTo(curve, EARLY * curve.step.at(-1)));
  if (isWhole(end)) return start;
  if (isWhole(start)) return { ...end, start: end.start === null ? null : start.start };
  return { start: end.start, stop: end.stop, warmup: true, cooldown: true,
    reason: `${start.reason}; ${end.reason}` };
}

function ofAverages({ step, loss, lr }) {
  const width = Math.ceil(step.length / LONG);
  const means = (v) => {
    const found = [];
    for (let i = 0; i < v.length; i += width) {
      const part = v.slice(i, i + width);
      found.push(part.reduce((a, b) => a + b, 0) / part.length);
    }
    return found;
  };
  const [t, y] = [means(step), means(loss)];
  const found = findPhases({ step: t, loss: y, lr: lr && t.map(() => 1) });
  const ends = new Map([[t[0], step[0]], [t.at(-1), step.at(-1)]]);
  const outer = (end) => (end === null ? null : ends.get(end) ?? end);
  return { ...found, start: outer(found.start), stop: outer(found.stop) };
}

function byRate(curve) {
  const { step: t, lr } = curve, top = max(lr);
  const n = t.length - (lr.at(-1) === 0 && lr.at(-2) > 0 ? 1 : 0);
  let [i, j, from] = [0, 0, null];
  for (let k = 0; k <= n; k++) {
    const full = k < n && Math.abs(lr[k] / top - 1) < SAME_RATE;
    if (full && from === null) from = k;
    if (!full && from !== null) {
      if (k - from > j - i) [i, j] = [from, k];
      from = null;
    }
  }
  if (i === 0 && j === n) return all(curve);
  if (j - i < SHORTEST)
    return { start: null, stop: null, warmup: i > 0, cooldown: j < n,
      reason: `The rate is at its largest for ${j - i} of ${n} points only` };
  const start = i === 0 ? t[i] : Math.min(t[i] + BURN_IN * t[i], t[j - SHORTEST]);
  const parts = [];
  if (i > 0) parts.push(`rises up to step ${g(t[i], 6)}`);
  if (j < n) parts.push(`falls after step ${g(t[j - 1], 6)}`);
  return { start, stop: t[j - 1], warmup: i > 0, cooldown: j < n,
    reason: `The rate ${parts.join(" and ")}` };
}

// Whether the laws of the rest, continued backwards, miss points in the first 5%.
function byStart(curve) {
  const { step: t, loss: y } = curve;
  const late = t.findIndex((one) => one >= EARLY * t.at(-1));
  if (late <= 0 || t.length - late < SHORTEST) return all(curve);
  const [step, loss] = [t.slice(late), y.slice(late)], fall = spread(loss);
  const laws = [SQRT, POWER].map((form) => {
    const found = fitted(form, step, loss), noise = noiseOf(found.residual, null, form.size);
    const root = rootOf(found, noise);
    return (at, value) => {
      if ((at - step[0]) / found.unit + Math.exp(found.theta[0]) <= 0) return true;
      const missed = Math.abs(value - valueAt(found, at));
      const expected = Math.hypot(errorAt(found, root, at), noise.sigma * noise.inflation);
      return missed > DEVIATIONS * expected && missed > MATERIAL * fall;
    };
  });
  let last = -1;
  for (let k = 0; k < late; k++) if (laws.every((strange) => strange(t[k], y[k]))) last = k;
  if (last < 0) return all(curve);
  return { start: t[late], stop: t.at(-1), warmup: true, cooldown: false,
    reason: `Up to step ${g(t[last], 6)}, within the first 5%, the loss is not on the law of ` +
      "the rest" };
}

// Whether two laws with a break fit much better and the loss falls faster after it.
function byEnd(curve) {
  const { step: t, loss: y } = curve, n = t.length;
  const found = fitted(POWER, t, y), noise = noiseOf(found.residual, null, POWER.size);
  if (noise.rho < SUSPECT || n < 2 * SHORTEST) return all(curve);
  const broken = (at) => fitted(SQRT, t.slice(0, at), y.slice(0, at)).sse
    + fitted(SQRT, t.slice(at), y.slice(at)).sse;
  const breaks = [...new Set(Array.from({ length: BREAKS }, (_, i) =>
    Math.trunc(SHORTEST + (i * (n - 2 * SHORTEST)) / (BREAKS - 1))))];
  const some = breaks.filter((_, i) => i >= Math.min(2, breaks.length - 1)
    && (i - Math.min(2, breaks.length - 1)) % 4 === 0);
  const p = exponentOf(found);
  if (min(some.map(broken)) * HINT > found.sse && p > FLAT) return all(curve);
  const sse = breaks.map(broken), best = sse.indexOf(min(sse));
  if (sse[best] * FALLS < found.sse) {
    const turn = breaks.slice(Math.max(best - 2, 0), best + 1).find((k) => turnsDown(t, y, k));
    if (turn !== undefined)
      return { start: t[0], stop: t[turn - 1], warmup: false, cooldown: true,
        reason: `The loss falls faster after step ${g(t[turn - 1], 6)} than before` };
  }
  if (p < FLAT && parametersOf(found).a > 0 && noise.rho > LINKED)
    return { start: null, stop: null, warmup: false, cooldown: true,
      reason: "The loss falls until the end as no law of a constant rate does" };
  return all(curve);
}

function turnsDown(t, y, at) {
  const n = t.length, wide = Math.min(at, n - at, Math.max(SHORTEST, Math.floor(n / 8)));
  const [before, after] = [[at - wide, at], [at, at + wide]].map(([from, to]) => {
    const x = t.slice(from, to), v = y.slice(from, to);
    const [mx, mv] = [x, v].map((w) => w.reduce((a, b) => a + b, 0) / w.length);
    const size = x.reduce((total, one) => total + (one - mx) ** 2, 0);
    return x.reduce((total, one, i) => total + (one - mx) * (v[i] - mv), 0) / size;
  });
  return after < Math.min(STEEPER * before, 0);
}
