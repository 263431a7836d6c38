// Reads blocks of columns by the contract's table: the counterpart of sae_vis/deliver/codec.py, which says how each kind of
// value travels.
import { inflateSync } from "fflate";
import type { Kind, Scalar, Values } from "./kinds";
import { TABLE } from "./table";

type Typed = Float32Array | Int32Array | Uint8Array;
/** Sizes and columns of a record that is being read; those of the record around it are behind it. */
type Known = Record<string, unknown>;

/** An array of a user's own component; `shape` tells its dimensions, the values run row by row. */
export type Shaped = (Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array) & { shape: readonly number[] };
export type Named = Readonly<Record<string, unknown>>;
const NAMED_KINDS = ["json", "bool", "uint8", "int32", "uint32", "float32", "float64"] as const;

/** Plain values of a block, one after the other. */
class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  int(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error("the data ends too early");
      value += (byte & 127) * scale;
      if (byte < 128) return value % 2 ? -(value + 1) / 2 : value / 2;
    }
  }

  ints(n: number): Int32Array;
  ints<T extends number[] | Uint32Array>(n: number, into: T): T;
  ints(n: number, into: Int32Array | Uint32Array | number[] = new Int32Array(n)): Int32Array | Uint32Array | number[] {
    for (let i = 0; i < n; i++) into[i] = this.int();
    return into;
  }

  /** Numbers of `size` bytes by byte plane. */
  planes(n: number, size: number): ArrayBuffer {
    const planes = this.take(size * n);
    const out = new Uint8Array(size * n);
    for (let plane = 0; plane < size; plane++) {
      for (let i = 0; i < n; i++) out[size * i + plane] = planes[plane * n + i] ?? 0;
    }
    return out.buffer;
  }

  floats(n: number): Float32Array {
    return new Float32Array(this.planes(n, 4));
  }

  take(n: number): Uint8Array {
    if (this.at + n > this.bytes.length) throw new Error("the data ends too early");
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  json(): unknown {
    return JSON.parse(new TextDecoder().decode(this.take(this.int())));
  }
}

/** A block: records of the contract, one after the other. */
export class Block {
  private readonly r: Reader;

  /** `ids` are the token ids of the page's token table. Throws when the text is no block. */
  constructor(
    base64: string,
    private ids: Int32Array = new Int32Array(),
  ) {
    this.r = new Reader(inflateSync(bytesOf(base64)));
  }

  int(): number {
    return this.r.int();
  }

  /** From here on token ids are places in this table. */
  use(ids: Int32Array): void {
    this.ids = ids;
  }

  /** The next record. Throws when the block is cut off. */
  record<T>(name: string): T {
    return this.records(name, [{}])[0] as T;
  }

  named(): Named {
    const { r } = this;
    return Object.fromEntries((r.json() as string[]).map((name) => [name, namedValue(r)]));
  }

  private records(name: string, around: readonly Known[]): object[] {
    const known = around.map((row) => Object.create(row) as Known);
    const out: Record<string, unknown>[] = known.map(() => ({}));
    for (const [field, kind] of TABLE[name] ?? []) {
      this.column(kind, known).forEach((value, i) => {
        (out[i] as Known)[field] = (known[i] as Known)[field] = value;
      });
    }
    return out;
  }

  /** Values of one kind, one for each of the records that they are of. */
  private column(kind: Kind, known: readonly Known[]): readonly unknown[] {
    const { r } = this;
    const n = known.length;
    switch (kind) {
      case "int":
        return r.ints(n, [] as number[]);
      case "bool":
        return Array.from(r.ints(n), Boolean);
      case "float":
        return Array.from(new Float64Array(r.planes(n, 8)));
      case "str":
      case "json":
        return r.json() as unknown[];
      case "named":
        return known.map(() => this.named());
      default:
        return this.compound(kind, known);
    }
  }

  private compound(kind: Exclude<Kind, Scalar>, known: readonly Known[]): readonly unknown[] {
    switch (kind[0]) {
      case "choice":
        return Array.from(this.r.ints(known.length), (i) => kind[i + 1]);
      case "record":
        return this.records(kind[1], known);
      case "maybe":
        return this.maybe(kind[1], known);
      case "many":
        return this.many(kind[1], known);
      case "by name":
        return this.byName(kind[1], known);
      default:
        return this.arrays(kind, known);
    }
  }

  private maybe(kind: Kind, known: readonly Known[]): readonly unknown[] {
    const there = this.r.ints(known.length);
    const some = known.filter((_, i) => there[i]);
    const found = some.length > 0 ? this.column(kind, some) : [];
    let at = 0;
    return known.map((_, i) => (there[i] ? found[at++] : null));
  }

  private many(kind: Kind, known: readonly Known[]): readonly unknown[] {
    const lengths = this.r.ints(known.length);
    const rows = known.flatMap((row, i) => Array.from({ length: lengths[i] ?? 0 }, () => row));
    const found = rows.length > 0 ? this.column(kind, rows) : [];
    let at = 0;
    return Array.from(lengths, (length) => found.slice(at, (at += length)));
  }

