// Text search in the examples of all features: they are decoded bit by bit while the page has nothing else to do.
import { whenIdle } from "./idle";
import type { Head } from "./blocks";
import type { FeatureView } from "./contract";
import { TokenTexts } from "./tokens";

/** Milliseconds of work between two looks at whether there is something better to do. */
const SLICE = 8;
/** Characters kept for the next search; what goes beyond is decoded again. */
const MOST_KEPT = 32_000_000;
/** Characters of a snippet on each side of the match. */
const AROUND = 24;

/** Where a feature's examples match, with a little of the text around. */
export interface Snippet {
  readonly before: string;
  readonly match: string;
  readonly after: string;
}

export interface Progress {
  readonly searched: number;
  readonly of: number;
  readonly hits: ReadonlyMap<number, Snippet>;
}

export class ExampleSearch {
  private readonly kept = new Map<number, readonly string[]>();
  private room = MOST_KEPT;
  private texts: TokenTexts | null = null;

  constructor(
    private readonly head: Head,
    private readonly card: (feature: number) => FeatureView | null | Promise<FeatureView | null>,
  ) {}

  /** Search all features of the page in order; returns the function that ends it. */
  start(words: string, report: (progress: Progress) => void): () => void {
    const wanted = words.toLowerCase();
    const ids = this.head.summary.feature;
    const hits = new Map<number, Snippet>();
    let ended = false;
    const next = async (from: number): Promise<void> => {
      const stop = performance.now() + SLICE;
      let at = from;
      while (at < ids.length && (at === from || performance.now() < stop)) {
        const feature = ids[at++] ?? -1;
        const snippet = snippetOf(this.kept.get(feature) ?? (await this.read(feature)), wanted);
        if (ended) return;
        if (snippet !== null) hits.set(feature, snippet);
      }
      report({ searched: at, of: ids.length, hits: new Map(hits) });
      if (at < ids.length) whenIdle(() => void (ended || next(at)));
    };
    whenIdle(() => void (ended || next(0)));
    return () => {
      ended = true;
    };
  }

  /** Texts of a feature's examples; none where it can't be read: opening the feature says why. */
  private async read(feature: number): Promise<readonly string[]> {
    let view: FeatureView | null = null;
    try {
      const loaded = this.card(feature);
      view = loaded instanceof Promise ? await loaded : loaded;
    } catch {
      return [];
    }
    const found = view === null ? [] : examplesOf(view, (this.texts ??= new TokenTexts(this.head.tokenBytes, this.head.special)));
    const size = found.reduce((sum, text) => sum + text.length, 0);
    if (size > this.room) return found;
    this.room -= size;
    this.kept.set(feature, found);
    return found;
  }
}

function examplesOf(view: FeatureView, texts: TokenTexts): string[] {
  return view.sequences.flatMap(({ contexts: c }) =>
    Array.from(c.sequence, (_, i) => texts.raw(c.tokens.subarray(c.offsets[i] ?? 0, c.offsets[i + 1] ?? 0))),
  );
}

function snippetOf(examples: readonly string[], wanted: string): Snippet | null {
  for (const text of examples) {
    const at = text.toLowerCase().indexOf(wanted);
    if (at < 0) continue;
    const end = at + wanted.length;
    return {
      before: (at > AROUND ? "…" : "") + inLine(text.slice(Math.max(at - AROUND, 0), at)),
      match: inLine(text.slice(at, end)),
      after: inLine(text.slice(end, end + AROUND)) + (text.length > end + AROUND ? "…" : ""),
    };
  }
  return null;
}

/** What can't be seen, as the examples show it: a stray direction mark must not turn the list around. */
function inLine(text: string): string {
  return text
    .replaceAll("\n", "↵")
    .replaceAll("\t", "→")
    .replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu, (c) => `⟨U+${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}
