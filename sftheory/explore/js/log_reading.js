// The loss curve of a dropped log: delimited text or flat JSON lines. What sftheory.fits.read would
// repair or ask about is not guessed here: a sentence says so and names the command that reads it.
import { Sentence } from "./checks.js";
import { countersOf, isLoss, isStep, lossesOf, ratesOf, unitOf } from "./columns.js";

const MISSING = new Set(["", "na", "n/a", "null", "none", "-"]);
const NUMBER = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const SPECIAL = /^[-+]?(nan|inf|infinity)$/i;
const JUMP = 100;

const elsewhere = (name, what) =>
  new Sentence(`${name} ${what}; this page reads tables and flat JSON lines, ` +
    `sftheory fit ${name} reads more.`);

// {step, loss, lr, x, y, lrName, losses} of a text; y is a column, or null for the only loss.
export function curveOf(text, name, y) {
  if (text.includes("\0")) throw elsewhere(name, "is binary");
  if (!text.trim()) throw new Sentence(`${name} holds nothing but blanks; choose another log.`);
  const body = text.replace(/^\ufeff/, "").trimStart();
  if (body[0] === "[") throw elsewhere(name, "is a JSON document");
  const table = body[0] === "{" ? jsonLines(body, name)
    : delimited(text.replace(/^\ufeff/, ""), name);
  let losses = lossesOf(table.columns, table.textual);
  if (losses.length > 1) {
    const used = losses.filter((one) => table.cells[one].some(filled));
    losses = used.length ? used : losses.slice(0, 1);
  }
  const chosen = y ?? (losses.length === 1 ? losses[0] : null);
  if (chosen === null && losses.length)
    throw Object.assign(new Sentence(`${name} holds several losses; choose one of them.`),
      { losses });
  if (chosen === null || !table.columns.includes(chosen))
    throw new Sentence(`${name} has no column that looks like a loss, of ` +
      `${table.columns.map((one) => `'${one}'`).join(", ")}; rename one to loss.`);
  return { ...assembled(table, name, chosen), losses };
}

function assembled({ columns, cells: raw, textual }, name, y) {
  const present = (one, i) => filled(raw[one][i]);
  const counters = countersOf(columns.filter((one) => !textual.has(one)), y);
  const same = counters.filter((one) => unitOf(one) === unitOf(counters[0]));
  const share = (one) => raw[one].filter((_, i) => present(one, i) && present(y, i)).length;
  const x = same.reduce((best, one) => (share(one) > share(best) ? one : best), same[0]);
  if (x === undefined) throw elsewhere(name, "has no column that looks like a step");
  const rates = ratesOf(columns, y), lr = rates.length === 1 ? rates[0] : null;
  const rival = columns.find((one) => ![x, y].includes(one)
    && ![null, unitOf(x), "epochs"].includes(unitOf(one)));
  const cells = Object.fromEntries([x, y, lr, rival].filter(Boolean).map((one) =>
    [one, raw[one].map((cell, i) => valueOf(cell, name, `row ${i + 1}`, one))]));
  const at = [];
  cells[y].forEach((loss, i) => {
    if (loss === null) return;
    const place = `row ${i + 1}`;
    if (!Number.isFinite(loss))
      throw new Sentence(`${name}, ${place}: '${y}' is ${loss}, so the run may have diverged ` +
        "there; take such rows out.");
    if (cells[x][i] === null) {
      if (rival && cells[rival][i] !== null) throw elsewhere(name, `changes its unit at ${place}`);
      return;
    }
    if (!(cells[x][i] >= 0 && cells[x][i] < Infinity))
      throw new Sentence(`${name}, ${place}: '${x}' is ${cells[x][i]}; a step must be a finite ` +
        "number >= 0, repair that row.");
    at.push(i);
  });
  if (!at.length)
    throw new Sentence(`${name} has no row with both '${x}' and '${y}'; choose another.`);
  const step = at.map((i) => cells[x][i]), loss = at.map((i) => cells[y][i]);
  if (step.some((t, i) => i > 0 && t <= step[i - 1]))
    throw elsewhere(name, "has steps that do not increase");
  if (step.some((t, i) => i > 0 && t >= JUMP * step[i - 1] && i >= 3 && i <= step.length - 3))
    throw elsewhere(name, "has a large gap between steps");
  if (3 * loss.filter((one, i) => i > 0 && one === loss[i - 1]).length >= loss.length)
    throw elsewhere(name, "repeats many losses");
  return { step, loss, lr: lr && rateAt(cells, x, lr, step, at, name), x, y, lrName: lr };
}

// The rate at each step; between the rows where it was logged, by linear interpolation.
function rateAt(cells, x, lr, step, at, name) {
  const own = at.map((i) => cells[lr][i]);
  if (own.some((one) => one !== null && !(one >= 0)))
    throw elsewhere(name, "has rates that are not numbers >= 0");
  if (own.every((one) => one !== null)) return own;
  const rows = cells[lr].map((v, i) => [cells[x][i], v])
    .filter(([t, v]) => t !== null && v !== null);
  if (!rows.length) return null;
  if (rows.some(([t, v], i) => !(v >= 0) || (i > 0 && t <= rows[i - 1][0])))
    throw elsewhere(name, "has rates at steps that do not increase");
  let j = 0;
  return step.map((t) => {
    if (t <= rows[0][0]) return rows[0][1];
    while (j + 1 < rows.length && rows[j + 1][0] <= t) j++;
    if (j + 1 >= rows.length) return rows.at(-1)[1];
    const [[t0, v0], [t1, v1]] = [rows[j], rows[j + 1]];
    return ((v1 - v0) / (t1 - t0)) * (t - t0) + v0;
  });
}