  private byName(kind: Kind, known: readonly Known[]): readonly unknown[] {
    const lengths = this.r.ints(known.length);
    const found = (this.r.json() as string[]).map((name) => [name, this.column(kind, [{}])[0]] as const);
    let at = 0;
    return Array.from(lengths, (length) => Object.fromEntries(found.slice(at, (at += length))));
  }

  private arrays(kind: Values, known: readonly Known[]): readonly Typed[] {
    const { r } = this;
    const [, packing, , endsAt] = kind;
    const lengths = this.lengths(kind, known);
    if (packing === "offsets") {
      return lengths.map((length, i) => {
        const offsets = summed(r.ints(length - 1), 1);
        (known[i] as Known)[endsAt ?? ""] = offsets[length - 1];
        return offsets;
      });
    }
    if (packing === "gaps") return lengths.map((length) => placed(r.ints(length)));
    const flat = this.flat(kind, lengths.reduce((sum, length) => sum + length, 0), known);
    let at = 0;
    return lengths.map((length) => flat.subarray(at, (at += length)));
  }

  /** Sizes of arrays: what follows from what is known, or what the block says. */
  private lengths([, , shape]: Values, known: readonly Known[]): number[] {
    const [size = "", plus = "0"] = shape.split("+");
    const factors = size.split("*");
    const more = Number(plus);
    if (factors.every((factor) => known.every((row) => factor in row))) {
      return known.map((row) => factors.reduce((n, factor) => n * Number(row[factor]), 1) + more);
    }
    return known.map((row) => {
      const length = this.r.int();
      row[size] = length - more;
      return length;
    });
  }

  private flat([dtype, packing]: Values, n: number, known: readonly Known[]): Typed {
    const { r } = this;
    if (packing === "delta") return summed(r.ints(n), 0);
    if (packing === "token") return r.ints(n).map((i) => (i < 0 ? -1 : (this.ids[i] ?? -1)));
    if (packing === "sparse") return scattered(r, n);
    if (packing === "per token") return spread(r, n, known.map((row) => row["tokens"] as Int32Array));
    return dtype === "float32" ? r.floats(n) : dtype === "int32" ? r.ints(n) : r.take(n);
  }
}

/** Running sums, after `zeros` zeros. */
function summed(steps: Int32Array, zeros: number): Int32Array {
  const out = new Int32Array(steps.length + zeros);
  let at = 0;
  steps.forEach((step, i) => (out[i + zeros] = at += step));
  return out;
}

/** Ascending numbers from how many are left out before each. */
function placed(gaps: Int32Array): Int32Array {
  let at = -1;
  return gaps.map((gap) => (at += gap + 1));
}

/** Numbers at places, the rest 0. */
function scattered(r: Reader, n: number): Float32Array {
  const places = placed(r.ints(r.int()));
  const values = r.floats(places.length);
  const out = new Float32Array(n);
  places.forEach((place, i) => (out[place] = values[i] ?? NaN));
  return out;
}

/** The value of each token, where the distinct tokens' values are given in order of first occurrence. */
function spread(r: Reader, n: number, tokens: readonly Int32Array[]): Float32Array {
  const order = new Map<number, number>();
  const which = new Int32Array(n);
  let at = 0;
  for (const own of tokens) {
    for (const token of own) {
      let place = order.get(token);
      if (place === undefined) order.set(token, (place = order.size));
      which[at++] = place;
    }
  }
  const values = r.floats(order.size);
  return Float32Array.from(which, (place) => values[place] ?? NaN);
}

function namedValue(r: Reader): unknown {
  const kind = NAMED_KINDS[r.int()];
  if (kind === undefined) throw new Error("the data holds a kind of value that this page does not know");
  if (kind === "json") return r.json();
  const shape = Array.from(r.ints(r.int()));
  const n = shape.reduce((product, size) => product * size, 1);
  return Object.assign(numbers(r, kind, n), { shape });
}

function numbers(r: Reader, kind: Exclude<(typeof NAMED_KINDS)[number], "json">, n: number): Typed | Uint32Array | Float64Array {
  switch (kind) {
    case "bool":
    case "uint8":
      return r.take(n).slice();
    case "int32":
      return r.ints(n);
    case "uint32":
      return r.ints(n, new Uint32Array(n));
    case "float32":
      return r.floats(n);
    case "float64":
      return new Float64Array(r.planes(n, 8));
  }
}

/** Base64 to bytes, by the browser's own decoder where it has one. */
function bytesOf(base64: string): Uint8Array {
  const native = (Uint8Array as { fromBase64?: (text: string) => Uint8Array }).fromBase64;
  if (native !== undefined) return native.call(Uint8Array, base64);
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}
