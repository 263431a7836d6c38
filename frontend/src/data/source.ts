// Where data comes from. One interface; each way of delivering a page implements it once.
import { decodeFeature, decodeHead, decodePrompt, decodeShared, type Head, type Named } from "./blocks";
import type { FeatureView, PromptPart } from "./contract";

export type { Head, Named } from "./blocks";

/** A feature's data; null when the source does not hold that feature. */
export type Loaded = FeatureView | null;

export interface Source {
  readonly head: Head;
  /** At once where the data is at hand, so that the next feature is on screen in the same frame. */
  feature(id: number): Loaded | Promise<Loaded>;
  /** Data of a user's own component that all features share. */
  shared(type: string): Named;
  /** What makes the page prompt-centric; null on others. */
  readonly prompt: PromptPart | null;
}

/**
 * Data in blocks of this very document; a block is decoded when its feature is opened. `side` begins the names of all
 * blocks: a page of two dictionaries has two sources.
 */
export function inlineSource(page: Document, side = ""): Source {
  const packed = block(page, `${side}head`);
  if (packed === null) throw new Error("the page holds no data");
  const head = decodeHead(packed);
  const prompt = head.prompt ? block(page, "prompt") : null;
  const open = (id: number): Loaded => {
    const data = block(page, `${side}f${id}`);
    return data === null ? null : decodeFeature(data, head);
  };
  return {
    head,
    prompt: prompt === null ? null : decodePrompt(prompt, head),
    feature: (id) => whenThere(page, () => open(id)),
    shared(type) {
      const data = block(page, `${side}c${head.modules.indexOf(type)}`);
      if (data === null) throw new Error(`the page holds no data of the component ${type}`);
      return decodeShared(data);
    },
  };
}

/** What is looked for; where it is not there yet, since the script runs while the document is read, a promise of it. */
export function whenThere<T>(page: Document, find: () => T | null): T | null | Promise<T | null> {
  const found = find();
  return found === null && page.readyState === "loading" ? read(page).then(find) : found;
}

/** A block's text; null where there is none, or none yet that is whole: the script runs while the document is read. */
export function block(page: Document, name: string): string | null {
  const element = page.getElementById(name);
  if (element === null || (page.readyState === "loading" && element.nextSibling === null)) return null;
  return element.textContent;
}

function read(page: Document): Promise<unknown> {
  return new Promise((resolve) => page.addEventListener("DOMContentLoaded", resolve, { once: true }));
}
