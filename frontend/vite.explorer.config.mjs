import { defineConfig } from "vite";

// An explorer is one script and one style by themselves, named by KIND: explorer, with data from a server; site, from files.
const KIND = process.env.KIND ?? "explorer";

export default defineConfig({
  build: {
    outDir: "../sae_vis/static",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    rolldownOptions: {
      input: { [KIND]: `src/pages/${KIND}.tsx` },
      output: { format: "iife", entryFileNames: "[name].js", assetFileNames: `${KIND}[extname]` },
    },
  },
});
