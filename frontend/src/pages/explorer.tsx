// The explorer of an index, with data from the server that the page came from.
import { render } from "preact";
import { FailedLoad, FromFile } from "../components/Messages";
import { openExplorer } from "../data/http";
import { openSite } from "../data/packed";
import { reasonOf } from "../state/load";
import { ExplorerApp } from "./explorer/ExplorerApp";
import "../styles/all.css";
import "./prompt/prompt.css";
import "./prompt/bar.css";
import "../marks/prompt/text.css";
import "./prompt/controls.css";
import "./prompt/ranking.css";
import "./prompt/heatmap.css";
import "./prompt/cards.css";
import "./prompt/details.css";
import "./compare/compare.css";
import "./compare/tables.css";
import "./compare/texts.css";
import "./compare/cards.css";
import "./explorer/explorer.css";

async function start(root: HTMLElement): Promise<void> {
  try {
    const site = document.querySelector<HTMLMetaElement>("meta[name=sae-vis-data]");
    if (site !== null && window.location.protocol === "file:") {
      root.replaceChildren();
      render(<FromFile folder={site.dataset["folder"] ?? "."} />, root);
      return;
    }
    const source = site === null ? await openExplorer(document, new URLSearchParams(window.location.search).get("index")) : await openSite(document, site.content);
    document.title = source.head.meta.title;
    root.replaceChildren();
    render(<ExplorerApp source={source} />, root);
  } catch (error) {
    root.replaceChildren();
    render(<FailedLoad what="The explorer's data" reason={reasonOf(error)} />, root);
  }
}

const root = document.getElementById("app");
if (root !== null) void start(root);
