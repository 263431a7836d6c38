// What the keys and the pointer do.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { WORDS } from "../data/words";
import { keyWords, type KeyMap } from "../state/keys";

export function Help<S>({ keys, close }: { keys: KeyMap<S>; close: () => void }): VNode {
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
      {keys.map(([title, lines]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {lines.map((line) => (
              <div key={line.does}>
                <dt>{keyWords(line)}</dt>
                <dd>{line.does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <details class="words">
        <summary>What the words mean</summary>
        <dl>
          {Object.entries(WORDS).map(([word, meaning]) => (
            <div key={word}>
              <dt>{word}</dt>
              <dd>{meaning}</dd>
            </div>
          ))}
        </dl>
      </details>
    </dialog>
  );
}
