// Where data comes from. One interface; each way of delivering a page implements it once.
import { decodeFeature, decodeHead, decodePrompt, decodeShared, type Head, type Named } from "./decode";
import type { FeatureView, PromptPart } from "./payload";

export type { Head, Named } from "./decode";

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

/** Data in blocks of this very document; a block is decoded when its feature is opened. */
export function inlineSource(page: Document): Source {
  const block = (name: string): string | null => page.getElementById(name)?.textContent ?? null;
  const packed = block("head");
  if (packed === null) throw new Error("the page holds no data");
  const head = decodeHead(packed);
  const prompt = head.prompt ? block("prompt") : null;
  return {
    head,
    prompt: prompt === null ? null : decodePrompt(prompt, head),
    feature(id) {
      const data = block(`f${id}`);
      return data === null ? null : decodeFeature(data, head);
    },
    shared(type) {
      const data = block(`c${head.modules.indexOf(type)}`);
      if (data === null) throw new Error(`the page holds no data of the component ${type}`);
      return decodeShared(data);
    },
  };
}
