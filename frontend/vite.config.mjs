import { defineConfig } from "vite";
import { plainScript } from "./layers.mjs";

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
        for (const file of Object.values(files)) if (file.type === "chunk") file.code = plainScript(file);
      },
    },
  ],
});
