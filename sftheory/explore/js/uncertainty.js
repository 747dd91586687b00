// What noise leaves open of a fit: AR(1) residuals, standard errors, how another law compares.
import { exponentOf, slopesAt } from "./projection.js";

// {sigma, rho, inflation, effective} of residuals e, each counted w times, of `parameters` fitted.
export function noiseOf(residual, weights, parameters) {
  const e = weights ? residual.map((one, i) => one * Math.sqrt(weights[i])) : residual;
  const n = weights ? weights.reduce((a, b) => a + b, 0) : e.length;
  const total = e.reduce((all, one) => all + one * one, 0);
  let linked = 0;
  for (let i = 1; i < e.length; i++) linked += e[i] * e[i - 1];
  const r = total > 0 ? linked / total : 0;
  const rho = Math.min(Math.max(r + (1 + 4 * r) / n + (1 + r) / n, 0), 0.98);
  return {
    sigma: Math.sqrt(total / Math.max(n - parameters, 1)), rho,
    inflation: Math.sqrt((1 + rho) / (1 - rho)),
    effective: (n * (1 - rho)) / (1 + rho),
  };
}

// R with covariance R R' of (theta, factor, floor); a coordinate at its bound counts as known.
export function rootOf(found, noise) {
  const rows = found.step.map((t, i) => {
    const w = found.weights ? Math.sqrt(found.weights[i]) : 1;
    return slopesAt(found, t).map((one) => one * w);
  });
  const size = rows[0].map((_, j) => {
    const length = Math.sqrt(rows.reduce((all, row) => all + row[j] * row[j], 0));
    return found.edge.some(Boolean) && found.edge[j] || length === 0 ? Infinity : length;
  });
  const columns = size.map((one, j) => rows.map((row) => row[j] / one));
  const { values, basis } = singular(columns);
  const top = Math.max(...values), scale = noise.sigma * noise.inflation;
  const kept = values.map((v, i) => [v, i]).filter(([v]) => v > 1e-13 * top);
  return size.map((one, j) => kept.map(([v, i]) => (scale * basis[i][j]) / v / one));
}

// Singular values and right vectors of the matrix with these columns: one-sided Jacobi rotations.
function singular(columns) {
  const A = columns.map((one) => [...one]), k = A.length;
  const V = A.map((_, i) => A.map((_, j) => (i === j ? 1 : 0)));
  const dot = (a, b) => a.reduce((all, one, i) => all + one * b[i], 0);
  for (let sweep = 0; sweep < 40; sweep++) {
    let turned = false;
    for (let i = 0; i < k; i++)
      for (let j = i + 1; j < k; j++) {
        const a = dot(A[i], A[i]), b = dot(A[j], A[j]), c = dot(A[i], A[j]);
        if (Math.abs(c) <= 1e-16 * Math.sqrt(a * b)) continue;
        turned = true;
        const zeta = (b - a) / (2 * c);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const cos = 1 / Math.hypot(1, t), sin = cos * t;
        for (const M of [A, V]) {
          const [p, q] = [M[i], M[j]];
          M[i] = p.map((one, l) => cos * one - sin * q[l]);
          M[j] = p.map((one, l) => sin * one + cos * q[l]);
        }
      }
    if (!turned) break;
  }
  return { values: A.map((one) => Math.sqrt(dot(one, one))), basis: V };
}

const norm = (v) => Math.sqrt(v.reduce((all, one) => all + one * one, 0));
const through = (row, root) => root[0].map((_, k) =>
  row.reduce((all, one, j) => all + one * root[j][k], 0));

// Standard error of the law at a step.
export const errorAt = (found, root, t) => norm(through(slopesAt(found, t), root));

// Standard error of the exponent of the power law.
export const exponentError = (found, root) => exponentOf(found) * norm(root[1]);

// By how many standard deviations the data prefer the wider law.
export function preference(law, wider, widerNoise) {
  if (wider.sse <= 0) return law.sse <= 0 ? 0 : Infinity;
  return Math.sqrt(widerNoise.effective * Math.log(Math.max(law.sse / wider.sse, 1)));
}
