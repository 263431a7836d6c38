// What the keys and the pointer do on a prompt page.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [title: string, rows: readonly (readonly [keys: string, does: string])[]])[] = [
  [
    "Prompt",
    [
      ["← →, or click", "the token before, the token after"],
      ["Shift + ← →, drag, Shift + click", "a span of tokens"],
      ["↑ ↓", "the other prompt, where two are compared"],
      ["Esc, or “Whole prompt”", "back to the whole prompt"],
    ],
  ],
  [
    "Ranking",
    [
      ["m, M", "the next metric, the one before"],
      ["Enter, 1 to 9", "open the card of the first feature, of the nth"],
      ["hover a row", "the prompt is coloured by that feature"],
      ["click a row", "keep that feature's card and colours; again: let go"],
    ],
  ],
  [
    "Heat map, charts, examples (Tab leads there)",
    [
      ["← → ↑ ↓", "from cell to cell, bar to bar, token to token"],
      ["Enter", "keep the cell's feature and token; pin a token of an example"],
    ],
  ],
  [
    "Page",
    [
      ["Esc", "close or let go of what came last"],
      ["?", "this list"],
    ],
  ],
];

export function PromptHelp({ close }: { close: () => void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-label="Keys"
      onClose={close}
      onClick={(event) => event.target === dialog.current && close()}
      onKeyDown={(event) => {
        if (event.key !== "?") return;
        event.stopPropagation();
        close();
      }}
    >
      <header>
        <h2>Keys</h2>
        <button type="button" class="icon" aria-label="Close" onClick={close}>
          ×
        </button>
      </header>
      {KEYS.map(([title, rows]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {rows.map(([keys, does]) => (
              <div key={keys}>
                <dt>{keys}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </dialog>
  );
}
