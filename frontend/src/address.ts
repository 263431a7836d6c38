// The address holds the state, so that a link reopens what was seen: #f=12,345&log=1&wrap=1&theme=dark

/** Features side by side at most. */
export const MOST_BESIDE = 4;

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export interface Address {
  /** The open features, from left to right; none where the address names none. */
  readonly features: readonly number[];
  /** Whether counts of the activation histogram are on a log scale. */
  readonly log: boolean;
  /** Whether contexts wrap, so that none is cut off, rather than stand on one line each. */
  readonly wrap: boolean;
  readonly theme: Theme;
}

export function parse(hash: string): Address {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const named = (fields.get("f") ?? "").split(",").filter((text) => /^\d{1,15}$/.test(text));
  return {
    features: named.slice(0, MOST_BESIDE).map(Number),
    log: fields.get("log") === "1",
    wrap: fields.get("wrap") === "1",
    theme: THEMES.find((theme) => theme === fields.get("theme")) ?? "system",
  };
}

export function write({ features, log, wrap, theme }: Address): string {
  const fields: string[] = [];
  if (features.length > 0) fields.push(`f=${features.join(",")}`);
  if (log) fields.push("log=1");
  if (wrap) fields.push("wrap=1");
  if (theme !== "system") fields.push(`theme=${theme}`);
  return `#${fields.join("&")}`;
}
