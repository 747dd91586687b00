// Bad input is one sentence: what a Sentence says is shown in place.

export class Sentence extends Error {}

export function number(what, value, low, high) {
  if (typeof value !== "number" || !(value >= low && value <= high))
    throw new Sentence(`${what} must be a number in [${low}, ${high}], but got ${value}.`);
  return value;
}

export function whole(what, value, low, high) {
  if (!Number.isInteger(value) || value < low || value > high)
    throw new Sentence(`${what} must be ${low} to ${high}, but got ${value}.`);
  return value;
}

export function oneOf(what, value, names) {
  if (!names.includes(value))
    throw new Sentence(`There is no ${what} '${value}'; choose one of ${names.join(", ")}.`);
  return value;
}

// What a page shows for some inputs: the data, or the sentence that says what is wrong with them.
export function answer(compute, inputs) {
  try {
    return compute(inputs);
  } catch (error) {
    if (error instanceof Sentence) return { error: error.message };
    return { error: `This could not be computed (${error.message}); change the inputs.` };
  }
}

// As Python's format(value, ".3g"), with `digits` in place of 3.
export function g(value, digits = 3) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const [mantissa, power] = value.toExponential(digits - 1).split("e");
  if (power < -4 || power >= digits)
    return `${Number(mantissa)}e${power < 0 ? "-" : "+"}` +
      String(Math.abs(power)).padStart(2, "0");
  return String(Number(value.toPrecision(digits)));
}
