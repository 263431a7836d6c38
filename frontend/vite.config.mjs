import { defineConfig } from "vite";

// One script and one style for each kind of page (`--mode feature`, `--mode prompt`, `--mode compare`), straight into the Python package.
export default defineConfig(({ mode }) => ({
  build: {
    outDir: "../sae_vis/static",
    emptyOutDir: mode === "feature",
    target: "es2022",
    modulePreload: false,
    license: { fileName: "licences.md" },
    lib: { entry: `src/pages/${mode}.tsx`, formats: ["iife"], name: "saeVis", fileName: () => `${mode}.js`, cssFileName: mode },
  },
}));
