import { defineConfig } from "vite";

const KINDS = ["feature", "prompt", "compare"];

// What at least two kinds of page share, in common.js and common.css, and what only one has, in feature.js and so on, straight
// into the Python package. A page holds the common script and its own, one behind the other.
export default defineConfig({
  build: {
    outDir: "../sae_vis/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    license: { fileName: "licences.md" },
    rolldownOptions: {
      input: Object.fromEntries(KINDS.map((kind) => [kind, `src/pages/${kind}.tsx`])),
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name][extname]",
        codeSplitting: { groups: [{ name: "common", minShareCount: 2 }] },
      },
    },
  },
  plugins: [
    {
      name: "scripts of one document",
      generateBundle(_, files) {
        for (const file of Object.values(files)) if (file.type === "chunk") file.code = plainScript(file.name, file.code);
      },
    },
  ],
});

/** Modules of one document can't import each other: the common one leaves what it exports in `saeVis`, the others take it there. */
function plainScript(name, code) {
  const pairs = (list, turn) => list.split(",").map((pair) => turn(pair.split(" as ")).join(":"));
  const script =
    name === "common"
      ? code.replace(/export\{([^{}]*)\};\s*$/, (_, list) => `globalThis.saeVis={${pairs(list, ([inner, outer = inner]) => [outer, inner])}};`)
      : code.replace(/^import\{([^{}]*)\}from"\.\/common\.js";/, (_, list) => `const{${pairs(list, ([outer, inner = outer]) => [outer, inner])}}=saeVis;`);
  if (script === code || /(^|[;}])(import|export)\b\s*[{*"]/.test(script)) throw new Error(`${name}.js is not of the form that is known`);
  return `(()=>{"use strict";${script.trim()}})();\n`;
}
