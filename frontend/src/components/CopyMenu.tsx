// What can be taken along of a feature: its number, its address, a line of Python, its tables.
import type { VNode } from "preact";
import { useRef, useState } from "preact/hooks";
import { csv, tablesOf } from "../data/csv";
import type { Card } from "../state/card";
import { copyAndSay } from "./copy";
import { useFrame } from "../state/frame";

export function CopyMenu({ card, href }: { readonly card: Card; readonly href: string }): VNode {
  const menu = useRef<HTMLDetailsElement>(null);
  const [open, setOpen] = useState(false); // tables are made for the menu alone: the next feature does not wait for them
  const { linked } = useFrame();
  const { feature } = card.view;
  const close = (): void => {
    if (menu.current !== null) menu.current.open = false;
  };
  const leave = (): void => {
    close();
    menu.current?.querySelector("summary")?.focus({ preventScroll: true });
  };
  const item = (name: string, text: () => string): VNode => (
    <li key={name}>
      <button type="button" onClick={() => void take(name, text())}>
        {name}
      </button>
    </li>
  );
  const take = async (name: string, text: string): Promise<void> => {
    leave();
    await copyAndSay(text, `Copied: ${name}`);
  };
  return (
    <details
      class="copy-menu"
      ref={menu}
      onToggle={(event) => setOpen(event.currentTarget.open)}
      onFocusOut={(event) => event.currentTarget.contains(event.relatedTarget as Node | null) || close()}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || menu.current?.open !== true) return;
        event.stopPropagation();
        leave();
      }}
    >
      <summary aria-label={`Copy from feature ${feature}`}>Copy</summary>
      <ul>
        {item("number", () => String(feature))}
        {linked && item("link", () => new URL(href, window.location.href).href)}
        {item("Python", () => python(card))}
        {open && tablesOf(card.view, (id) => card.texts.raw(Int32Array.of(id))).map((table) => item(`${table.name}, CSV`, () => csv(table)))}
      </ul>
    </details>
  );
}

/** The feature's card in Python, from the index that the page was made from. */
function python({ view, head }: Card): string {
  const what = [head.meta.sae, head.meta.hook].filter((words) => words !== null).join(" at ");
  return `import sae_vis as sv\n\nindex = sv.Index.open("path/to/index")  # of ${what}\nindex.feature(${view.feature})\n`;
}
