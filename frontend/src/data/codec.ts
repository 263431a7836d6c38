// Reads blocks of columns by the contract's table: the counterpart of sae_vis/deliver/codec.py, which says how each kind of
// value travels.
import { inflateSync } from "fflate";
import type { Kind, Scalar, Values } from "./kinds";
import { TABLE } from "./table";

type Typed = Float32Array | Int32Array | Uint8Array;
/** An array of a user's own component; `shape` tells its dimensions, the values run row by row. */
export type Shaped = (Uint8Array | Int32Array | Uint32Array | Float32Array | Float64Array) & { shape: readonly number[] };
export type Named = Readonly<Record<string, unknown>>;
const NAMED_KINDS = ["json", "bool", "uint8", "int32", "uint32", "float32", "float64"] as const;

const CUT_OFF = "the data ends too early";
const UTF_8 = new TextDecoder();
/** 10^s, all of them exact. */
const POWERS = Float64Array.from({ length: 23 }, (_, s) => Number(`1e${s}`));

/** Plain values of a block, one after the other. */
class Reader {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  int(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw new Error(CUT_OFF);
      value += (byte & 127) * scale;
      if (byte < 128) return value % 2 ? -(value + 1) / 2 : value / 2;
    }
  }

  /** Numbers of any size. */
  wholes(n: number): number[] {
    const out: number[] = [];
    for (let i = 0; i < n; i++) out.push(this.int());
    return out;
  }

  /** Numbers of 32 bits; most are short. */
  ints(n: number): Int32Array {
    const { bytes } = this;
    const out = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      const byte = bytes[this.at] ?? 255;
      if (byte < 128) {
        out[i] = (byte >>> 1) ^ -(byte & 1);
        this.at++;
      } else out[i] = this.int();
    }
    return out;
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

  /** Numbers of three significant digits, each the float32 nearest to n / 10^s. */
  digits(n: number): Float32Array {
    const high = this.ints(n);
    const low = this.take(n);
    const out = new Float32Array(n);
    const exact: number[] = [];
    for (let i = 0; i < n; i++) {
      const code = high[i] ?? 0;
      const rest = Math.abs(code) - 1;
      if (code === 0) low[i] === 1 && exact.push(i);
      else out[i] = (Math.sign(code) * (((rest & 3) << 8) | (low[i] ?? 0))) / (POWERS[rest >> 2] ?? NaN);
    }
    const values = this.floats(exact.length);
    exact.forEach((place, i) => (out[place] = values[i] ?? NaN));
    return out;
  }

  take(n: number): Uint8Array {
    if (this.at + n > this.bytes.length) throw new Error(CUT_OFF);
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }

  json(): unknown {
    return JSON.parse(UTF_8.decode(this.take(this.int())));
  }
}

/** A block: records of the contract, one after the other. */
export class Block {
  private readonly r: Reader;

  /** As base64 text, or as bytes; `ids` are the token ids of the page's token table. Throws when it is no block. */
  constructor(
    packed: string | Uint8Array,
    private ids: Int32Array = new Int32Array(),
  ) {
    this.r = new Reader(inflateSync(typeof packed === "string" ? bytesOf(packed) : packed));
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
    return this.records(name, new Scope(1))[0] as T;
  }

  named(): Named {
    const { r } = this;
    return Object.fromEntries((r.json() as string[]).map((name) => [name, namedValue(r)]));
  }

  private records(name: string, around: Scope): object[] {
    const scope = new Scope(around.n, around);
    const out = Array.from({ length: around.n }, (): Record<string, unknown> => ({}));
    for (const [field, kind] of TABLE[name] ?? []) {
      const values = this.column(kind, scope);
      for (let i = 0; i < out.length; i++) (out[i] as Record<string, unknown>)[field] = values[i];
      if (kind === "int" || kind[1] === "token") scope.set(field, values);
    }
    return out;
  }

