import { resolve } from "node:path";

/**
 * A page's script in parts: the first is in the page, each of the others comes when it is needed, and may use those before
 * it. `layers` are the parts' entries by name, in that order; each part becomes one plain script, `name.js`; the style sheets
 * that its entry names are in `name.css`.
 */
export function layered(layers) {
  const names = Object.keys(layers);
  const entries = new Map(names.map((name) => [resolve(layers[name]), name]));
  const shared = (name) => `${name}.shared`;
  const reached = new Map();
  const reach = (entry, getModuleInfo) => {
    if (!reached.has(entry)) {
      const found = new Set();
      const walk = (id) => {
        if (found.has(id)) return;
        found.add(id);
        getModuleInfo(id)?.importedIds.forEach(walk);
      };
      walk(entry);
      reached.set(entry, found);
    }
    return reached.get(entry);
  };
  /** The part that a module is in: the first that needs it. An entry stays by itself, behind what its part shares with others. */
  const partOf = (id, context) => {
    const getModuleInfo = (one) => context.getModuleInfo(one);
    if (entries.has(id)) return null;
    const first = [...entries].find(([entry]) => reach(entry, getModuleInfo).has(id));
    return first?.[1] ?? null;
  };
  const plugin = {
    name: "a script in parts",
    enforce: "post",
    generateBundle(_, files) {
      for (const name of names) {
        const [common, entry] = [files[`${shared(name)}.js`], files[`${name}.js`]];
        entry.code = [common, entry].flatMap((chunk) => (chunk === undefined ? [] : [plainScript(chunk)])).join("");
        delete files[`${shared(name)}.js`];
        if (files[`${shared(name)}.css`] !== undefined) throw new Error(`${name}.css is not of one piece: name its style sheets in its entry`);
      }
    },
  };
  return {
    plugin,
    rolldownOptions: {
      input: layers,
      preserveEntrySignatures: "strict",
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
        // A group takes along what its modules need: the first part before the others.
        codeSplitting: { groups: names.map((name, i) => ({ name: (id, context) => (partOf(id, context) === name ? shared(name) : null), priority: names.length - i })) },
      },
    },
  };
}

/** Modules of one document can't import each other: each leaves what it exports in `saeVis`, by its name, and takes there what it imports. */
export function plainScript({ name, code }) {
  const pairs = (list, turn) => list.split(",").filter(Boolean).map((pair) => turn(pair.split(" as ")).join(":"));
  let rest = code.trim();
  let head = "";
  for (let found; (found = /^import(?:\{([^{}]*)\}from)?"\.\/([\w.-]+)\.js";/.exec(rest)) !== null; rest = rest.slice(found[0].length).trim()) {
    if (found[1] !== undefined) head += `const{${pairs(found[1], ([outer, inner = outer]) => [outer, inner])}}=saeVis[${JSON.stringify(found[2])}];`;
  }
  // An entry whose own code went into what its part shares hands on what that exports.
  rest = rest.replace(/^export\{([^{}]*)\}from"\.\/([\w.-]+)\.js";$/, (_, list, from) => `(globalThis.saeVis??={})[${JSON.stringify(name)}]={${pairs(list, ([inner, outer = inner]) => [outer, `saeVis[${JSON.stringify(from)}].${inner}`])}};`);
  rest = rest.replace(/export\{([^{}]*)\};\s*$/, (_, list) => `(globalThis.saeVis??={})[${JSON.stringify(name)}]={${pairs(list, ([inner, outer = inner]) => [outer, inner])}};`);
  if (/(^|[;}])(import|export)\b\s*[{*"]/.test(rest)) throw new Error(`${name}.js is not of the form that is known: ${rest.slice(0, 300)}`);
  return `(()=>{"use strict";${head}${rest.trim()}})();\n`;
}
