// A method is three sequences, and one loop runs them: the same formulas, in the same order of
// operations, as sftheory.schedules, methods, core.tableau and problems.hill_and_river.

const SHAPES = {
  constant: (k, N) => 1,
  linear: (k, N) => (N + 1 - k) / N,
  cosine: (k, N) => (1 + Math.cos((Math.PI * (k - 1)) / Math.max(1, N))) / 2,
  WSD: (k, N) => {
    const K = Math.min(Math.floor(0.2 * (N + 1) + 1e-9), N);
    const j = k - (N - Math.max(K - 1, 0));
    return j > 0 ? 1 - j / Math.max(K, 1) : 1;
  },
};

export const scheduleNames = Object.keys(SHAPES);

export const methodNames = [
  "last iterate",
  "Polyak average",
  "primal average",
  "schedule-free",
  "refined schedule-free",
];

// The N steps gamma_1, ..., gamma_N of a schedule whose largest is `peak`.
export function stepsOf(schedule, peak, N) {
  return Array.from({ length: N }, (_, i) => peak * SHAPES[schedule](i + 1, N));
}

// beta and c of a method: {gamma, beta, c}, three arrays of N numbers.
export function tableau(method, gamma, beta, C) {
  const all = (value) => gamma.map(() => value);
  if (method === "last iterate") return { gamma, beta: all(0), c: all(1) };
  if (method === "Polyak average") return { gamma, beta: all(0), c: averaging(all(1), 1) };
  if (method === "primal average") return { gamma, beta: all(1), c: averaging(all(1), 1) };
  let top = 0;
  const w = gamma.map((g) => (top = Math.max(top, g)) * top);
  const c = averaging(w, w[w.length - 1]);
  if (method === "schedule-free") return { gamma, beta: all(beta), c };
  return { gamma, beta: all(beta), c: c.map((one) => Math.min(1, (1 - beta) * C * one)) };
}

// c_t = w_{t+1} / (w_1 + ... + w_{t+1}), the start counting; 0 while all weights are zero.
function averaging(w, last) {
  let total = w[0];
  return [...w.slice(1), last].map((one) => ((total += one) > 0 ? one / total : 0));
}

// h_s = gamma_s (1 - prod_{t >= s} (1 - c_t)).
export function effectiveSchedule({ gamma, c }) {
  const h = new Array(gamma.length);
  let log = 0;
  for (let s = gamma.length - 1; s >= 0; s--) {
    log += Math.log1p(-c[s]);
    h[s] = gamma[s] * -Math.expm1(log);
  }
  return h;
}

const mix = (a, b, weight) =>
  weight === 0 ? a : weight === 1 ? b : (1 - weight) * a + weight * b;

const CURVATURE = 20;

// The run in the valley 10 h² + 1/(1 + r) from (1/2, 0); xi holds N normal numbers.
export function valleyRun({ gamma, beta, c }, sigma, xi) {
  let [xh, xr, zh, zr] = [0.5, 0, 0.5, 0];
  const x = { h: [xh], r: [xr] }, z = { h: [zh], r: [zr] };
  for (let t = 0; t < gamma.length; t++) {
    const yh = mix(zh, xh, beta[t]), yr = mix(zr, xr, beta[t]);
    const river = 1 / (1 + yr);
    zh = zh - gamma[t] * (CURVATURE * yh + sigma * xi[t]);
    zr = zr - gamma[t] * (river * -river);
    xh = mix(xh, zh, c[t]);
    xr = mix(xr, zr, c[t]);
    x.h.push(xh); x.r.push(xr); z.h.push(zh); z.r.push(zr);
  }
  return { x, z };
}

export const hill = (h) => h.map((one) => (CURVATURE / 2) * (one * one));
export const river = (r) => r.map((one) => 1 / (1 + one));
export const curvature = CURVATURE;
