import { defineConfig } from "vite";
import { layered } from "./layers.mjs";

// An explorer of a kind, named by KIND: explorer, with data from a server; site, from files. The script of the table is in
// the page; the parts behind it come when they are needed, in this order.
const KIND = process.env.KIND ?? "explorer";
const PARTS = {
  explorer: { card: "card.tsx", map: "map.ts", views: "views.ts" },
  site: { card: "cardAlone.ts", map: "map.ts" },
};
const parts = Object.entries(PARTS[KIND]).map(([name, file]) => [`${KIND}-${name}`, `src/pages/parts/${file}`]);
const { plugin, rolldownOptions } = layered({ [KIND]: `src/pages/${KIND}.tsx`, ...Object.fromEntries(parts) });

export default defineConfig({
  build: { outDir: "../sae_vis/static", emptyOutDir: false, target: "es2022", modulePreload: false, rolldownOptions },
  plugins: [plugin],
});
