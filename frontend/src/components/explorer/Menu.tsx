// What opens below its title, and closes by Escape, by a choice, and by going elsewhere.
import type { ComponentChildren, VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

export interface MenuProps {
  readonly class: string;
  readonly title: string;
  /** `close` leads back to the title. */
  readonly children: (close: () => void) => ComponentChildren;
}

export function Menu({ class: name, title, children }: MenuProps): VNode {
  const menu = useRef<HTMLDetailsElement>(null);
  const shut = (): void => {
    if (menu.current !== null) menu.current.open = false;
  };
  const close = (): void => {
    shut();
    menu.current?.querySelector("summary")?.focus({ preventScroll: true });
  };
  useLayoutEffect(() => {
    const elsewhere = (event: Event): void => {
      if (event.target instanceof Node && menu.current?.contains(event.target) === false) shut();
    };
    for (const kind of ["pointerdown", "focusin"]) document.addEventListener(kind, elsewhere);
    return () => {
      for (const kind of ["pointerdown", "focusin"]) document.removeEventListener(kind, elsewhere);
    };
  }, []);
  return (
    <details
      class={name}
      ref={menu}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || menu.current?.open !== true) return;
        event.stopPropagation();
        close();
      }}
    >
      <summary>{title}</summary>
      {children(close)}
    </details>
  );
}
