// Fields of an address, #name=value&…: read with what they may be, written where they differ from the usual.

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

/** How a page looks, whatever it shows. */
export interface Look {
  /** Whether counts of the activation histogram are on a log scale. */
  readonly log: boolean;
  /** Whether contexts wrap, so that none is cut off, rather than stand on one line each. */
  readonly wrap: boolean;
  readonly theme: Theme;
}

/** What an address says. */
export class Fields {
  private readonly fields: URLSearchParams;

  constructor(hash: string) {
    this.fields = new URLSearchParams(hash.replace(/^#/, ""));
  }

  text(name: string): string {
    return this.fields.get(name) ?? "";
  }

  /** A whole number; null for anything else. */
  whole(name: string): number | null {
    return wholeOf(this.text(name));
  }

  /** A whole number within limits. */
  within(name: string, low: number, high: number, otherwise: number): number {
    const value = this.whole(name);
    return value === null ? otherwise : Math.min(Math.max(value, low), high);
  }

  choice<T extends string>(name: string, words: readonly T[]): T | undefined {
    return words.find((word) => word === this.text(name));
  }

  look(): Look {
    return { log: this.text("log") === "1", wrap: this.text("wrap") === "1", theme: this.choice("theme", THEMES) ?? "system" };
  }
}

/** A whole number of at least 0; null for anything else. */
export function wholeOf(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** An address, from pairs of name and value (null: left out), and the page's look. */
export function written(fields: readonly (readonly [name: string, value: string | number | null])[], { log, wrap, theme }: Look): string {
  const look = [
    ["log", log ? 1 : null],
    ["wrap", wrap ? 1 : null],
    ["theme", theme === "system" ? null : theme],
  ] as const;
  const said = [...fields, ...look].filter(([, value]) => value !== null);
  return `#${said.map(([name, value]) => `${name}=${value}`).join("&")}`;
}

/** A value, or null where it is the usual one. */
export function unless<T extends string | number>(usual: T | null, value: T | null): T | null {
  return value === usual ? null : value;
}
