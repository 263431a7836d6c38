// Starts a page; whatever goes wrong on the way is said on the page.
import { render, type VNode } from "preact";
import { FailedLoad } from "../components/Messages";
import { reasonOf } from "../state/load";
import { inlineSource } from "../data/inline";
import type { Source } from "../data/source";

export function start(draw: (source: Source) => VNode): void {
  const root = document.getElementById("app");
  if (root === null) return;
  root.replaceChildren();
  try {
    render(draw(inlineSource(document)), root);
  } catch (error) {
    root.replaceChildren();
    render(<FailedLoad what="This page's data" reason={reasonOf(error)} />, root);
  }
}
