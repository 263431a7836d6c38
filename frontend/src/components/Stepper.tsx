// From a feature to the one before, the one after, or one by its number.
import type { VNode } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Head } from "../data/source";

export interface StepperProps {
  readonly head: Head;
  readonly feature: number;
  readonly step: (by: number) => void;
  readonly go: (feature: number) => void;
}

export function Stepper(props: StepperProps): VNode {
  const alone = props.head.summary.feature.length < 2;
  return (
    <>
      <button type="button" class="icon" onClick={() => props.step(-1)} aria-label="Previous feature" title="Previous feature (← or k)" disabled={alone}>
        ‹
      </button>
      <GoTo {...props} />
      <button type="button" class="icon" onClick={() => props.step(1)} aria-label="Next feature" title="Next feature (→ or j)" disabled={alone}>
        ›
      </button>
    </>
  );
}

function GoTo({ feature, go }: StepperProps): VNode {
  const box = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (box.current !== null) box.current.value = String(feature);
  }, [feature]);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        const text = box.current?.value.trim() ?? "";
        if (/^\d{1,15}$/.test(text)) go(Number(text));
        else if (box.current !== null) box.current.value = String(feature);
        box.current?.blur();
      }}
    >
      <label>
        Feature <input ref={box} inputMode="numeric" autocomplete="off" size={6} defaultValue={String(feature)} aria-label="Go to feature" />
      </label>
    </form>
  );
}
