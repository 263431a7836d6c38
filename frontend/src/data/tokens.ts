// Exact text of tokens, from their bytes. A character whose bytes are spread over tokens is one piece of several tokens.

/** Text of one kind: as it is, or a stand-in for what can't be seen. */
export interface Run {
  readonly text: string;
  readonly kind: "text" | "line" | "mark" | "special";
}

/** What is drawn for tokens `first..last` of a context; more than one when they share a character. */
export interface Piece {
  readonly runs: readonly Run[];
  readonly first: number;
  readonly last: number;
}

interface Unit {
  readonly text: string;
  readonly valid: boolean;
  readonly start: number;
  readonly end: number;
}

const MAY_JOIN = /[\p{M}\u200c\p{Emoji_Modifier}\p{Regional_Indicator}\u200d\ufe0f\u1100-\u11ff\uac00-\ud7ff\u{e0020}-\u{e007f}]/u;
const HIDDEN = /^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]$/u;
const EMPTY: readonly Run[] = [{ text: "∅", kind: "mark" }];
let segmenter: Intl.Segmenter | null | undefined;

/** Made when it is first needed; null where the browser has none. */
function graphemes(): Intl.Segmenter | null {
  segmenter ??= typeof Intl.Segmenter === "function" ? new Intl.Segmenter("en", { granularity: "grapheme" }) : null;
  return segmenter;
}

/** The bytes of each token id of a page. */
export interface TokenBytes {
  get(id: number): Uint8Array | undefined;
}

/** Text of the tokens of one page, each worked out once. */
export class TokenTexts {
  private readonly single = new Map<number, readonly Run[]>();
  private readonly leans = new Map<number, number>();

  constructor(
    private readonly bytes: TokenBytes,
    private readonly special: ReadonlySet<number>,
  ) {}

  /** One token by itself, as in a table. */
  runs(id: number): readonly Run[] {
    let runs = this.single.get(id);
    if (runs === undefined) {
      runs = this.alone(id);
      this.single.set(id, runs);
    }
    return runs;
  }

  /** One token as plain text, for labels and for search. */
  plain(id: number): string {
    return this.runs(id)
      .map((run) => run.text)
      .join("");
  }

  /** The text itself, nothing in it marked or replaced; special tokens by name. */
  raw(tokens: Int32Array): string {
    let out = "";
    let bytes: number[] = [];
    const flush = (): void => {
      out += utf8.decode(Uint8Array.from(bytes));
      bytes = [];
    };
    for (const id of tokens) {
      const own = this.bytes.get(id);
      if (own !== undefined && !this.special.has(id)) for (const byte of own) bytes.push(byte);
      else {
        flush();
        out += this.plain(id);
      }
    }
    flush();
    return out;
  }

  /** Which way a context reads: the way of most of its letters. */
  direction(tokens: Int32Array): "ltr" | "rtl" {
    let sum = 0;
    for (const id of tokens) {
      let lean = this.leans.get(id);
      if (lean === undefined) this.leans.set(id, (lean = leanOf(this.bytes.get(id))));
      sum += lean;
    }
    return sum < 0 ? "rtl" : "ltr";
  }

  /** A context: `tokens` in order, characters whole. */
  pieces(tokens: Int32Array): Piece[] {
    const out: Piece[] = [];
    let from = 0;
    while (from < tokens.length) {
      let to = from;
      while (to < tokens.length && !this.stands(tokens[to])) to++;
      if (to > from) {
        // A mark that joins what is before it may begin here, so the token before belongs to the stretch.
        const back = from > 0 && !this.special.has(tokens[from - 1] ?? -1) ? 1 : 0;
        if (back) out.pop();
        out.push(...this.joined(tokens, from - back, to));
      }
      if (to < tokens.length) out.push({ runs: this.runs(tokens[to] ?? -1), first: to, last: to });
      from = to + 1;
    }
    return out;
  }

  private alone(id: number): readonly Run[] {
    const bytes = this.bytes.get(id);
    if (bytes === undefined) return [{ text: `⟨token ${id}⟩`, kind: "mark" }];
    if (this.special.has(id)) return [{ text: utf8.decode(bytes) || `⟨token ${id}⟩`, kind: "special" }];
    return bytes.length === 0 ? EMPTY : merge(clusters(unitsOf(bytes)).flatMap((cluster) => [...runsOf(cluster)]));
  }

  /** Whether a token's text is its own: special, empty, or ASCII. */
  private stands(id: number | undefined): boolean {
    const bytes = this.bytes.get(id ?? -1);
    if (bytes === undefined || this.special.has(id ?? -1)) return true;
    return bytes.every((byte) => byte < 128);
  }

