// A box for a number. What is typed stands until it is taken, also where everything around it is drawn again meanwhile.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

interface TypedProps {
  /** What the box says. */
  readonly value: string;
  readonly size: number;
  /** Takes what was typed; false: it can't be taken, and the box says its value again. */
  readonly take: (text: string) => boolean;
  /** Its name where no label holds it. */
  readonly name?: string;
  readonly placeholder?: string;
}

export function Typed({ value, size, take, name, placeholder }: TypedProps): VNode {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (box.current !== null) box.current.value = value;
  }, [value]);
  return (
    <input
      ref={box}
      inputMode="decimal"
      autocomplete="off"
      size={size}
      aria-label={name}
      placeholder={placeholder}
      defaultValue={value}
      onChange={(event) => {
        if (!take(event.currentTarget.value)) event.currentTarget.value = value;
      }}
    />
  );
}
