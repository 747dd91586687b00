// What sftheory.explore.river_data returns, computed here; `noise` is its table of normal numbers.
import { g, number, oneOf, Sentence, whole } from "./checks.js";
import {
  curvature, effectiveSchedule, hill, methodNames, river, scheduleNames, stepsOf, tableau,
  valleyRun,
} from "./tableaus.js";

const FAR = 1000;

export function riverData(inputs, noise) {
  const N = whole("steps", inputs.steps, 1, noise[0].length);
  oneOf("schedule", inputs.schedule, scheduleNames);
  oneOf("method", inputs.method, methodNames);
  const gamma = number("gamma", inputs.gamma, 0, 100);
  if (gamma === 0) throw new Sentence("gamma must be positive, but got 0.");
  const beta = number("beta", inputs.beta, 0, 0.99), C = number("C", inputs.C, 1, 1e4);
  const sigma = number("noise", inputs.noise, 0, 100);
  const xi = noise[whole("seed", inputs.seed, 0, noise.length - 1)];
  const method = tableau(inputs.method, stepsOf(inputs.schedule, gamma, N), beta, C);
  const { x, z } = valleyRun(method, sigma, xi);
  const far = z.h.findIndex((h) => !(Math.abs(h) <= FAR));
  if (far >= 0)
    throw new Sentence(
      `The run leaves the valley at step ${far}, |h| > ${FAR}, as gamma times the curvature ` +
      `${curvature} is ${g(gamma * curvature)}; take a smaller gamma.`);
  return {
    x, z,
    hill: { x: hill(x.h), z: hill(z.h) },
    river: { x: river(x.r), z: river(z.r) },
    gamma: method.gamma,
    effective: effectiveSchedule(method),
    steps: N,
  };
}
