// A prompt-centric page.
import { PromptApp } from "./prompt/PromptApp";
import { start } from "./start";
import "../styles/all.css";
import "./prompt/prompt.css";
import "./prompt/bar.css";
import "../marks/prompt/text.css";
import "./prompt/controls.css";
import "./prompt/ranking.css";
import "./prompt/heatmap.css";
import "./prompt/cards.css";
import "./prompt/details.css";

start((source) => {
  if (source.prompt === null) throw new Error("the page holds no prompt");
  return <PromptApp source={source} part={source.prompt} />;
});
