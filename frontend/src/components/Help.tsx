// What the keys and the pointer do.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Keys } from "../state/keys";

export function Help({ keys, close }: { keys: Keys; close: () => void }): VNode {
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
      {keys.map(([title, rows]) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl>
            {rows.map(([names, does]) => (
              <div key={names}>
                <dt>{names}</dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </dialog>
  );
}
