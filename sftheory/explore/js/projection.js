// Least-squares fits of a/(t + b)^p + c as sftheory.fits makes them: a and c are eliminated, s =
// (t_1 + b)/T and p are searched by their logarithms, from a grid by Levenberg-Marquardt steps.

const SETTLED = 1e-18, ROUNDING = 1e-14, SLOW = 0.1, ROUNDS = 200, AT_BOUND = 1e-9, BLOCKS = 48;
const spaced = ([low, high], n) => Array.from({ length: n }, (_, i) =>
  Math.log(low) + (i / (n - 1)) * (Math.log(high) - Math.log(low)));
const law = (exponent, axes) => ({
  exponent,
  size: axes.length + 2,
  values: axes.map(({ grid, points }) => spaced(grid, points)),
  low: axes.map(({ bounds }) => Math.log(bounds[0])),
  high: axes.map(({ bounds }) => Math.log(bounds[1])),
});

export const SQRT = law(0.5, [{ points: 240, grid: [1e-4, 50], bounds: [1e-6, 1e3] }]);
export const POWER = law(null, [{ points: 40, grid: [1e-3, 20], bounds: [1e-6, 1e3] },
  { points: 14, grid: [0.08, 2.5], bounds: [0.01, 10] }]);

const sum = (v, f) => v.reduce((total, one, i) => total + f(one, i), 0);
function dot(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i] * b[i];
  return total;
}
const clip = (v, low, high) => Math.min(Math.max(v, low), high);
const power = (u, p) => (p === 0.5 ? 1 / Math.sqrt(u) : Math.exp(-p * Math.log(u)));

// The fit of a law to losses y at steps t, each counted w times.
// {law, step, loss, weights, theta, factor, floor, sse, edge, offset, first, unit}
export function fitted(form, step, loss, weights = null) {
  const n = step.length, unit = step[n - 1], first = step[0] / unit;
  const offset = step.map((t) => (t - step[0]) / unit);
  const total = weights ? sum(weights, (w) => w) : n;
  const share = weights ? weights.map((w) => w / total) : new Array(n).fill(1 / n);
  const root = weights ? weights.map(Math.sqrt) : null;
  const centred = (v) => {
    const mean = dot(v, share);
    return v.map((one, i) => (one - mean) * (root ? root[i] : 1));
  };
  const y = centred(loss), square = dot(y, y);

  // the column, and its derivatives by theta
  function vectors(theta) {
    const s = Math.exp(theta[0]), p = form.exponent ?? Math.exp(theta[1]);
    const u = offset.map((one) => one + s), x = u.map((one) => power(one, p));
    const found = [x, x.map((one, i) => (one / u[i]) * (-p * s))];
    if (form.exponent === null) found.push(x.map((one, i) => one * Math.log(u[i]) * -p));
    return found;
  }

  function at(theta, exact = false) {
    const all = vectors(theta).map(centred), m = all.length - 1;
    const gram = all.map((a) => all.map((b) => dot(a, b))), side = all.map((a) => dot(a, y));
    const own = gram[0][0] || 1, f = side[0] / own;
    let sse = Math.max(square - f * side[0], 0);
    const of = Array.from({ length: m }, (_, i) => i + 1);
    let gradient = of.map((a) => f * f * gram[a][0] - f * side[a]);
    if (exact) {
      const rest = y.map((one, i) => one - f * all[0][i]);
      sse = dot(rest, rest);
      gradient = of.map((a) => -f * dot(all[a], rest));
    }
    const curvature = of.map((a) => of.map((b) =>
      f * f * (gram[a][b] - (gram[a][0] * gram[b][0]) / own)));
    return { theta, sse, gradient, curvature };
  }

  const found = descend(form, at, start(form, offset, loss, weights), square);
  const theta = found.slow ? polished(form, at, found.theta) : found.theta;
  const bare = vectors(theta)[0], column = centred(bare);
  const factor = dot(column, y) / (dot(column, column) || 1);
  const floor = sum(loss, (one, i) => share[i] * (one - factor * bare[i]));
  const residual = loss.map((one, i) => one - (floor + factor * bare[i]));
  const sse = sum(residual, (e, i) => (weights ? weights[i] : 1) * e * e);
  const edge = theta.map((v, i) =>
    v <= form.low[i] + AT_BOUND || v >= form.high[i] - AT_BOUND);
  return { law: form, step, loss, weights, theta, factor, floor, residual, sse, edge, offset, first,
    unit };
}

