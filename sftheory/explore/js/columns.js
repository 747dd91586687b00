// Which columns of a log are the loss, the step and the rate: the rules of sftheory.fits.columns.

const WORD = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g;
const set = (text) => new Set(text.split(" "));
const LOSS = set("loss losses nll trl tel bpb bpc xent objective");
const STEP = set("step steps iter iters iteration iterations it update updates timestep timesteps");
const TOKENS = set("tokens token"), SAMPLES = set("samples sequences examples");
const TIME = set("time timestamp runtime duration elapsed seconds date wall epoch");
const OTHER = set("scale scaler std var weight coef norm ppl perplexity acc accuracy per sec " +
  "second seconds time avg size count ratio decay min max");
const LOSS_OTHER = new Set([...OTHER].filter((word) => !["avg", "weight", "per"].includes(word)));
const UNITS = ["steps", "tokens", "samples", "epochs"];

const words = (name) => (name.match(WORD) ?? []).map((word) => word.toLowerCase());
const meets = (found, known) => found.some((word) => known.has(word));
const prefix = (name) => (name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : "");

export function isLoss(name) {
  const found = words(name);
  const named = meets(found, LOSS) || (found.includes("cross") && found.includes("entropy"));
  return named && !meets(found, LOSS_OTHER);
}

export function isRate(name) {
  const found = words(name);
  const named = found.includes("lr")
    || found.some((word, i) => word === "learning" && found[i + 1] === "rate");
  return named && !isLoss(name) && !meets(found, OTHER);
}

// What a column counts by its name: one of UNITS, or null.
export function unitOf(name) {
  const found = words(name), last = found.at(-1);
  if (!found.length || isLoss(name) || meets(found, OTHER)) return null;
  if (STEP.has(last)) return "steps";
  if (meets(found, TOKENS)) return "tokens";
  if (meets(found, SAMPLES) && !found.includes("num")) return "samples";
  return last === "epoch" || last === "epochs" ? "epochs" : null;
}

// The columns that may be the loss; `textual` hold no numbers.
export function lossesOf(columns, textual) {
  let named = columns.filter(isLoss);
  if (named.length) {
    const numeric = named.filter((name) => !textual.has(name));
    return numeric.length ? numeric : named;
  }
  if (columns.length === 2 && columns[0] === "column 1" && columns[1] === "column 2")
    return ["column 2"];
  named = columns.filter((name) => unitOf(name) === null && !isRate(name)
    && !meets(words(name), TIME) && !textual.has(name));
  return named.length === 1 ? named : [];
}

// The columns that may be the abscissa of `y`, the best first.
export function countersOf(columns, y) {
  const start = prefix(y);
  const order = (name) => [UNITS.indexOf(unitOf(name)), !(start && prefix(name) === start),
    name === "_step", !name.includes("global")].map(Number);
  const found = columns.filter((name) => unitOf(name) && name !== y)
    .map((name) => [order(name), name]);
  found.sort(([a], [b]) => a.map((one, i) => one - b[i]).find(Boolean) ?? 0);
  const rest = columns.filter((name) => name !== y && !isRate(name));
  if (found.length) return found.map(([, name]) => name);
  return rest.length === 1 && columns.length === 2 ? rest : [];
}

// The columns that may be the rate; one that shares the beginning of y's name wins.
export function ratesOf(columns, y) {
  const found = columns.filter((name) => isRate(name) && name !== y), start = prefix(y);
  const own = found.filter((name) => start && prefix(name) === start);
  return own.length === 1 ? own : found;
}

export const isStep = (name) => unitOf(name) === "steps";
