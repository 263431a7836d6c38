// Sorting, filtering and counting the explorer's columns: correctness is checked first.
//
// Usage: node benchmarks/table_order.mjs [--rounds N]   (after `npm ci` in frontend/)
//
// In milliseconds: the median over rounds of the processor's time, and the shortest by the clock, which is what a machine
// that does nothing else takes. What is compared is run in turn within a round. `sort` is the table's radix sort, `plain
// sort` an Array.sort of the same features by the same order, `bins` what a column's histogram takes once, `all` what
// another order and another filter take together, with five histograms.
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { join } from "node:path";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";

const FRONT = fileURLToPath(new URL("../frontend/", import.meta.url));
const SIZES = [8_192, 1_048_576];
const asked = process.argv.indexOf("--rounds");
const ROUNDS = asked < 0 ? 9 : Number(process.argv[asked + 1]);

/** The module as the browser gets it. */
async function bundled() {
  const { build } = await import(pathToFileURL(createRequire(join(FRONT, "package.json")).resolve("vite")).href);
  const out = await mkdtemp(join(tmpdir(), "order-"));
  const entry = join(FRONT, "src/state/explorer/order.ts");
  await build({ root: FRONT, configFile: false, logLevel: "error", build: { outDir: out, lib: { entry, formats: ["es"], fileName: "order" }, target: "es2022" } });
  const found = await import(pathToFileURL(join(out, "order.js")).href);
  await rm(out, { recursive: true });
  return found;
}

/** Densities as dictionaries have them: log-normal, some the same, some NaN. */
function column(n) {
  let state = 12345;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const normal = Math.sqrt(-2 * Math.log(next() || 1e-9)) * Math.cos(2 * Math.PI * next());
    values[i] = next() < 0.01 ? NaN : next() < 0.1 ? 0 : Math.exp(-6 + 1.5 * normal);
  }
  return values;
}

function plainSort(values, down) {
  return Int32Array.from(
    Array.from(values.keys()).sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      if (x !== x || y !== y) return x !== x && y !== y ? a - b : x !== x ? 1 : -1;
      return (down ? y - x : x - y) || a - b;
    }),
  );
}

const same = (a, b) => a.length === b.length && a.every((one, i) => one === b[i]);
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

const order = await bundled();
console.log(`node ${process.version}, ${cpus()[0].model}, ${ROUNDS} rounds, ms`);
console.log("     rows clock ", ["sort", "plain sort", "ratio", "filter", "keep", "bins", "histogram", "all"].map((one) => one.padStart(9)).join("  "));
for (const n of SIZES) {
  const values = column(n);
  for (const down of [true, false]) if (!same(order.ordered(values, down), plainSort(values, down))) throw new Error(`${n} rows are in another order`);
  const range = { column: "x", low: 0.001, high: 0.01 };
  const ends = order.extent(values, true);
  const times = { sort: [], plain: [], filter: [], keep: [], bins: [], histogram: [], all: [] };
  for (let round = 0; round < ROUNDS + 2; round++) {
    const timed = (name, work) => {
      const [before, used] = [performance.now(), process.cpuUsage()];
      const made = work();
      const { user, system } = process.cpuUsage(used);
      if (round >= 2) times[name].push({ wall: performance.now() - before, cpu: (user + system) / 1000 });
      return made;
    };
    const sorted = timed("sort", () => order.ordered(values, true));
    timed("plain", () => plainSort(values, true));
    const mask = timed("filter", () => order.passing(n, [[range, values]], []));
    const left = timed("keep", () => order.kept(sorted, mask));
    if (left.length !== values.filter((one) => one >= range.low && one <= range.high).length) throw new Error("another number of rows is left");
    const bins = timed("bins", () => order.binsOf(values, true, ends));
    timed("histogram", () => order.binned(bins, mask));
    timed("all", () => {
      const again = order.passing(n, [[range, values]], []);
      order.kept(order.ordered(values, true), again);
      for (let i = 0; i < 5; i++) order.binned(bins, again);
    });
  }
  for (const [clock, chosen] of [["cpu", median], ["wall", (list) => Math.min(...list)]]) {
    const { sort, plain, ...others } = Object.fromEntries(Object.entries(times).map(([name, list]) => [name, chosen(list.map((one) => one[clock]))]));
    const shown = [sort, plain, plain / sort, ...Object.values(others)].map((ms) => ms.toFixed(2).padStart(10));
    console.log(String(n).padStart(9), clock.padStart(5), ...shown);
  }
}
