// A fit of a/sqrt(t + b) + c and what it is worth, as sftheory.fits.fit(curve, "sqrt") says it.
import { g, Sentence } from "./checks.js";
import { cutTo, findPhases, max, min, spread } from "./phases.js";
import { exponentOf, fitted, POWER, SQRT, valueAt } from "./projection.js";
import { exponentError, noiseOf, preference, rootOf } from "./uncertainty.js";

const LONG = 10000, BINS = 400, FEWEST = 6;

// {curve, law, power, p, error, verdicts: [{verdict, reason}], phases, notes}
export function judged(curve, cut) {
  const notes = [];
  if (cut) {
    const phases = findPhases(checked(curve));
    if (phases.warmup || phases.cooldown) {
      if (phases.start === null)
        throw new Sentence(`${phases.reason}; fit a law that knows the rate, such as 'tissue'.`);
      const whole = curve.step.length;
      curve = cutTo(curve, phases.start, phases.stop);
      notes.push(`${phases.reason}; fitted steps ${g(curve.step[0], 6)} to ` +
        `${g(curve.step.at(-1), 6)}, ${curve.step.length} of ${whole} points.`);
    }
  }
  checked(curve);
  const [law, power] = [SQRT, POWER].map((form) => solved(form, curve, notes));
  const phases = findPhases(curve);
  const p = exponentOf(power), error = exponentError(power, rootOf(power, power.noise));
  const found = [diverging(curve, law),
    phases.warmup || phases.cooldown ? { verdict: "phases", reason: phases.reason } : null,
    open(power, p, error), rejected(curve, law, power, p, error)].filter(Boolean);
  const verdicts = found.length ? found
    : [{ verdict: "fits", reason: described(law, power, p, error) }];
  return { curve, law, power, p, error, verdicts, phases, notes };
}

function checked(curve) {
  const { step: t, loss: y } = curve, size = max(y.map(Math.abs));
  if (y.length < FEWEST)
    throw new Sentence(`The curve has ${y.length} points, too few for 3 parameters and their ` +
      `errors; pass at least ${FEWEST}.`);
  if (size > 1e100)
    throw new Sentence(`The loss reaches ${g(size, 6)}; rescale it to below 1e100.`);
  if (!y.some((one, i) => i > 0 && one < y[i - 1]))
    throw new Sentence(`The loss ${spread(y) === 0 ? "is constant" : "never falls"} over ` +
      `${y.length} points; a law of decay needs a fall.`);
  if (spread(y) < 1e-12 * size)
    throw new Sentence(`The loss changes by ${g(spread(y), 6)} only, which is rounding; subtract ` +
      "an offset first.");
  if (t.at(-1) - t[0] < 1e-9 * t.at(-1))
    throw new Sentence(`The steps go from ${g(t[0], 12)} to ${g(t.at(-1), 12)}, a small part of ` +
      "themselves only; subtract an offset first.");
  return curve;
}

function solved(form, { step, loss }, notes) {
  if (step.length <= LONG) {
    const found = fitted(form, step, loss);
    return { ...found, noise: noiseOf(found.residual, null, form.size) };
  }
  const bins = logBins(step, loss), found = fitted(form, bins.step, bins.loss, bins.rows);
  if (form === SQRT)
    notes.push(`${step.length} points were averaged in ${bins.step.length} bins of equal ratio.`);
  const rest = loss.map((one, i) => one - valueAt(found, step[i]));
  return { ...found, noise: noiseOf(rest, null, form.size) };
}

// Means over bins of equal width in log t, and how many rows each has.
function logBins(t, y) {
  const low = Math.log(t[0] > 0 ? t[0] : t[1]), high = Math.log(t.at(-1));
  const found = { step: [], loss: [], rows: [] };
  let k = 1, from = 0;
  const edge = () => Math.exp(low + (k / BINS) * (high - low));
  const close = (to) => {
    if (to === from) return;
    const mean = (v) => v.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
    found.step.push(mean(t)); found.loss.push(mean(y)); found.rows.push(to - from);
    from = to;
  };
  for (let i = 0; i < t.length; i++)
    while (k < BINS && t[i] > edge()) {
      close(i);
      k++;
    }
  close(t.length);
  return found;
}

function diverging({ loss: y }, law) {
  if (law.factor <= 0) return { verdict: "diverging", reason: "The best fit rises, a <= 0" };
  const width = Math.max(3, Math.floor(y.length / 20)), sums = [0], steps = [];
  for (const one of y) sums.push(sums.at(-1) + one - y[0]);
  const smooth = sums.slice(width).map((one, i) => y[0] + (one - sums[i]) / width);
  for (let i = 1; i < y.length; i++) steps.push(y[i] - y[i - 1]);
  const least = min(smooth), rise = smooth.at(-1) - least;
  const mean = steps.reduce((a, b) => a + b, 0) / steps.length;
  const deviation = Math.sqrt(steps.reduce((a, b) => a + (b - mean) ** 2, 0) / steps.length);
  if (rise > 0.1 * Math.max(smooth[0] - least, 0)
    && rise > (5 * deviation) / Math.sqrt(2 * width))
    return { verdict: "diverging", reason:
      `The smoothed loss ends ${g(rise, 3)} above its least value, ${g(least, 4)}` };
  return null;
}

function open(power, p, error) {
  const verdict = "p not identified";
  if (power.edge.some(Boolean))
    return { verdict, reason: `The free power law stops at its bound, p = ${g(p, 3)}` };
  if (error > 0.1)
    return { verdict,
      reason: `The exponent could be ${p.toFixed(2)} +- ${error.toFixed(2)} (one sigma)` };
  return null;
}

function rejected({ loss }, law, power, p, error) {
  const verdict = "law rejected";
  const apart = power.sse > 0 ? Math.sqrt(Math.max(law.sse / power.sse - 1, 0))
    : law.sse <= 0 ? 0 : Infinity;
  const gain = preference(law, power, power.noise) ** 2 - 2;
  if (apart > 1.5 && gain > 6)
    return { verdict, reason: `A free exponent, p = ${p.toFixed(3)} +- ${error.toFixed(3)}, ` +
      `leaves residuals so much smaller that the misfit is ${apart.toFixed(1)} times the noise ` +
      `(AIC gain ${gain.toFixed(0)})` };
  const rmse = Math.sqrt(law.residual.reduce((all, e) => all + e * e, 0) / law.residual.length);
  if (law.noise.rho > 0.9 && rmse > 0.05 * spread(loss))
    return { verdict, reason: `The residuals, ${g(rmse)}, are correlated ` +
      `(${law.noise.rho.toFixed(2)}) and large for a loss that falls by ${g(spread(loss))}` };
  return null;
}

function described(law, power, p, error) {
  const gain = preference(law, power, power.noise) ** 2 - 2;
  const text = `Free exponent p = ${p.toFixed(3)} +- ${error.toFixed(3)}, c = ${g(power.floor, 4)}`;
  return gain > 6 ? `${text}; it differs from that of the law (AIC gain ${gain.toFixed(0)}), by ` +
    "less than the noise" : text;
}