  /** Values of one kind, one for each of the records that they are of. */
  private column(kind: Kind, scope: Scope): readonly unknown[] {
    const { r } = this;
    const { n } = scope;
    switch (kind) {
      case "int":
        return r.wholes(n);
      case "bool":
        return Array.from(r.ints(n), Boolean);
      case "float":
        return Array.from(new Float64Array(r.planes(n, 8)));
      case "str":
      case "json":
        return r.json() as unknown[];
      case "named":
        return Array.from({ length: n }, () => this.named());
      default:
        return this.compound(kind, scope);
    }
  }

  private compound(kind: Exclude<Kind, Scalar>, scope: Scope): readonly unknown[] {
    switch (kind[0]) {
      case "choice":
        return Array.from(this.r.ints(scope.n), (i) => kind[i + 1]);
      case "record":
        return this.records(kind[1], scope);
      case "maybe":
        return this.maybe(kind[1], scope);
      case "many":
        return this.many(kind[1], scope);
      case "by name":
        return this.byName(kind[1], scope);
      default:
        return this.arrays(kind, scope);
    }
  }

  private maybe(kind: Kind, scope: Scope): readonly unknown[] {
    const there = this.r.ints(scope.n);
    const rows: number[] = [];
    there.forEach((yes, i) => yes && rows.push(i));
    const found = rows.length > 0 ? this.column(kind, scope.of(rows)) : [];
    if (rows.length === scope.n) return found;
    const out: unknown[] = Array.from(there, () => null);
    rows.forEach((row, i) => (out[row] = found[i]));
    return out;
  }

  private many(kind: Kind, scope: Scope): readonly unknown[] {
    const lengths = this.r.ints(scope.n);
    const rows: number[] = [];
    lengths.forEach((length, row) => {
      for (let i = 0; i < length; i++) rows.push(row);
    });
    const found = rows.length > 0 ? this.column(kind, scope.of(rows)) : [];
    let at = 0;
    return Array.from(lengths, (length) => found.slice(at, (at += length)));
  }

  private byName(kind: Kind, scope: Scope): readonly unknown[] {
    const lengths = this.r.ints(scope.n);
    const found = (this.r.json() as string[]).map((name) => [name, this.column(kind, new Scope(1))[0]] as const);
    let at = 0;
    return Array.from(lengths, (length) => Object.fromEntries(found.slice(at, (at += length))));
  }

  private arrays(kind: Values, scope: Scope): readonly Typed[] {
    const { r } = this;
    const [, packing, , endsAt] = kind;
    const lengths = this.lengths(kind, scope);
    if (packing === "offsets") {
      const found = Array.from(lengths, (length) => summed(r.ints(length - 1), 1));
      scope.set(endsAt ?? "", found.map((offsets) => offsets[offsets.length - 1] ?? 0));
      return found;
    }
    if (packing === "gaps") return Array.from(lengths, (length) => placed(r.ints(length)));
    const flat = this.flat(kind, sum(lengths), scope);
    if (lengths.length === 1) return [flat];
    let at = 0;
    return Array.from(lengths, (length) => flat.subarray(at, (at += length)));
  }

  /** Sizes of arrays: what follows from what is known, or what the block says. */
  private lengths([, , shape]: Values, scope: Scope): readonly number[] {
    const { factors, plus } = shapeOf(shape);
    const known = factors.map((name) => scope.get(name) as readonly number[] | undefined);
    if (known.every((column) => column !== undefined)) {
      return Array.from({ length: scope.n }, (_, i) => known.reduce((product, column) => product * (column[i] ?? 0), 1) + plus);
    }
    const lengths = this.r.wholes(scope.n);
    scope.set(factors[0] ?? "", plus === 0 ? lengths : lengths.map((length) => length - plus));
    return lengths;
  }

