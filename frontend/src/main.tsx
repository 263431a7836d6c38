// Starts the page; whatever goes wrong on the way is said on the page.
import { render } from "preact";
import { App } from "./app";
import { FailedLoad } from "./components/Messages";
import { reasonOf } from "./load";
import { PromptApp } from "./prompt/PromptApp";
import { inlineSource } from "./source";
import "./style.css";
import "./prompt.css";

const root = document.getElementById("app");
if (root !== null) {
  root.replaceChildren();
  try {
    const source = inlineSource(document);
    const { prompt } = source;
    render(prompt === null ? <App source={source} /> : <PromptApp source={source} part={prompt} />, root);
  } catch (error) {
    root.replaceChildren();
    render(<FailedLoad what="This page's data" reason={reasonOf(error)} />, root);
  }
}
