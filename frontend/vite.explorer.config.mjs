import { defineConfig } from "vite";

// The explorer is one script and one style by themselves: it is served, not put into a document with others.
export default defineConfig({
  build: {
    outDir: "../sae_vis/static",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    rolldownOptions: {
      input: { explorer: "src/pages/explorer.tsx" },
      output: { format: "iife", entryFileNames: "[name].js", assetFileNames: "explorer[extname]" },
    },
  },
});