// The grid's best point for means over few blocks, wider to the right.
function start(form, offset, loss, weights) {
  const n = offset.length, edges = new Set();
  for (let k = 0; k <= BLOCKS; k++) {
    const edge = k === 0 ? 1 : k === BLOCKS ? n + 1 : 10 ** ((k / BLOCKS) * Math.log10(n + 1));
    edges.add(Math.trunc(edge));
  }
  const firsts = [...edges].sort((a, b) => a - b).slice(0, -1).map((one) => one - 1);
  const blocks = firsts.map((from, i) => {
    const to = firsts[i + 1] ?? n;
    let mass = 0, at = 0, mean = 0;
    for (let k = from; k < to; k++) {
      const w = weights ? weights[k] : 1;
      mass += w; at += w * offset[k]; mean += w * loss[k];
    }
    return { mass, at: at / mass, mean: mean / mass };
  }).filter(({ mass }) => mass > 0);
  const mass = sum(blocks, (one) => one.mass);
  const explained = (theta) => {
    const s = Math.exp(theta[0]), p = form.exponent ?? Math.exp(theta[1]);
    const x = blocks.map(({ at }) => power(at + s, p));
    const mean = sum(x, (one, i) => (one * blocks[i].mass) / mass);
    let side = 0, size = 0;
    x.forEach((one, i) => {
      const weighted = (one - mean) * blocks[i].mass;
      size += weighted * (one - mean);
      side += weighted * (blocks[i].mean - blocks[0].mean);
    });
    return side ** 2 / Math.max(size, 1e-300);
  };
  const [s, p] = form.values;
  const points = p ? s.flatMap((one) => p.map((two) => [one, two])) : s.map((one) => [one]);
  const values = points.map(explained);
  const top = values.reduce((best, v, i) => (v > values[best] ? i : best), 0);
  if (p || top === 0 || top === values.length - 1) return points[top];
  const [left, middle, right] = [-1, 0, 1].map((k) => values[top + k]);
  const bend = left - 2 * middle + right;
  const shift = bend < 0 ? clip((left - right) / (2 * bend), -1, 1) : 0;
  return [points[top][0] + shift * (s[1] - s[0])];
}

function descend(form, at, from, square) {
  const { low, high } = form;
  let here = at(from.map((v, i) => clip(v, low[i], high[i])));
  let damping = 1e-6, before = Infinity;
  const lost = ROUNDING * square;
  for (let round = 0; round < ROUNDS; round++) {
    const move = step(here, damping, low, high);
    const promised = -dot(move, here.gradient);
    if (promised <= SETTLED * here.sse + ROUNDING * lost || damping >= 1e12)
      return { theta: here.theta, slow: promised > SLOW * before || here.sse < 1e4 * lost };
    const trial = at(here.theta.map((v, i) => clip(v + clip(move[i], -2, 2), low[i], high[i])));
    if (trial.sse <= here.sse + lost) {
      here = trial;
      damping = Math.max(damping / 10, 1e-12);
      before = promised;
    } else damping = Math.max(damping * 10, 1e-4);
  }
  return { theta: here.theta, slow: true };
}

function step({ theta, gradient, curvature }, damping, low, high) {
  const free = theta.map((v, i) =>
    !((v <= low[i] && gradient[i] > 0) || (v >= high[i] && gradient[i] < 0)));
  const size = theta.map((_, i) => Math.max(curvature[i][i], 1e-300) * (1 + damping));
  if (theta.length === 2 && free[0] && free[1]) {
    const across = curvature[0][1], rest = 1 - (across / size[0]) * (across / size[1]);
    const one = ((gradient[1] * across) / size[1] - gradient[0]) / size[0] / rest;
    return [one, -(gradient[1] + across * one) / size[1]];
  }
  return gradient.map((g, i) => (free[i] ? -g / size[i] : 0));
}

// Newton steps on the exact gradient, its derivatives by differences; none past a bound.
function polished(form, at, theta) {
  const h = 1e-5, m = theta.length;
  let point = at(theta, true);
  for (let round = 0; round < 2; round++) {
    const moved = (i, by) => at(point.theta.map((v, j) => (j === i ? v + by : v)), true).gradient;
    const columns = theta.map((_, i) => {
      const [up, down] = [moved(i, h), moved(i, -h)];
      return up.map((one, j) => (one - down[j]) / (2 * h));
    });
    const [[a, c], [b, d]] = m === 2 ? columns : [[columns[0][0], 0], [0, 1]];
    const mean = (b + c) / 2, det = a * d - mean * mean;
    const inside = point.theta.every((v, i) => v > form.low[i] && v < form.high[i]);
    if (!(a > 0 && det > 0 && inside)) break;
    const [g0, g1] = [point.gradient[0], point.gradient[1] ?? 0];
    const full = a * d - b * c;
    const move = [-(d * g0 - b * g1) / full, -(a * g1 - c * g0) / full].slice(0, m);
    const trial = at(point.theta.map((v, i) => clip(v + move[i], form.low[i], form.high[i])), true);
    const small = move.every((one) => Math.abs(one) < 1e-2);
    if (small && trial.sse <= point.sse * (1 + 1e-12)) point = trial;
  }
  return point.theta;
}

export const exponentOf = ({ law, theta }) => law.exponent ?? Math.exp(theta[1]);

export function parametersOf(found) {
  const p = exponentOf(found);
  return {
    a: found.factor * Math.exp(p * Math.log(found.unit)),
    b: (Math.exp(found.theta[0]) - found.first) * found.unit,
    c: found.floor,
    p,
  };
}

// The law at any step.
export function valueAt(found, t) {
  const u = (t - found.step[0]) / found.unit + Math.exp(found.theta[0]);
  return found.floor + found.factor * power(u, exponentOf(found));
}

// Its derivatives by (theta, factor, floor).
export function slopesAt(found, t) {
  const s = Math.exp(found.theta[0]), p = exponentOf(found);
  const u = (t - found.step[0]) / found.unit + s, x = power(u, p);
  const row = [found.factor * (x / u) * (-p * s)];
  if (found.law.exponent === null) row.push(found.factor * x * Math.log(u) * -p);
  return [...row, x, 1];
}
