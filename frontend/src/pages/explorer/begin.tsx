// Starts an explorer; whatever goes wrong on the way is said in its place.
import { render, type VNode } from "preact";
import { FailedLoad } from "../../components/Messages";
import type { ExplorerSource } from "../../data/explorer";
import { reasonOf } from "../../state/load";
import "../../state/mounts"; // before the page's modules run; the card, which comes later, draws with them
import { ExplorerApp, type Panes } from "./ExplorerApp";

/** `open` gives what there is to explore, or what to say in its place. */
export async function begin(open: () => Promise<ExplorerSource | VNode>, panes: Panes): Promise<void> {
  const root = document.getElementById("app");
  if (root === null) return;
  const draw = (what: VNode): void => {
    root.replaceChildren();
    render(what, root);
  };
  try {
    const found = await open();
    if ("type" in found) draw(found);
    else {
      document.title = found.head.meta.title;
      draw(<ExplorerApp source={found} panes={panes} />);
    }
  } catch (error) {
    draw(<FailedLoad what="The explorer's data" reason={reasonOf(error)} />);
  }
}
