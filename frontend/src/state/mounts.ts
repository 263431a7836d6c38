// What draws the user's own components: modules of the page, which hand it over before any card is there.
import type { ComponentSpec, FeatureView, PageMeta } from "../data/contract";
import type { Named } from "../data/source";
import type { Range, TokenAt } from "./card";
import { Signal } from "./signal";

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

/** By the types of components. */
export const mounts = new Signal<ReadonlyMap<string, Mount>>(new Map());

/** Modules run once the document is read; what has not come by then does not come. */
export const all = new Signal(document.readyState === "complete");
document.addEventListener("DOMContentLoaded", () => all.set(true));

Object.assign(globalThis, {
  saeVisDefine: (type: string, mount: Mount) => mounts.set(new Map(mounts.value).set(type, mount)),
});
