// A component of the user's own: an ES module of the page hands over its `mount`, which draws into an element.
import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { tip } from "../state/card";
import { all, mounts, type ComponentContext, type Mount } from "../state/mounts";
import { useSignal } from "../state/signal";
import type { ComponentProps } from "./types";

export function Custom(props: ComponentProps): VNode {
  const { type, card } = props;
  const box = useRef<HTMLDivElement>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const mount = useSignal(mounts).get(type);
  const late = useSignal(all) && mount === undefined;
  useLayoutEffect(() => {
    if (mount === undefined || box.current === null) return undefined;
    setFailure(null);
    return started(mount, box.current, props, setFailure);
  }, [mount, card]);
  const reason = failure ?? (late ? "its module did not run to its end" : null);
  return (
    <section class="own" data-component={type}>
      {reason !== null && (
        <p class="message failed" role="alert" data-message="own">
          The component “{type}” failed: {reason}. It is not part of sae_vis; mend its module.
        </p>
      )}
      <div ref={box} />
    </section>
  );
}

/** Draws, and returns what cleans up; whatever the module throws is said on the page. */
function started(mount: Mount, element: HTMLElement, props: ComponentProps, fail: (reason: string) => void): () => void {
  let end: unknown;
  try {
    end = mount(element, props.card.view.custom[props.type] ?? {}, contextOf(props));
  } catch (error) {
    fail(reasonOf(error));
  }
  return () => {
    try {
      if (typeof end === "function") (end as () => void)();
    } catch (error) {
      fail(reasonOf(error));
    }
    element.replaceChildren();
  };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function contextOf({ type, card, options, go, has, href, shared }: ComponentProps): ComponentContext {
  return {
    feature: card.view.feature,
    view: card.view,
    meta: card.head.meta,
    options,
    shared: shared(type),
    tokenText: (id) => card.texts.plain(id),
    go,
    has,
    href,
    onToken: (listener) => card.token.subscribe(listener),
    showToken: (token) => card.token.set(token),
    light: (range) => card.range.set(range),
    say: (lines, near) => tip.set(lines === null || near === undefined ? null : { kind: "lines", lines, box: near.getBoundingClientRect() }),
  };
}
