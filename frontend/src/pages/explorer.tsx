// The explorer of an index, with data from the server that the page came from.
import { render } from "preact";
import { FailedLoad } from "../components/Messages";
import { openExplorer } from "../data/http";
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
import "../components/explorer/reader.css";

async function start(root: HTMLElement): Promise<void> {
  try {
    const source = await openExplorer(document, new URLSearchParams(window.location.search).get("index"));
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
