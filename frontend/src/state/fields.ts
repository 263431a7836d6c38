// Fields of an address, #name=value&…: how each is read, how it is written, and what it is when nothing is said.

/** Names and values as they are written; null: left out. */
export type Said = readonly (readonly [name: string, value: string | number | null])[];

/** What an address says, by name; "" for what it does not name. */
export type Text = (name: string) => string;

/** A part of a page's state in its address. Whatever the address says, `read` gives something the page can show. */
export interface Field<T> {
  readonly read: (text: Text) => T;
  readonly write: (value: T) => Said;
}

/** The fields of a page, in the order in which they are written. */
export type Fields<T> = { readonly [K in keyof T]: Field<T[K]> };

export function parse<T>(fields: Fields<T>, hash: string): T {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const keys = Object.keys(fields) as (keyof T)[];
  return Object.fromEntries(keys.map((key) => [key, fields[key].read((name) => said.get(name) ?? "")])) as T;
}

/** `more` is what else stands in the address, as it is to stay there. */
export function write<T extends object>(fields: Fields<T>, address: T, more: readonly string[] = []): string {
  const said = (Object.keys(fields) as (keyof T)[]).flatMap((key) => fields[key].write(address[key]));
  return `#${[...said.flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`])), ...more].join("&")}`;
}

/** Fields that share an address with others: their names begin with something of their own. */
export function prefixed<T>(prefix: string, fields: Fields<T>): Fields<T> {
  const keys = Object.keys(fields) as (keyof T)[];
  const made = <K extends keyof T>({ read, write: written }: Field<T[K]>): Field<T[K]> => ({
    read: (text) => read((name) => text(prefix + name)),
    write: (value) => written(value).map(([name, said]) => [prefix + name, said] as const),
  });
  return Object.fromEntries(keys.map((key) => [key, made(fields[key])])) as unknown as Fields<T>;
}

/** A field of one name, left out where it has its usual value. */
function one<T extends string | number | null>(name: string, usual: T, read: (text: string) => T): Field<T> {
  return { read: (text) => read(text(name)), write: (value) => [[name, value === usual ? null : value]] };
}

/** A whole number; `usual` for anything else. */
export function whole<T extends number | null>(name: string, usual: T): Field<number | T> {
  return one<number | T>(name, usual, (text) => wholeOf(text) ?? usual);
}

/** A whole number within limits. */
export function within(name: string, low: number, high: number, usual: number): Field<number> {
  return one(name, usual, (text) => {
    const value = wholeOf(text);
    return value === null ? usual : Math.min(Math.max(value, low), high);
  });
}

/** One of some words. */
export function choice<T extends string, U extends T | null>(name: string, words: readonly T[], usual: U): Field<T | U> {
  return one<T | U>(name, usual, (text) => words.find((word) => word === text) ?? usual);
}

/** A percentage as a user types it. */
export function percentage<T extends number | null>(name: string, usual: T): Field<number | T> {
  return one<number | T>(name, usual, (text) => percentOf(text, usual));
}

export function flag(name: string): Field<boolean> {
  return { read: (text) => text(name) === "1", write: (value) => [[name, value ? 1 : null]] };
}

/** A whole number of at least 0; null for anything else. */
export function wholeOf(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** What the user typed as a percentage; what is none counts as no limit. */
export function percentOf<T extends number | null>(text: string, otherwise: T): number | T {
  const value = text.trim() === "" ? NaN : Number(text.trim().replace("%", "").replace(",", "."));
  return value >= 0 && value <= 100 ? value : otherwise;
}