  private joined(tokens: Int32Array, from: number, to: number): Piece[] {
    const parts = Array.from(tokens.subarray(from, to), (id) => this.bytes.get(id) ?? new Uint8Array());
    const owner: number[] = [];
    const all: number[] = [];
    const out: Piece[] = [];
    parts.forEach((part, i) => part.forEach((byte) => (owner.push(from + i), all.push(byte))));
    for (const cluster of clusters(unitsOf(Uint8Array.from(all)))) {
      const first = owner[cluster[0]?.start ?? 0] ?? from;
      const last = owner[(cluster.at(-1)?.end ?? 1) - 1] ?? from;
      const before = out.at(-1);
      const runs = runsOf(cluster);
      if (before && before.first === first && before.last === last && first === last) {
        out[out.length - 1] = { runs: merge([...before.runs, ...runs]), first, last };
      } else out.push({ runs, first, last });
    }
    parts.forEach((part, i) => {
      if (part.length === 0) out.push({ runs: EMPTY, first: from + i, last: from + i });
    });
    return out.sort((a, b) => a.first - b.first || a.last - b.last);
  }
}

/**
 * Letters read from the left less those read from the right, by first bytes, so that split characters count too: U+0590
 * to U+07FF, the presentation forms, and to the left other letters of two or three bytes (some signs among them).
 */
function leanOf(bytes: Uint8Array | undefined): number {
  let lean = 0;
  for (let i = 0; bytes !== undefined && i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    const next = bytes[i + 1] ?? 0;
    const letter = byte | 0x20;
    if (byte < 0x80) lean += letter >= 0x61 && letter <= 0x7a ? 1 : 0;
    else if ((byte >= 0xd6 && byte <= 0xdf) || (byte === 0xef && next >= 0xac && next <= 0xbb)) lean--;
    else if ((byte >= 0xc3 && byte <= 0xd5) || (byte >= 0xe3 && byte <= 0xed)) lean++;
  }
  return lean;
}

/** Code points, and single bytes where the bytes are not UTF-8. */
function unitsOf(bytes: Uint8Array): Unit[] {
  const out: Unit[] = [];
  let at = 0;
  while (at < bytes.length) {
    const length = validLength(bytes, at);
    const end = at + Math.max(length, 1);
    const text = length ? utf8.decode(bytes.subarray(at, end)) : hex(bytes[at] ?? 0);
    out.push({ text, valid: length > 0, start: at, end });
    at = end;
  }
  return out;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

function hex(byte: number): string {
  return `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

/** Bytes of the well-formed UTF-8 character at `at`; 0 if there is none (Unicode, table 3-7). */
function validLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  const length = lead >= 0xc2 && lead < 0xe0 ? 2 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let i = 1; i < length; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1] ?? 0;
  const overlong = (lead === 0xe0 && second < 0xa0) || (lead === 0xf0 && second < 0x90);
  const outside = (lead === 0xed && second >= 0xa0) || (lead === 0xf4 && second >= 0x90);
  return overlong || outside ? 0 : length;
}

/** Units that are one character to the eye: a letter and its accents, an emoji of several code points. */
function clusters(units: Unit[]): Unit[][] {
  const text = units.map((u) => (u.valid ? u.text : "\u0000")).join("");
  const by = MAY_JOIN.test(text) ? graphemes() : null;
  if (by === null) return units.map((u) => [u]);
  const out: Unit[][] = [];
  let at = 0;
  for (const { segment } of by.segment(text)) {
    const cluster: Unit[] = [];
    for (let left = segment.length; left > 0; ) {
      const unit = units[at++];
      if (unit === undefined) break;
      cluster.push(unit);
      left -= unit.valid ? unit.text.length : 1;
    }
    if (segment === "\r\n") out.push(...cluster.map((u) => [u]));
    else out.push(cluster);
  }
  return out;
}

function runsOf(units: readonly Unit[]): readonly Run[] {
  return merge(units.map((unit, i) => runOf(unit, units.length > 1 && i > 0)));
}

function runOf({ text, valid }: Unit, joins: boolean): Run {
  if (!valid) return { text, kind: "mark" };
  if (text === "\n") return { text: "↵", kind: "line" };
  if (text === "\t") return { text: "→", kind: "line" };
  if (text === "\r") return { text: "␍", kind: "mark" };
  if (joins && /[\u200c\u200d\u{e0020}-\u{e007f}]/u.test(text)) return { text, kind: "text" };
  const code = text.codePointAt(0) ?? 0;
  if (code < 0x20) return { text: String.fromCodePoint(0x2400 + code), kind: "mark" };
  if (HIDDEN.test(text)) return { text: `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`, kind: "mark" };
  return { text, kind: "text" };
}

/** Neighbours of one kind become one run. */
function merge(runs: Run[]): readonly Run[] {
  const out: Run[] = [];
  for (const run of runs) {
    const last = out.at(-1);
    if (last && last.kind === run.kind) out[out.length - 1] = { text: last.text + run.text, kind: run.kind };
    else out.push(run);
  }
  return out;
}
