import { defineConfig } from "vite";

// One script and one style with fixed names, straight into the Python package.
export default defineConfig({
  build: {
    outDir: "../sae_vis/static",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    license: { fileName: "licences.md" },
    lib: { entry: "src/main.tsx", formats: ["iife"], name: "saeVis", fileName: () => "page.js", cssFileName: "page" },
  },
});
