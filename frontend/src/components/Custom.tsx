// A component of the user's own: an ES module of the page hands over its `mount`, which draws into an element.
import type { VNode } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { tip, type Range, type TokenAt } from "../state/card";
import type { ComponentSpec, FeatureView, PageMeta } from "../data/contract";
import { Signal, useSignal } from "../state/signal";
import type { Named } from "../data/source";
import type { ComponentProps } from "./types";

/** What a user's module may use beside its data. */
export interface ComponentContext {
  readonly feature: number;
  /** All that the page holds of the feature, as its built-in components get it. */
  readonly view: FeatureView;
  readonly meta: PageMeta;
  readonly options: ComponentSpec["options"];
  readonly shared: Named;
  /** What a token id spells. */
  readonly tokenText: (id: number) => string;
  readonly go: (feature: number) => void;
  readonly has: (feature: number) => boolean;
  readonly href: (feature: number) => string;
  /** Calls `listener` with the token that the pointer is on, or null; returns the function that ends it. */
  readonly onToken: (listener: (token: TokenAt | null) => void) => () => void;
  /** Draws a token's lines in the card's charts, as if the pointer were on it; null takes them away. */
  readonly showToken: (token: TokenAt | null) => void;
  /** Lights up the card's tokens with values in a range; null puts the light out. */
  readonly light: (range: Range | null) => void;
  /** Shows lines of text in the page's tooltip, beside an element; null hides it. */
  readonly say: (lines: readonly string[] | null, near?: Element) => void;
}

export type Mount = (element: HTMLElement, data: Named, context: ComponentContext) => unknown;

const mounts = new Signal<ReadonlyMap<string, Mount>>(new Map());

/** Modules run once the document is read; what has not come by then does not come. */
const all = new Signal(document.readyState === "complete");
document.addEventListener("DOMContentLoaded", () => all.set(true));

Object.assign(globalThis, {
  saeVisDefine: (type: string, mount: Mount) => mounts.set(new Map(mounts.value).set(type, mount)),
});

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
