// What else a server can show: prompts, the comparison of two indices, the text.
import "../prompt/prompt.css";
import "../prompt/bar.css";
import "../prompt/controls.css";
import "../prompt/ranking.css";
import "../prompt/heatmap.css";
import "../prompt/cards.css";
import "../prompt/details.css";
import "../compare/compare.css";
import "../compare/tables.css";
import "../compare/texts.css";
import "../compare/cards.css";
import "../explorer/views.css";
import "../../components/explorer/reader.css";

export { ComparePane } from "../explorer/ComparePane";
export { PromptPane } from "../explorer/PromptPane";
export { ReaderPane } from "../explorer/ReaderPane";
