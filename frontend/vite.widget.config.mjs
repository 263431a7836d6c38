import { defineConfig } from "vite";

// The explorer in a notebook's cell: one ES module, its style sheets within it, since they belong into its shadow.
export default defineConfig({
  build: {
    outDir: "../sae_vis/static",
    emptyOutDir: false,
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    rolldownOptions: {
      input: { widget: "src/pages/widget.tsx" },
      preserveEntrySignatures: "strict",
      output: { format: "es", entryFileNames: "widget.js", assetFileNames: "widget[extname]" },
    },
  },
  plugins: [
    {
      name: "styles in the script",
      enforce: "post",
      generateBundle(_, files) {
        const [styles] = Object.values(files).filter((file) => file.fileName.endsWith(".css"));
        const [script] = Object.values(files).filter((file) => file.type === "chunk");
        // A cell's width is not the window's: what depends on that depends on the widget's.
        const inside = String(styles.source).replaceAll(/@media (?:screen and )?\((max|min)-width:/g, "@container page ($1-width:");
        if (!/\bSTYLES\b/.test(script.code)) throw new Error("the script does not take its styles");
        script.code = script.code.replaceAll(/\bSTYLES\b/g, () => JSON.stringify(inside.trim()));
        delete files[styles.fileName];
      },
    },
  ],
});
