// The address holds the state, so that a link reopens what was seen: #f=123&log=1&wrap=1

export interface Address {
  readonly feature: number | null;
  /** Whether counts of the activation histogram are on a log scale. */
  readonly log: boolean;
  /** Whether contexts wrap, so that none is cut off, rather than stand on one line each. */
  readonly wrap: boolean;
}

export function parse(hash: string): Address {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const text = fields.get("f");
  const feature = text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
  return { feature, log: fields.get("log") === "1", wrap: fields.get("wrap") === "1" };
}

export function write({ feature, log, wrap }: Address): string {
  const fields = new URLSearchParams();
  if (feature !== null) fields.set("f", String(feature));
  if (log) fields.set("log", "1");
  if (wrap) fields.set("wrap", "1");
  return `#${fields.toString()}`;
}