const isNumber = (cell) => NUMBER.test(cell.trim()) || SPECIAL.test(cell.trim());
const filled = (cell) => cell !== null && !MISSING.has(String(cell).trim().toLowerCase());

function valueOf(cell, name, place, column) {
  if (typeof cell === "number") return cell;
  const text = String(cell ?? "").trim();
  if (MISSING.has(text.toLowerCase())) return null;
  if (NUMBER.test(text)) return Number(text);
  if (SPECIAL.test(text))
    return /nan/i.test(text) ? NaN : text.startsWith("-") ? -Infinity : Infinity;
  throw new Sentence(`${name}, ${place}: '${column}' holds '${text.slice(0, 40)}', which is no ` +
    "plain number; write the whole column as numbers in one unit.");
}

function delimited(text, name) {
  const lines = text.split(/\r*\n/), said = (line) => line.trim() && !line.trim().startsWith("#");
  if (lines.at(-1).trim() && !lastIsWhole(lines)) lines.pop();
  const first = lines.findIndex(said), kept = lines.slice(first).filter(said);
  if (first < 0) throw elsewhere(name, "holds comments only");
  const by = [",", "\t", ";", " "].find((one) => split(kept[0], one, name).length > 1) ?? " ";
  const rows = kept.map((line) => split(line, by, name)), width = rows[0].length;
  const named = rows[0].some((one) => isLoss(one) || isStep(one));
  const header = named || !rows[0].some(isNumber);
  const body = header ? rows.slice(1) : rows;
  if (!body.slice(0, 20).some((row) => row.length === width && row.some(isNumber)))
    throw elsewhere(name, "is no table of numbers");
  let heads = header ? rows[0].map((one) => one.trim()) : new Array(width).fill("");
  const comment = lines.slice(0, first).filter((line) => line.trim()).at(-1);
  if (!header && comment) {
    const names = split(comment.replace(/^[# ]+/, ""), by, name);
    if (names.length === width) heads = names.map((one) => one.trim());
  }
  const columns = heads.map((one, i) => one || `column ${i + 1}`);
  if (new Set(columns).size < width) throw elsewhere(name, "has two columns of one name");
  const textual = new Set(columns.filter((_, i) => body.some((row) => filled(row[i] ?? null))
    && !body.some((row) => row[i] !== undefined && isNumber(row[i]))));
  const cells = {};
  columns.forEach((column, i) => { cells[column] = body.map((row) => row[i] ?? null); });
  if (body.some((row) => row.length > width))
    throw elsewhere(name, "has rows longer than its head");
  return { columns, cells, textual };
}

// The cells of a line; cells may stand in double quotes.
function split(line, by, name) {
  if (by === " ") return line.trim().split(/\s+/);
  if (!line.includes('"')) return line.split(by);
  const found = [];
  let cell = "", quoted = false;
  for (let i = 0; i < line.length; i++) {
    if (line[i] === '"') {
      if (quoted && line[i + 1] === '"') cell += line[i++];
      else quoted = !quoted;
    } else if (line[i] === by && !quoted) {
      found.push(cell);
      cell = "";
    } else cell += line[i];
  }
  if (quoted) throw elsewhere(name, "has a quoted cell over several lines");
  return [...found, cell];
}

// Whether a last line without a line end has the form of an earlier one and as many decimals as
// most: a log that is being written often breaks off inside its last number.
function lastIsWhole(lines) {
  const number = /[-+]?\d[\d.]*(?:[eE][-+]?\d+)?/g, form = (line) => line.replace(number, "#");
  const last = lines.at(-1), own = form(last);
  const peers = lines.slice(0, -1).filter((line) => form(line) === own);
  if (!peers.length) return false;
  if (!own.endsWith("#")) return true;
  const decimals = (line) => {
    const [whole, rest] = line.match(number).at(-1).split(".");
    return rest ? [rest.length, 0] : [0, whole.length];
  };
  const before = (a, b) => a[0] - b[0] || a[1] - b[1];
  const others = peers.map(decimals).sort(before), least = others[Math.floor(others.length / 10)];
  return before(decimals(last), before(least, [12, 0]) < 0 ? least : [12, 0]) >= 0;
}

function jsonLines(text, name) {
  const lines = text.split("\n");
  const records = [];
  lines.forEach((line, i) => {
    if (!line.trim()) return;
    try {
      records.push(JSON.parse(line.replace(/([:,[]\s*)(-?(?:NaN|Infinity))\b/g, '$1"$2"')));
    } catch {
      if (!records.length) throw elsewhere(name, "does not begin with a JSON record in a line");
      if (i < lines.length - 1) throw elsewhere(name, `has no JSON record in line ${i + 1}`);
    }
  });
  if (records.some((one) => typeof one !== "object" || Array.isArray(one) || one === null))
    throw elsewhere(name, "has lines that are no JSON objects");
  if (records.length < 2) throw elsewhere(name, "is a JSON document");
  const columns = [...new Set(records.flatMap(Object.keys))];
  if (records.some((one) => Object.values(one).some((v) => v !== null && typeof v === "object")))
    throw elsewhere(name, "has records within records");
  const cells = {}, textual = new Set();
  for (const column of columns) {
    cells[column] = records.map((one) => one[column] ?? null);
    const known = cells[column].filter((v) => v !== null);
    if (known.length && !known.some((v) => typeof v === "number" || isNumber(String(v))))
      textual.add(column);
  }
  return { columns, cells, textual };
}

