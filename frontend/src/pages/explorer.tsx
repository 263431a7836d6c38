// The explorer of an index, with data from the server that the page came from.
import { openExplorer } from "../data/http";
import { begin } from "./explorer/begin";
import { ComparePane } from "./explorer/ComparePane";
import { MapPane } from "./explorer/MapPane";
import { PromptPane } from "./explorer/PromptPane";
import { ReaderPane } from "./explorer/ReaderPane";
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
import "../components/explorer/map.css";
import "../components/explorer/reader.css";

void begin(() => openExplorer(document, new URLSearchParams(window.location.search).get("index")), { map: MapPane, prompt: PromptPane, compare: ComparePane, text: ReaderPane });
