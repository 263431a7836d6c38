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

/** The page's token table; a token's bytes are cut out when they are asked for, since a page may hold many. */
class TokenText implements TokenBytes {
  private readonly place = new Map<number, number>();
  private readonly starts: Int32Array;

  constructor(private readonly table: TokenTable) {
    this.starts = new Int32Array(table.ids.length);
    let at = 0;
    table.ids.forEach((id, i) => {
      this.place.set(id, i);
      this.starts[i] = at;
      at += table.lengths[i] ?? 0;
    });
  }

  get(id: number): Uint8Array | undefined {
    const i = this.place.get(id);
    if (i === undefined) return undefined;
    const start = this.starts[i] ?? 0;
    return this.table.text.subarray(start, start + (this.table.lengths[i] ?? 0));
  }
}

/** The head block. Throws when it is cut off, or was written by another version. */
export function decodeHead(base64: string): Head {
  const block = new Block(base64);
  const digest = block.int();
  if (digest !== DIGEST) throw new Error(`the data has format ${digest}, this page reads ${DIGEST}`);
  const table = block.record<TokenTable>("TokenTable");
  const { ids } = table;
  block.use(ids);
  const head = block.record<PageHead>("PageHead");
  const special = new Set(Array.from(table.special, (i) => ids[i] ?? -1));
  return { ...head, ids, tokenBytes: new TokenText(table), special };
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
