// Starts the page; whatever goes wrong on the way is said on the page.
import { render } from "preact";
import { App } from "./app";
import { FailedLoad } from "./components/Messages";
import { reasonOf } from "./load";
import { inlineSource } from "./source";
import "./style.css";

const root = document.getElementById("app");
if (root !== null) {
  root.replaceChildren();
  try {
    render(<App source={inlineSource(document)} />, root);
  } catch (error) {
    root.replaceChildren();
    render(<FailedLoad what="This page's data" reason={reasonOf(error)} />, root);
  }
}