  private flat([dtype, packing, , rounded]: Values, n: number, scope: Scope): Typed {
    const { r } = this;
    const floats = (count: number): Float32Array => (rounded === undefined ? r.floats(count) : r.digits(count));
    if (packing === "delta") return summed(r.ints(n), 0);
    if (packing === "token") return tokenIds(r.ints(n), this.ids);
    if (packing === "sparse") return scattered(r, n, floats);
    if (packing === "per token") return spread(n, scope.get("tokens") as readonly Int32Array[], floats);
    return dtype === "float32" ? floats(n) : dtype === "int32" ? r.ints(n) : r.take(n);
  }
}

/** What is known of the records that are being read, one value for each; what is known around them is behind it. */
class Scope {
  private readonly columns = new Map<string, readonly unknown[]>();

  /** `rows`: the record around each of the `n`; absent: one for one. */
  constructor(
    readonly n: number,
    private readonly around?: Scope,
    private readonly rows?: readonly number[],
  ) {}

  of(rows: readonly number[]): Scope {
    return new Scope(rows.length, this, rows);
  }

  get(name: string): readonly unknown[] | undefined {
    const own = this.columns.get(name);
    if (own !== undefined) return own;
    const around = this.around?.get(name);
    if (around === undefined) return undefined;
    const found = this.rows === undefined ? around : this.rows.map((row) => around[row]);
    this.columns.set(name, found);
    return found;
  }

  set(name: string, values: readonly unknown[]): void {
    this.columns.set(name, values);
  }
}

interface Shape {
  readonly factors: readonly string[];
  readonly plus: number;
}

const shapes = new Map<string, Shape>();

/** The names whose product is an array's size, less `plus`. */
function shapeOf(text: string): Shape {
  let found = shapes.get(text);
  if (found === undefined) {
    const [size = "", plus = "0"] = text.split("+");
    shapes.set(text, (found = { factors: size.split("*"), plus: Number(plus) }));
  }
  return found;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Places in the page's token table as token ids, in place. */
function tokenIds(places: Int32Array, ids: Int32Array): Int32Array {
  for (let i = 0; i < places.length; i++) {
    const place = places[i] ?? -1;
    places[i] = place < 0 ? -1 : (ids[place] ?? -1);
  }
  return places;
}

/** Running sums, after `zeros` zeros. */
function summed(steps: Int32Array, zeros: number): Int32Array {
  const out = new Int32Array(steps.length + zeros);
  let at = 0;
  for (let i = 0; i < steps.length; i++) out[i + zeros] = at += steps[i] ?? 0;
  return out;
}

/** Ascending numbers from how many are left out before each, in place. */
function placed(gaps: Int32Array): Int32Array {
  let at = -1;
  for (let i = 0; i < gaps.length; i++) gaps[i] = at += (gaps[i] ?? 0) + 1;
  return gaps;
}

/** Reads some floats. */
type Floats = (n: number) => Float32Array;

/** Numbers at places, the rest 0. */
function scattered(r: Reader, n: number, floats: Floats): Float32Array {
  const places = placed(r.ints(r.int()));
  const values = floats(places.length);
  const out = new Float32Array(n);
  for (let i = 0; i < places.length; i++) out[places[i] ?? -1] = values[i] ?? NaN;
  return out;
}

/** The value of each token, where the distinct tokens' values are given in order of first occurrence. */
function spread(n: number, tokens: readonly Int32Array[], floats: Floats): Float32Array {
  const order = new Map<number, number>();
  const which = new Int32Array(n);
  let at = 0;
  for (const own of tokens) {
    for (let i = 0; i < own.length; i++) {
      const token = own[i] ?? -1;
      let place = order.get(token);
      if (place === undefined) order.set(token, (place = order.size));
      which[at++] = place;
    }
  }
  const values = floats(order.size);
  const out = new Float32Array(n);
  for (let i = 0; i < n; i++) out[i] = values[which[i] ?? -1] ?? NaN;
  return out;
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
      return Uint32Array.from(r.wholes(n));
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
