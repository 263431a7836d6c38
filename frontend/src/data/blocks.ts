// The blocks of a page; what is in each of them is said in sae_vis/deliver/encoding.py.
import { Block, type Named } from "./codec";
import { DIGEST } from "./table";
import type { Compared, FeatureView, Overview, PageHead, PromptPart, TokenTable } from "./contract";
import type { TokenBytes } from "./tokens";

export type { Named, Shaped } from "./codec";

/** Everything of a page but its features. */
export interface Head extends PageHead {
  /** Token id of each index of the page's table. */
  readonly ids: Int32Array;
  readonly tokenBytes: TokenBytes;
  readonly special: ReadonlySet<number>;
}

/** The text of tokens, which may become more; a token's bytes are cut out when they are asked for, since there may be many. */
export class TokenStore implements TokenBytes {
  readonly special = new Set<number>();
  private readonly places = new Map<number, readonly [table: TokenTable, start: number, length: number]>();

  add(table: TokenTable): void {
    let at = 0;
    table.ids.forEach((id, i) => {
      const length = table.lengths[i] ?? 0;
      if (!this.places.has(id)) this.places.set(id, [table, at, length]);
      at += length;
    });
    for (const i of table.special) this.special.add(table.ids[i] ?? -1);
  }

  get(id: number): Uint8Array | undefined {
    const place = this.places.get(id);
    if (place === undefined) return undefined;
    const [table, start, length] = place;
    return table.text.subarray(start, start + length);
  }
}

/** The head block. Throws when it is cut off, or was written by another version. */
export function decodeHead(base64: string): Head {
  const block = opened(base64);
  const table = block.record<TokenTable>("TokenTable");
  block.use(table.ids);
  const store = new TokenStore();
  store.add(table);
  return { ...block.record<PageHead>("PageHead"), ids: table.ids, tokenBytes: store, special: store.special };
}

/** An answer of a server, as bytes or as base64: one record, the text of whose tokens is added to the rest. Throws as `decodeHead` does. */
export function decodeAnswer<T>(packed: Uint8Array | string, record: string, store: TokenStore): T {
  const block = opened(packed);
  const table = block.record<TokenTable>("TokenTable");
  store.add(table);
  block.use(table.ids);
  return block.record<T>(record);
}

/** Records of one kind that are decoded one by one, each when it is asked for; all their tokens' text is added at once. */
export function decodePack<T>(packed: Uint8Array, record: string, store: TokenStore): readonly (() => T)[] {
  const [head, ...rest] = frames(packed);
  if (head === undefined) throw new Error("the file is cut off");
  const table = opened(head).record<TokenTable>("TokenTable");
  store.add(table);
  return rest.map((part) => () => new Block(part, table.ids).record<T>(record));
}

/** The parts of what is packed in parts, each behind its length. Throws where it is cut off. */
function frames(packed: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  let at = 0;
  while (at < packed.length) {
    const end = at + 4 <= packed.length ? at + 4 + view.getUint32(at, true) : Infinity;
    if (end > packed.length) throw new Error("the file is cut off");
    out.push(packed.subarray(at + 4, end));
    at = end;
  }
  return out;
}

function opened(packed: string | Uint8Array): Block {
  const block = new Block(packed);
  const digest = block.int();
  if (digest !== DIGEST) throw new Error(`the data has format ${digest}, this page reads ${DIGEST}`);
  return block;
}

/** The prompt block of a prompt-centric page. Throws when it is cut off. */
export function decodePrompt(base64: string, head: Head): PromptPart {
  return new Block(base64, head.ids).record("PromptPart");
}

/** A feature's block. Throws when it is cut off. */
export function decodeFeature(base64: string, head: Head): FeatureView {
  return new Block(base64, head.ids).record("FeatureView");
}

/** The block of both dictionaries; `head` is the first one's. Throws when it is cut off. */
export function decodeOverview(base64: string, head: Head): Overview {
  return new Block(base64, head.ids).record("Overview");
}

/** The block of a feature of the first dictionary. Throws when it is cut off. */
export function decodeCompared(base64: string, head: Head): Compared {
  return new Block(base64, head.ids).record("Compared");
}

/** Data of a user's own component that all features share. Throws when the block is cut off. */
export function decodeShared(base64: string): Named {
  return new Block(base64).named();
}
