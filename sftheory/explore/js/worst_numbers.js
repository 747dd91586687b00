// What sftheory.explore.worst_case_data returns, computed here: D = G = 1.
import { number, Sentence, whole } from "./checks.js";

const STEPS = 400, POINTS = 40, HIGHEST = 1000;
const SECTION = Array.from({ length: 121 }, (_, i) => -0.25 + (2 * i) / 120);

export function worstCaseData({ points, steps }) {
  const gamma = drawn(points, whole("steps", steps, 1, STEPS));
  const f = worstFunction(gamma.filter((h) => h > 0));
  const { losses, first, last } = runOn(f, gamma);
  const moves = gamma.some((h) => h > 0);
  const { a, w } = sums(gamma);
  return {
    gamma,
    value: value(gamma),
    minimax: 1 / Math.sqrt(gamma.length + 1),
    omega: omega(gamma),
    gradient: gradient(gamma),
    scale: moves ? 1 / (2 * Math.sqrt(w * a)) : null,
    scaled: moves ? Math.sqrt(a / w) : null,
    run: losses,
    pieces: f.q.length + 1,
    section: moves ? { s: SECTION, f: SECTION.map((s) =>
      Math.max(0, ...products(f, first.map((x, i) => x + s * (last[i] - x))))) } : null,
  };
}

export function drawn(points, N) {
  if (!Array.isArray(points) || points.length < 2 || points.length > POINTS)
    throw new Sentence(`points must be 2 to ${POINTS} corners (place, height).`);
  const u = points.map((p) => p[0]);
  if (u[0] !== 0 || u[u.length - 1] !== 1 || u.some((v, i) => i > 0 && !(v > u[i - 1])))
    throw new Sentence("The places of the corners must increase from 0 to 1; sort them.");
  for (const [, height] of points) number("A height", height, 0, HIGHEST);
  const root = Math.sqrt(N + 1);
  let j = 0;
  return Array.from({ length: N }, (_, i) => {
    const x = i / N;
    while (j + 2 < points.length && x >= points[j + 1][0]) j++;
    const [[x0, y0], [x1, y1]] = [points[j], points[j + 1]];
    return (((y1 - y0) / (x1 - x0)) * (x - x0) + y0) / root;
  });
}

// P / 2, V / 2 and the sum of the steps, by the backward recursion; every term added is positive.
function sums(h) {
  let a = 0, S = 0, w = 0;
  for (let k = h.length - 1; k >= 0; k--) {
    const x = h[k];
    a = x < 2 * w ? a + (x * x) / (4 * w) : x - S;
    S += x;
    w = a + S;
  }
  return { a, S, w };
}

export function value(h) {
  const { a, S, w } = sums(h);
  return 2 * w >= 1 && w > 0 ? a + 1 / (4 * w) : 1 - S;
}

function gradient(h) {
  const after = new Array(h.length);
  let a = 0, S = 0, w = 0;
  for (let k = h.length - 1; k >= 0; k--) {
    after[k] = w;
    a = h[k] < 2 * w ? a + (h[k] * h[k]) / (4 * w) : h[k] - S;
    S += h[k];
    w = a + S;
  }
  const p = w > 0 ? Math.min(1, 1 / (2 * w)) : 1;
  let u = 1 - p * p;
  return h.map((x, k) => {
    const q = after[k] > 0 ? Math.min(1, x / (2 * after[k])) : 1;
    const found = u * (1 + q) - 1;
    u *= 1 - q * q;
    return found;
  });
}

// Ω = ½ [1/(S_1 + tau) + sum gamma_k² / (S_{k+1} + tau) + tau] at its best tau: Newton's
// iterates rise to the root of sum (r_i / (after_i + tau))² = 1.
export function omega(gamma) {
  const after = new Array(gamma.length);
  let S = 0;
  for (let k = gamma.length - 1; k >= 0; k--) {
    after[k] = S;
    S += gamma[k];
  }
  const r = [1, ...gamma], ahead = [S, ...after];
  let tau = Math.max(...r.map((one, i) => one - ahead[i]));
  for (let round = 0; round < 200; round++) {
    let excess = -1, fall = 0;
    for (let i = 0; i < r.length; i++) {
      const pull = (r[i] / (ahead[i] + tau)) ** 2;
      excess += pull;
      fall += (2 * pull) / (ahead[i] + tau);
    }
    const move = excess / fall;
    tau += Math.max(move, 0);
    if (move <= 1e-15 * tau) break;
  }
  const noise = gamma.reduce((sum, g, k) => sum + (g * g) / (after[k] + tau), 0);
  return (1 / (S + tau) + noise + tau) / 2;
}

// p, q_k and sqrt(U_k) of the worst function of steps h > 0; see worst_cases.hard_functions.
export function worstFunction(h) {
  const N = h.length, M = new Array(N + 1).fill(0);
  for (let k = N - 1; k >= 0; k--) {
    const P = Math.max(M[k + 1], h[k]);
    M[k] = P + 2 * h[k] + (h[k] * h[k]) / P;
  }
  const p = N ? Math.min(1, 1 / M[0]) : 1, q = [], root = [];
  let u = 1 - p * p;
  for (let k = 0; k < N && u > 0; k++) {
    q.push(h[k] < M[k + 1] ? h[k] / M[k + 1] : 1);
    root.push(Math.sqrt(u));
    u *= 1 - q[k] * q[k];
  }
  return { p, q, root };
}

// <g_j, x> for every piece, by one prefix sum.
function products({ p, q, root }, x) {
  let before = 0;
  const found = root.map((one, k) => {
    const own = one * x[k + 1], value = p * x[0] + own - before;
    before += q[k] * own;
    return value;
  });
  return [...found, p * x[0] - before];
}

// f(x_t) along the run: at x_t all pieces from the t-th on tie, and the first of them is returned.
function runOn(f, gamma) {
  const m = f.q.length, x = [1, ...new Array(m).fill(0)], first = [...x], losses = [];
  let piece = 0;
  for (let t = 0; t <= gamma.length; t++) {
    losses.push(Math.max(0, ...products(f, x)));
    const h = gamma[t];
    if (!h) continue;
    x[0] -= h * f.p;
    for (let l = 0; l < piece; l++) x[l + 1] += h * f.q[l] * f.root[l];
    if (piece < m) x[piece + 1] -= h * f.root[piece];
    piece = Math.min(piece + 1, m);
  }
  return { losses, first, last: x };
}
