// What the keys and the pointer do.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [title: string, rows: readonly (readonly [keys: string, does: string])[]])[] = [
  [
    "Features",
    [
      ["← →, k j", "the feature before, the feature after"],
      ["/", "find a feature: by number, token, density, maximum, text in its examples"],
      ["b, or Ctrl-click on a feature's link", "one more feature beside; keys act on the marked one"],
    ],
  ],
  [
    "Examples (Tab leads there)",
    [
      ["← → ↑ ↓", "from token to token, from example to example"],
      ["Enter, or click on a token", "pin its details, to compare with another token; again: let go"],
      ["e, or click beside the text", "show more of the text"],
      ["c", "copy the text as shown"],
    ],
  ],
  ["Charts (Tab leads there)", [["← →", "from bar to bar; tokens in its range light up"]]],
  [
    "Page",
    [
      ["Esc", "close or let go of what came last"],
      ["?", "this list"],
    ],
  ],
];

export function Help({ close }: { close: () => void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    // Closed rather than only taken away, the dialog gives the keyboard back to where it was.
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
