// Where a page of two dictionaries gets its data: a source for each, and what is known of both.
import type { Compared, Overview } from "./contract";
import { block, inlineSource, whenThere, type Source } from "./source";
import { decodeCompared, decodeOverview } from "./blocks";

export interface CompareSource {
  readonly a: Source;
  readonly b: Source;
  readonly overview: Overview;
  /** A feature of A and what is near it in B; null where the page does not hold it. */
  readonly compared: (feature: number) => Compared | null | Promise<Compared | null>;
}

/** Data in blocks of this very document; `a` is the page's own source. */
export function compareSource(page: Document, a: Source): CompareSource {
  const packed = block(page, "compare");
  if (packed === null) throw new Error("the page holds no second dictionary");
  return {
    a,
    b: inlineSource(page, "b"),
    overview: decodeOverview(packed, a.head),
    compared: (feature) =>
      whenThere(page, () => {
        const data = block(page, `p${feature}`);
        return data === null ? null : decodeCompared(data, a.head);
      }),
  };
}
