// What the explorer's numbers were made from: a line, and all of it on request, so that the table has the room.
import type { VNode } from "preact";
import { count } from "../../data/format";
import type { ExplorerSource } from "../../data/explorer";
import { Facts } from "../Header";

export function About({ source }: { readonly source: ExplorerSource }): VNode {
  const { meta } = source.head;
  const brief = [meta.model, meta.sae, `${count(meta.n_tokens)} tokens`, meta.n_dead > 0 ? `${count(meta.n_dead)} dead` : null];
  const { can } = source.info;
  return (
    <header class="about brief">
      <details>
        <summary>
          <h1>{meta.title}</h1>
          <span class="quiet">{brief.filter((one) => one !== null).join(" · ")}</span>
        </summary>
        <Facts head={source.head} more={can.live || can.why_not_live === "" ? [] : [["Texts of your own", can.why_not_live]]} />
      </details>
    </header>
  );
}
